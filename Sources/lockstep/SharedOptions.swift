import ArgumentParser
import Compute
import Support
import Training

extension CompletionKind {
    /// The completion of a recipe or specification.
    static var tomlFile: CompletionKind { .file(extensions: ["toml"]) }
}

/// The options for the data and the results of an experiment.
struct ExperimentOptions: ParsableArguments {
    @Option(help: "The folder that `lockstep tokenize` wrote.", completion: .directory)
    var data: String

    @Option(help: "A new folder for the results.", completion: .directory)
    var out: String
}

/// The option that overrides keys of a recipe.
struct OverridesOption: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Override a key of the recipe; can be repeated.", valueName: "section.key=value"))
    var set: [String] = []
}

/// The options for the trained model to start from.
struct InitialModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Start from a run's parameters, or from a model in Hugging Face's layout.",
            valueName: "folder"), completion: .directory)
    var initFrom: String?

    @Option(
        parsing: .unconditional,
        help: "The run's checkpoint to start from: a step, or best (default: the newest).")
    var initCheckpoint: String?

    /// Returns the request; nil for new parameters.
    ///
    /// - Throws: `Failure` (usage) if a checkpoint is given without a run, or is not one.
    func request() throws(Failure) -> InitialModelRequest? {
        guard let initFrom else {
            guard initCheckpoint == nil else {
                throw .option(
                    "--init-checkpoint", "does nothing without --init-from",
                    remedy: "add --init-from with the run's folder")
            }
            return nil
        }
        return try InitialModelRequest(path: initFrom, checkpoint: initCheckpoint)
    }
}

/// The option for the number of threads per rank.
struct ThreadsOption: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "The number of threads per rank (default: LOCKSTEP_THREADS, or 1).")
    var threadsPerRank: Int?

    /// Returns the option's number, or otherwise the launcher's, or otherwise 1.
    ///
    /// - Throws: `Failure` (usage) if the option is not from 1 to 1024; (configuration) if the
    ///   launcher's number is not.
    func count() throws(Failure) -> Int {
        if let count = threadsPerRank {
            try requireOption("--threads-per-rank", count, in: Self.range, remedy: "try 1")
            return count
        }
        guard let text = processEnvironment()["LOCKSTEP_THREADS"], !text.isEmpty else { return 1 }
        guard let count = Int(text), Self.range.contains(count) else {
            throw .variable(
                "LOCKSTEP_THREADS", text, "must be a whole number from 1 to 1024",
                remedy: "set it to 1")
        }
        return count
    }

    private static let range = 1...1024
}

/// The options for the arithmetic of a benchmark.
struct PrecisionOptions: ParsableArguments {
    @Option(help: "The precision of the inputs of matrix products: fp32 (default) or bf16.")
    var precision: String?

    @OptionGroup var emulation: EmulationOption

    /// Returns the precision that `--precision` names; nil if it is not given.
    ///
    /// - Throws: `Failure` (usage) if it is not a precision.
    func choice() throws(Failure) -> Precision? {
        guard let precision else { return nil }
        if let choice = Precision(rawValue: precision) { return choice }
        throw Failure.option(
            "--precision", precision, "must be fp32 or bf16", remedy: "give one of them")
    }
}

/// The option that allows bf16 on processors on which it is slow.
struct EmulationOption: ParsableArguments {
    @Flag(
        name: .customLong("emulate-bf16"),
        help: "Allow bf16 on a processor without AVX512-BF16 or AMX, at no more than fp32's speed.")
    var emulateBf16 = false
}
