import ArgumentParser
import Experiments
import Support
import Training

struct FindLRCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find-lr",
        abstract: "Finds a learning rate for a recipe by a range test and short runs.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep find-lr recipe.toml --data data/book
              launch/mpirun --ranks 4 -- lockstep find-lr recipe.toml --data data/book \\
                  --out rates/book --write found.toml
              lockstep find-lr runs/book/recipe.toml --data data/book --start runs/book
              lockstep find-lr tune.toml --data data/letters --init-from models/gpt2

            Each step of the range test has a higher rate than the one before (Smith 2015),
            and the loss falls once rates are high enough to learn. From there, short runs
            with the recipe's schedule, usually about seven, search for the rates with the
            least loss. They start from the same parameters and take the same batches, and
            one of them has the recipe's own rate. If their losses may still change places,
            they are repeated with twice the steps. The result names the range of good
            rates and recommends one in its lower part. It is the same on any number of
            ranks and threads. The trained parameters are discarded.

            --start continues from a run's checkpoint with its moments. --init-from starts
            from a trained model's parameters alone, as in `lockstep train --init-from`.

            A much longer run may need another rate; more --probe-steps come closer to it
            and take longer.

            The recommended rate is for the recipe's global batch. --write writes a copy of
            the recipe with the corresponding learning_rate at base_batch under the
            scaling rule, and scales its minimum_learning_rate by the same factor.
            """)

    @Argument(help: "The recipe, a TOML file.", completion: .tomlFile)
    var recipe: String

    @Option(help: "The folder that `lockstep tokenize` wrote.", completion: .directory)
    var data: String

    @Option(parsing: .unconditional, help: "The first learning rate of the range test.")
    var from = 1e-7

    @Option(parsing: .unconditional, help: "The last learning rate of the range test.")
    var to = 10.0

    @Option(parsing: .unconditional, help: "The steps from the first rate to the last.")
    var steps = 100

    @Option(parsing: .unconditional, help: "The steps of each short run.")
    var probeSteps = RateProbe.usualSteps

    @Flag(help: "Raise the rate in equal differences instead of equal factors.")
    var linear = false

    @OptionGroup var overrides: OverridesOption

    @Option(
        help: ArgumentHelp(
            "Start from a run's newest checkpoint instead of new parameters.", valueName: "run"),
        completion: .directory)
    var start: String?

    @OptionGroup var initialModel: InitialModelOptions

    @Option(
        help: "A new folder for curve.csv, find-lr.json and report.html.", completion: .directory)
    var out: String?

    @Option(
        help: ArgumentHelp(
            "A new file for the recipe with the rate that was found.", valueName: "new.toml"),
        completion: .tomlFile)
    var write: String?

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    func run() throws {
        let ramp = try RateRamp(
            from: from, to: to, steps: steps, shape: linear ? .linear : .geometric)
        try RateProbe.requireSteps(probeSteps)
        let initial = try initialModel.request()
        guard initial == nil || start == nil else {
            throw Failure.option(
                "--init-from", "cannot be combined with --start, which also names a model",
                remedy: "leave out --start to begin with new moments")
        }
        try Job.run(threads, emulatesBF16: emulation.emulateBf16, onStop: .finishStep) {
            (job) throws(Failure) in
            let session = RangeTestSession(
                recipePath: recipe, dataPath: data, ramp: ramp, probeSteps: probeSteps,
                overrides: overrides.set, startPath: start, initialModel: initial, outPath: out,
                writePath: write, in: job)
            guard let result = try session.run() else { return .discarded }
            try job.print(
                [result.text] + (out.map { ["the curve and a report are in \($0)"] } ?? []))
            guard let rate = try session.writeRecipe(result), let write else {
                return .finished([])
            }
            return .finished(lines(aboutRecipe: write, with: rate))
        }
    }

    /// Returns the lines that describe the recipe that --write wrote.
    private func lines(
        aboutRecipe path: String, with rate: RangeTestSession.RecipeRate
    ) -> [String] {
        // These overrides would replace values that the new recipe holds.
        let held = [
            "training.global_batch=", "optimizer.learning_rate=", "schedule.minimum_learning_rate=",
        ]
        let others = overrides.set.filter { override in !held.contains { override.hasPrefix($0) } }
        let again =
            others.isEmpty ? "" : "; train it with the same --set, which it does not include"
        let line = "\(path) is \(recipe) with this learning_rate\(again)"
        guard let floor = rate.minimumLearningRate, let part = rate.floorPart, floor > 0 else {
            return [line]
        }
        return [
            line,
            "its minimum_learning_rate = \(floor) is \(Format.significant(part, digits: 3)) "
                + "of learning_rate, as in \(recipe)",
        ]
    }
}
