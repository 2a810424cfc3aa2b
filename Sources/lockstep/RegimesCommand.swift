import ArgumentParser
import Experiments
import Support
import Training

struct RegimesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "regimes",
        abstract: "Shows the effect of too small, good and too large learning rates on a model.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep regimes --data data/book --out regimes
              launch/mpirun -- lockstep regimes recipe.toml --data data/book \\
                  --out regimes --rates 1e-4,3e-3,1e-1

            It takes a small model, or the model of a recipe, and tries rates around the
            recipe's in short runs from the same start. The good rate is the one at which
            the loss falls farthest; of rates whose losses are too close to tell apart, it
            is the recipe's, or otherwise the lowest. The other two are the nearest rates
            below and above at which it falls at most half as far, or diverges. Then it
            trains a run at each of the three. The report shows the losses, the loss
            against the rate, the sharpness along the runs with the bound of each rate, and
            the paths of the runs on a plane. The log states at the start how long this takes:
            about a minute for the small model. Any number of ranks gives the same bits.
            The folder gets regimes.csv, regimes.json and report.html.
            """)

    @Argument(
        help: "The recipe, a TOML file (default: a built-in small model).",
        completion: .tomlFile)
    var recipe: String?

    @OptionGroup var experiment: ExperimentOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The three rates (default: found in short runs).", valueName: "small,good,large"))
    var rates: String?

    @Option(
        parsing: .unconditional,
        help: "The steps of each short run (default: those of the recipe, 20 to 150).")
    var probeSteps: Int?

    @Option(parsing: .unconditional, help: "The points along each axis of the maps.")
    var grid = 21

    @Option(
        parsing: .unconditional,
        help: "The validation sequences per point; all of them if there are fewer.")
    var sequences = 64

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    func run() throws {
        try Job.run(threads, emulatesBF16: emulation.emulateBf16, onStop: .finishStep) {
            (job) throws(Failure) in
            let session = RegimesSession(
                recipePath: recipe, dataPath: experiment.data, outPath: experiment.out,
                rates: rates, probeSteps: probeSteps, grid: grid, sequences: sequences, in: job)
            guard let regimes = try session.run() else { return .discarded }
            return .finished(regimes.sentences + ["the report is \(experiment.out)/report.html"])
        }
    }
}
