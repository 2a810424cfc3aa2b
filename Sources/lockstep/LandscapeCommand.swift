import ArgumentParser
import Experiments
import Support
import Training

struct LandscapeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "landscape",
        abstract: "Draws the loss on a plane of parameters around a run's newest checkpoint.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep landscape runs/book
              launch/mpirun -- lockstep landscape runs/book --directions pca --grid 31
              launch/mpirun -- lockstep landscape runs/book --planes 4 --out planes
              lockstep landscape runs/book --extent 0.5 --sequences 256 --out around

            With filter the plane is spanned by two random directions whose filters have
            the norms of the model's (Li et al. 2018, arXiv 1712.09913). --planes draws
            several such planes with the same colors, to show what does not depend on
            the choice. With pca the plane is spanned by the two principal directions of
            the run's checkpoints. The run's path, projected onto the plane, is drawn on
            the map and on the surface; train with --set checkpoint.keep=0 to keep all
            checkpoints. The loss is that of the parameters that the optimizer moves,
            not of their average. Ranks share the grid's points; any number of ranks
            gives the same bits. The folder gets landscape.csv, landscape.json and
            report.html.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"), completion: .directory)
    var folder: String

    @Option(help: "The data folder (default: the run's).", completion: .directory)
    var data: String?

    @Option(help: "The directions of the plane: filter or pca.")
    var directions = "filter"

    @Option(parsing: .unconditional, help: "The points along each axis.")
    var grid = 21

    @Option(
        parsing: .unconditional,
        help: """
            The extent of the plane: the distance from the checkpoint in lengths of its filters \
            (default: 1), or with pca the margin around the run's path as a share of its extent \
            (default: 0.25).
            """)
    var extent: Double?

    @Option(
        parsing: .unconditional,
        help: "The validation sequences per point; all of them if there are fewer.")
    var sequences = 64

    @Option(parsing: .unconditional, help: "The seed of the random directions.")
    var seed: UInt64 = 1

    @Option(parsing: .unconditional, help: "The number of random planes.")
    var planes = 1

    @Option(
        help: "A new folder for the results (default: one inside the run's folder).",
        completion: .directory)
    var out: String?

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        guard let kind = LandscapeSession.Directions(rawValue: directions) else {
            throw Failure.option(
                "--directions", directions, "must be filter or pca", remedy: "give one of them")
        }
        try Job.run(threads, onStop: .finishStep) { (job) throws(Failure) in
            let session = LandscapeSession(
                runPath: folder, dataPath: data, directions: kind, grid: grid, extent: extent,
                sequences: sequences, seed: seed, planes: planes, outPath: out, in: job)
            guard let found = try session.run() else { return .discarded }
            return .finished([
                found.landscape.summary, "the report is \(found.folder)/report.html",
            ])
        }
    }
}
