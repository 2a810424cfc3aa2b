import ArgumentParser
import Benchmarks
import Recipes
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
              launch/mpirun -- lockstep bench step --recipe recipe.toml --json >step.json

            Sizes, with the work per rank in a step:
              gpt2-124m         4 sequences of 256 tokens
              gpt2-124m-t1024   1 sequence of 1024 tokens
              baby              16 sequences of 256 tokens, 6 layers of width 384
              char              12 sequences of 64 tokens, 4 layers of width 128

            A step is forward, backward with the reduction, clipping to norm 1 and
            AdamW. Two warm-up steps precede the measured ones. MFU is the model's
            arithmetic as a share of the cores' peak, which is measured first.
            With a recipe, each rank trains one micro-batch of the recipe's model with its
            precision and optimizer; `lockstep plan` reads the JSON of such a step.
            """)

    @Option(help: "The name of the model and the work per rank.")
    var size = "gpt2-124m"

    @Option(help: "Measure the step of a recipe instead of a size.")
    var recipe: String?

    @OptionGroup var arithmetic: PrecisionOptions

    @Option(parsing: .unconditional, help: "The number of steps to measure.")
    var steps = 5

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Override a key of the size's recipe; can be repeated.",
            valueName: "section.key=value"))
    var set: [String] = []

    @Option(parsing: .unconditional, help: "The tokens per sequence (default: the size's).")
    var sequenceLength: Int?

    @OptionGroup var threads: ThreadsOption

    @Option(
        help: ArgumentHelp(
            "Write a timeline of all ranks for chrome://tracing or ui.perfetto.dev.",
            valueName: "file"))
    var trace: String?

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        try requireOption("--steps", steps, in: 1...1_000_000, remedy: "try 5")
        let size = try BenchmarkSize.named(size)
        let precision = try arithmetic.choice()
        try Job.run(threads, emulatesBF16: arithmetic.emulation.emulateBf16, onStop: .exitAtOnce) {
            (job) throws(Failure) in
            var benchmark = StepBenchmark(
                size: size, precision: precision, steps: steps, overrides: set,
                sequenceLength: sequenceLength, tracePath: trace)
            if let recipe {
                let ranks = job.communicator.size
                benchmark = try job.communicator.agree { () throws(Failure) in
                    try StepBenchmark(
                        recipe: Recipe(toml: readText(recipe), name: recipe, overrides: set),
                        name: recipe, ranks: ranks, steps: steps)
                }
                benchmark.sequenceLength = sequenceLength
                benchmark.tracePath = trace
            }
            let report = try benchmark.run(in: job)
            return .finished([json ? report.json.text : report.text])
        }
    }
}
