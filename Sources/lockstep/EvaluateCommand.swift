import ArgumentParser
import Glibc
import Support
import Training

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

            The loss is the mean cross-entropy in nats per token. Any number of ranks
            gives the same bits.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"), completion: .directory)
    var folder: String

    @Option(help: "The data folder (default: the run's).", completion: .directory)
    var data: String?

    @Option(
        parsing: .unconditional,
        help: "A step, or best for the lowest validation loss (default: the newest checkpoint).")
    var checkpoint: String?

    @Flag(help: "Print one line of JSON.")
    var json = false

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        let choice = try CheckpointChoice(checkpoint)
        try Job.run(threads, onStop: .exitAtOnce) { (job) throws(Failure) in
            let inspection = try RunInspection(run: folder, choice, communicator: job.communicator)
            let evaluation = try inspection.evaluate(dataPath: data, in: job)
            return .finished([line(for: evaluation, step: inspection.step)])
        }
    }

    /// Returns the line that reports an evaluation, as text or as JSON.
    private func line(for evaluation: Evaluation, step: Int) -> String {
        let perplexity = exp(evaluation.loss)
        if json {
            var line: JSONObject = [
                "step": .integer(step), "validation_loss": .number(evaluation.loss),
                "perplexity": .number(perplexity), "targets": .integer(evaluation.targets),
            ]
            // The perplexity of a finite loss can overflow.
            if !perplexity.isFinite { line["perplexity"] = nil }
            return line.text
        }
        let shown = perplexity.isFinite ? Format.fixed(perplexity, decimals: 2) : "above 1e308"
        return "validation loss \(Format.fixed(evaluation.loss, decimals: 4)) nats per token "
            + "(perplexity \(shown)) over "
            + "\(Format.count(evaluation.targets)) targets at step \(Format.count(step))"
    }
}
