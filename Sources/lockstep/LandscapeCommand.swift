import ArgumentParser
import Experiments
import Support
import Training

/// `lockstep landscape`
struct LandscapeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "landscape",
        abstract: "Draws the loss around a run's newest checkpoint, over a plane of parameters.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep landscape runs/book
              launch/mpirun -- lockstep landscape runs/book --directions pca --grid 31
              lockstep landscape runs/book --extent 0.5 --sequences 256 --out around

            With filter the plane has two random directions, each filter as long as the
            model's (Li et al. 2018, arXiv 1712.09913); with pca the two principal
            directions of the run's checkpoints, and the run's way is drawn on it: train
            with --set checkpoint.keep=0 to have them. It is the loss of the parameters
            that the optimizer moves, not of their average. Ranks share the grid's points; any
            number of ranks gives the same bits. The folder gets landscape.csv,
            landscape.json and report.html.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
    var folder: String

    @Option(name: .long, help: "A data folder (default: the run's own).")
    var data: String?

    @Option(name: .long, help: "How the plane is chosen: filter or pca.")
    var directions = "filter"

    @Option(name: .long, parsing: .unconditional, help: "Points along each axis.")
    var grid = 21

    @Option(
        name: .long, parsing: .unconditional,
        help: """
            How far it goes: from the checkpoint in lengths of its filters (default: 1), or with \
            pca beyond the run's way as a part of its extent (default: 0.25).
            """)
    var extent: Double?

    @Option(
        name: .long, parsing: .unconditional,
        help: "Validation sequences at each point; all where there are fewer.")
    var sequences = 64

    @Option(name: .long, parsing: .unconditional, help: "Seeds the random directions.")
    var seed: UInt64 = 1

    @Option(name: .long, help: "The folder that is made (default: in the run's).")
    var out: String?

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        guard let kind = LandscapeRequest.Directions(rawValue: directions) else {
            throw Failure(
                .usage, "--directions is \"\(directions)\", but must be filter or pca.")
        }
        let request = LandscapeRequest(
            runPath: folder, dataPath: data, directions: kind, grid: grid, extent: extent,
            sequences: sequences, seed: seed, outPath: out)
        try Job.run(threads: threads, onStop: .finishStep) { (job) throws(Failure) in
            guard let found = try LandscapeSession(request, in: job).run() else {
                return .discarded
            }
            return .finished([
                found.landscape.summary, "the report is \(found.folder)/report.html",
            ])
        }
    }
}
