import ArgumentParser
import Experiments
import Support
import Training

struct CoordinatesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinates",
        abstract: "Checks whether activations change equally at every model size.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep coordinates recipe.toml --data data/book \\
                  --out coordinates
              launch/mpirun -- lockstep coordinates recipe.toml --data data/book \\
                  --out coordinates/depth --layers 2,4,8,16 \\
                  --parametrizations standard,mup,completep

            It trains the recipe's model at several widths, or numbers of layers, for a
            few steps at the peak rate, and fits a power law to the change of the
            activations against the size. If no change grows or shrinks, one rate can be
            expected to suit all sizes; a sweep over sizes tests this. Each
            parametrization equals the standard one at the recipe's base_width and
            base_layers, or at the recipe's own size if they are unset. Heads keep their
            width. Any number of ranks gives the same bits. The folder gets
            coordinates.csv, coordinates.json and report.html.
            """)

    @Argument(help: "The recipe, a TOML file.", completion: .tomlFile)
    var recipe: String

    @OptionGroup var experiment: ExperimentOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            The widths in ascending order (default: half, one, two and four times the recipe's).
            """, valueName: "a,b,..."))
    var widths: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The numbers of layers in ascending order, to vary instead of the width.",
            valueName: "a,b,..."))
    var layers: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The parametrizations, among standard, mup and completep.", valueName: "a,b,..."))
    var parametrizations = "standard,mup"

    @Option(parsing: .unconditional, help: "The steps of each run.")
    var steps = 10

    @Option(parsing: .unconditional, help: "The seeds of each size.")
    var seeds = 3

    @OptionGroup var overrides: OverridesOption

    @OptionGroup var threads: ThreadsOption

    @OptionGroup var emulation: EmulationOption

    func run() throws {
        let options = CoordinatesOptions(
            recipePath: recipe, dataPath: experiment.data, outPath: experiment.out, widths: widths,
            layers: layers, parametrizations: parametrizations, steps: steps, seeds: seeds,
            overrides: overrides.set)
        try Job.run(threads, emulatesBF16: emulation.emulateBf16, onStop: .finishStep) {
            (job) throws(Failure) in
            guard let result = try CoordinatesSession(options, in: job).run() else {
                return .discarded
            }
            return .finished(result.sentences + ["the report is \(experiment.out)/report.html"])
        }
    }
}
