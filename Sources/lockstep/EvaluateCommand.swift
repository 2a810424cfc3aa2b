import ArgumentParser
import Glibc
import Support
import Training

/// `lockstep evaluate`
struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measures a run's loss over the whole validation set.",
        discussion: """
            Examples:
              lockstep evaluate runs/book
              launch/mpirun -- lockstep evaluate runs/book --checkpoint 1000 --json
              lockstep evaluate runs/book --checkpoint best
              lockstep evaluate runs/book --data data/other-book

            The loss is the mean cross-entropy in nats a token; any number of ranks
            gives the same bits.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"))
    var folder: String

    @Option(name: .long, help: "A data folder (default: the run's own).")
    var data: String?

    @Option(
        name: .long, parsing: .unconditional,
        help: "A step, or best for the lowest validation loss (default: the newest checkpoint)."
    )
    var checkpoint: String?

    @Flag(name: .long, help: "Print one line of JSON.")
    var json = false

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        let threadCount = try threads.count()
        let progress = try progressMode()
        let choice = try CheckpointChoice(checkpoint)
        StopSignals.exitAtOnce()
        try runOnAllRanks { (world, _) throws(Failure) in
            let inspection = try RunInspection(
                run: folder, choice, communicator: world)
            let evaluation = try inspection.evaluate(
                dataPath: data, threads: threadCount, communicator: world, progress: progress)
            if world.rank == 0 { try show(evaluation, step: inspection.step) }
            return 0
        }
    }

    private func show(_ evaluation: Evaluation, step: Int) throws(Failure) {
        let perplexity = exp(evaluation.loss)
        if json {
            var line: JSONObject = [
                "step": .integer(step), "validation_loss": .number(evaluation.loss),
            ]
            // The perplexity of a finite loss can overflow.
            line["perplexity"] = perplexity.isFinite ? .number(perplexity) : nil
            line["targets"] = .integer(evaluation.targets)
            try StandardOutput.write(line: line.text)
        } else {
            let shown = perplexity.isFinite ? Format.fixed(perplexity, decimals: 2) : "above 1e308"
            try StandardOutput.write(
                line: "validation loss \(Format.fixed(evaluation.loss, decimals: 4)) nats a token "
                    + "(perplexity \(shown)) over "
                    + "\(Format.count(evaluation.targets)) targets at step \(Format.count(step))")
        }
    }
}
