import ArgumentParser
import Compute
import Support

/// The options for the arithmetic of a benchmark.
struct PrecisionOptions: ParsableArguments {
    @Option(help: "The precision of the inputs of matrix products: fp32 or bf16.")
    var precision = "fp32"

    @OptionGroup var emulation: EmulationOption

    var emulateBf16: Bool { emulation.emulateBf16 }

    /// Returns the precision that `--precision` names.
    ///
    /// - Throws: `Failure` (usage) if it is not a precision.
    func choice() throws(Failure) -> Precision {
        if let choice = Precision(rawValue: precision) { return choice }
        throw Failure(
            .usage, "--precision \(precision): is not a precision; give fp32 or bf16.")
    }
}

/// The option that allows bf16 on processors on which it is slow.
struct EmulationOption: ParsableArguments {
    @Flag(
        name: .customLong("emulate-bf16"),
        help: "Allow bf16 on a processor without AVX512-BF16 or AMX, at no more than fp32's speed.")
    var emulateBf16 = false
}
