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
            sequences: sequences, seed: seed, outPath: out,
            threads: try threads.count(), progress: try progressMode())
        StopSignals.listenForTermination()
        try runOnAllRanks { (world, _) throws(Failure) in
            switch try LandscapeSession(request, communicator: world).run() {
            case .finished(let landscape, let folder):
                if world.rank == 0 {
                    try StandardOutput.write(line: landscape.summary)
                    try StandardOutput.write(line: "the report is \(folder)/report.html")
                }
                return 0
            case .stopped:
                if world.rank == 0 {
                    // If the terminal is gone, the message cannot be written.
                    try? StandardOutput.write(
                        line: "stopped because a signal asked for it; nothing was written")
                }
                return Failure.Code.requeue.rawValue
            }
        }
    }
}
