import ArgumentParser
import Compute
import Support

/// In which arithmetic a benchmark computes.
struct PrecisionOptions: ParsableArguments {
    @Option(name: .long, help: "What enters matrix products: fp32 or bf16.")
    var precision = "fp32"

    @OptionGroup var emulation: EmulationOption

    var emulateBf16: Bool { emulation.emulateBf16 }

    /// - Throws: `Failure` (usage) for what is no precision.
    func choice() throws(Failure) -> Precision {
        if let choice = Precision(rawValue: precision) { return choice }
        throw Failure(
            .usage, "--precision \(precision) is not a precision: use --precision fp32 or bf16.")
    }
}

/// Whether bf16 may run where it is slow.
struct EmulationOption: ParsableArguments {
    @Flag(
        name: .customLong("emulate-bf16"),
        help: "Allow bf16 on a processor without AVX512-BF16 or AMX, at no more than fp32's speed.")
    var emulateBf16 = false
}
