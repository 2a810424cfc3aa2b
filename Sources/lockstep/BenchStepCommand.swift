import ArgumentParser
import Benchmarks
import Support
import Training

struct BenchStepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "Measures whole training steps on random tokens, alone or under mpirun.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep bench step --size gpt2-124m
              launch/mpirun --ranks 1 --threads 2 -- lockstep bench step --size char --json
              lockstep bench step --size baby --set model.layers=12
              launch/mpirun -- lockstep bench step recipe.toml --json >step.json

            Sizes, with the work per rank in a step:
              gpt2-124m         4 sequences of 256 tokens
              gpt2-124m-t1024   1 sequence of 1024 tokens
              baby              16 sequences of 256 tokens, 6 layers of width 384
              char              12 sequences of 64 tokens, 4 layers of width 128

            A step is forward, backward with the reduction, clipping to norm 1 and
            AdamW. Two warm-up steps precede the measured ones. MFU is the model's
            arithmetic as a share of the cores' peak, which is measured first.
            `lockstep plan` reads the JSON of a recipe's step.
            """)

    @Argument(
        help: "A recipe to measure instead of a size, with its precision and global batch.",
        completion: .file(extensions: ["toml"]))
    var recipe: String?

    @Option(help: "The name of the model and the work per rank (default: gpt2-124m).")
    var size: String?

    @OptionGroup var arithmetic: PrecisionOptions

    @Option(parsing: .unconditional, help: "The number of steps to measure.")
    var steps = 5

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Override a key of the recipe; can be repeated.",
            valueName: "section.key=value"))
    var set: [String] = []

    @Option(
        parsing: .unconditional,
        help: "The tokens per sequence (default: the size's or the recipe's).")
    var sequenceLength: Int?

    @OptionGroup var threads: ThreadsOption

    @Option(
        help: ArgumentHelp(
            "Write a timeline of all ranks for chrome://tracing or ui.perfetto.dev.",
            valueName: "file"), completion: .file())
    var trace: String?

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        try requireOption("--steps", steps, in: 1...1_000_000, remedy: "try 5")
        let benchmark = StepBenchmark(
            subject: try subject(), steps: steps,
            overrides: set, sequenceLength: sequenceLength, tracePath: trace)
        try Job.run(threads, emulatesBF16: arithmetic.emulation.emulateBf16, onStop: .exitAtOnce) {
            (job) throws(Failure) in
            let report = try benchmark.run(in: job)
            return .finished([json ? report.json.text : report.text])
        }
    }

    private func subject() throws(Failure) -> StepSubject {
        guard let recipe else {
            return StepSubject(
                try .named(size ?? "gpt2-124m"), precision: try arithmetic.choice() ?? .fp32)
        }
        guard size == nil else {
            throw .option(
                "--size", "does not go with a recipe", remedy: "give one of the two")
        }
        guard try arithmetic.choice() == nil else {
            throw .option(
                "--precision", "does not go with a recipe",
                remedy: "use --set training.precision=bf16")
        }
        return try StepSubject(recipeAt: recipe)
    }
}
