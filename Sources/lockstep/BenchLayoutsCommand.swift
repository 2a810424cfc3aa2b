import ArgumentParser
import Benchmarks
import Support
import Telemetry
import Training

struct BenchLayoutsCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "layouts",
        abstract: "Measures a recipe's steps with few and many ranks, and prints the best command.",
        discussion: """
            Examples:
              lockstep bench layouts recipe.toml
              lockstep bench layouts launch/recipes/quickstart.toml \\
                  --set model.vocabulary_size=73 --steps 20

            Each layout uses all cores that this machine and its control groups allow:
            many ranks with one thread each, one rank with many threads, and those in
            between. launch/mpirun starts each as a job of its own. The layout never
            changes what is trained.
            """)

    @Argument(help: "The recipe, a TOML file.", completion: .file(extensions: ["toml"]))
    var recipe: String

    @Option(parsing: .unconditional, help: "The number of steps to measure on each layout.")
    var steps = 5

    @OptionGroup var overrides: OverridesOption

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        try requireOption("--steps", steps, in: 1...1_000_000, remedy: "try 5")
        let benchmark = try LayoutBenchmark(
            recipePath: recipe, steps: steps, overrides: overrides.set)
        let line = ProgressLine(
            "measuring layouts", total: benchmark.layouts.count,
            unit: .things("layouts", showsRate: false), mode: try progressMode(),
            environment: processEnvironment(), atOnce: true)
        defer { line.finish() }
        var results: [LayoutResult] = []
        for layout in benchmark.layouts {
            results.append(try benchmark.measure(layout))
            line.update(
                done: results.count,
                details: [
                    "\(layout.ranks) x \(layout.threads): "
                        + "\(Format.count(Int(results[results.count - 1].tokensPerSecond))) tokens/s"
                ])
        }
        line.finish()
        try StandardOutput.write(
            line: json
                ? benchmark.json(results).text
                : benchmark.text(results).joined(separator: "\n"))
    }
}
