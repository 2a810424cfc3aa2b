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

            It trains a small model, or the model of a recipe, three times from the same
            start. All ranks train one run after another. The report shows the losses,
            and the paths of the runs on a plane that contains all three. Any number of
            ranks gives the same bits. The folder gets regimes.csv, regimes.json and
            report.html.
            """)

    @Argument(help: "The recipe, a TOML file (default: a built-in small model).")
    var recipe: String?

    @Option(help: "The folder that `lockstep tokenize` wrote.")
    var data: String?

    @Option(help: "A new folder for the results.")
    var out: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The three rates (default: the recipe's, a thirtieth of it and thirty times it).",
            valueName: "small,good,large"))
    var rates: String?

    @Option(parsing: .unconditional, help: "The points along each axis of the maps.")
    var grid = 21

    @Option(
        parsing: .unconditional,
        help: "The validation sequences per point; all of them if there are fewer.")
    var sequences = 64

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    func run() throws {
        guard let data else { throw TrainingData.notGiven }
        guard let out else {
            throw Failure(.usage, "No output folder is given; add --out with a new folder.")
        }
        try Job.run(threads, emulatesBF16: emulation.emulateBf16, onStop: .finishStep) {
            (job) throws(Failure) in
            let session = RegimesSession(
                recipePath: recipe, dataPath: data, outPath: out, rates: rates, grid: grid,
                sequences: sequences, in: job)
            guard let regimes = try session.run() else { return .discarded }
            return .finished(regimes.sentences + ["the report is \(out)/report.html"])
        }
    }
}
