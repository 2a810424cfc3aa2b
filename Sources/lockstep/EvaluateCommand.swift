import ArgumentParser
import Glibc
import Support
import Training

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measures a model's loss on data or text, or its answers to questions.",
        discussion: """
            Examples:
              lockstep evaluate runs/book
              launch/mpirun -- lockstep evaluate runs/book --checkpoint 1000 --json
              lockstep evaluate runs/book --checkpoint best
              lockstep evaluate runs/book --data data/other-book
              lockstep evaluate runs/book --text other-book.txt --stride 32
              lockstep evaluate models/gpt2 --text corpus.txt.gz --stride 512
              launch/mpirun -- lockstep evaluate models/gpt2 \\
                  --multiple-choice hellaswag_val.jsonl --json

            Without --text and --multiple-choice, the loss over the whole validation set
            is measured. The loss is the mean cross-entropy in nats per token. Any number
            of ranks gives the same bits.

            With --text, windows of --window tokens begin every --stride tokens, and each
            token after the first is predicted once, with at least window - stride tokens
            before it. A smaller stride gives more context and takes longer. The bits per
            byte and per character do not depend on the tokenizer.

            With --multiple-choice, the answer is the ending with the greatest
            log-likelihood (acc), or with the greatest one per byte of the ending
            (acc_norm) or per token (acc_token). The file has HellaSwag's JSON lines with
            ctx, endings and label, or is llm.c's .bin.

            Texts and questions may be compressed with gzip or Zstandard. A model in
            Hugging Face's layout needs one of the two options.
            """)

    @Argument(
        help: ArgumentHelp(
            "The folder of a run, or of a model in Hugging Face's layout.", valueName: "model"),
        completion: .directory)
    var folder: String

    @Option(help: "The data folder (default: the run's).", completion: .directory)
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Measure the loss on a text; - for standard input.", valueName: "file"),
        completion: .file())
    var text: String?

    @Option(
        parsing: .unconditional,
        help: "The number of tokens between the starts of windows (default: the window's).")
    var stride: Int?

    @Option(
        parsing: .unconditional,
        help: "The largest number of tokens in a window (default: the model's context).")
    var window: Int?

    @Option(
        help: ArgumentHelp(
            "Answer the questions of a file; - for standard input.", valueName: "file"),
        completion: .file())
    var multipleChoice: String?

    @Option(
        help: ArgumentHelp(
            "Write the answer to each question as a line of JSON.", valueName: "file"),
        completion: .file())
    var answers: String?

    @Option(
        parsing: .unconditional,
        help: "A step, or best for the lowest validation loss (default: the newest checkpoint).")
    var checkpoint: String?

    @Flag(help: "Print one line of JSON.")
    var json = false

    @OptionGroup var threads: ThreadsOption

    func run() throws {
        try checkCombination()
        let choice = try CheckpointChoice(checkpoint)
        let given = checkpoint == nil ? nil : choice
        try Job.run(threads, onStop: .exitAtOnce) { (job) throws(Failure) in
            if let text {
                let model = try EvaluatedModel(folder, given, communicator: job.communicator)
                let evaluation = try model.evaluate(
                    text: text, WindowRequest(window: window, stride: stride), in: job)
                return .finished(evaluation.map { [line(for: $0, step: model.step)] } ?? [])
            }
            if let multipleChoice {
                let model = try EvaluatedModel(folder, given, communicator: job.communicator)
                let evaluation = try model.evaluate(
                    questions: multipleChoice, writingAnswersTo: answers, in: job)
                return .finished(evaluation.map { [line(for: $0, step: model.step)] } ?? [])
            }
            try job.communicator.onFirstRank { () throws(Failure) in
                try RunFolder(folder).refuseModelWithoutText()
            }
            let inspection = try RunInspection(run: folder, choice, communicator: job.communicator)
            let evaluation = try inspection.evaluate(dataPath: data, in: job)
            return .finished([line(for: evaluation, step: inspection.step)])
        }
    }

    /// Checks that every option has an effect.
    ///
    /// - Throws: `Failure` (usage) that names one that has none.
    private func checkCombination() throws(Failure) {
        let sources = [
            ("--data", data), ("--text", text), ("--multiple-choice", multipleChoice),
        ].filter { $0.1 != nil }.map(\.0)
        guard sources.count < 2 else {
            throw .option(
                sources[1], "does not go with \(sources[0])", remedy: "give one of them")
        }
        for (option, isGiven, needed) in [
            ("--stride", stride != nil && text == nil, "--text"),
            ("--window", window != nil && text == nil, "--text"),
            ("--answers", answers != nil && multipleChoice == nil, "--multiple-choice"),
        ] where isGiven {
            throw .option(option, "does nothing without \(needed)", remedy: "add \(needed) FILE")
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
        return "validation loss \(Format.fixed(evaluation.loss, decimals: 4)) nats per token "
            + "(perplexity \(shown(perplexity))) over "
            + "\(Format.count(evaluation.targets)) targets at step \(Format.count(step))"
    }

    /// Returns the line that reports an evaluation on a text.
    private func line(for evaluation: TextEvaluation, step: Int?) -> String {
        let perplexity = evaluation.perplexity
        if json {
            var line = JSONObject()
            line["step"] = step.map { .integer($0) }
            line["loss"] = .number(evaluation.loss)
            if perplexity.isFinite { line["perplexity"] = .number(perplexity) }
            line["bits_per_byte"] = .number(evaluation.bitsPerByte)
            line["bits_per_character"] = evaluation.bitsPerCharacter.map { .number($0) }
            line["targets"] = .integer(evaluation.targets)
            line["bytes"] = .integer(evaluation.bytes)
            line["characters"] = .integer(evaluation.characters)
            line["window"] = .integer(evaluation.window)
            line["stride"] = .integer(evaluation.stride)
            return line.text
        }
        let perCharacter = evaluation.bitsPerCharacter.map {
            ", \(Format.fixed($0, decimals: 4)) per character"
        }
        return "loss \(Format.fixed(evaluation.loss, decimals: 4)) nats per token "
            + "(perplexity \(shown(perplexity))), "
            + "\(Format.fixed(evaluation.bitsPerByte, decimals: 4)) bits per byte"
            + "\(perCharacter ?? "") over \(Format.count(evaluation.targets)) targets"
            + atStep(step)
    }

    /// Returns the line that reports the answers to questions.
    private func line(for evaluation: ChoiceEvaluation, step: Int?) -> String {
        let count = evaluation.answers.count
        if json {
            var line = JSONObject()
            line["step"] = step.map { .integer($0) }
            line["acc"] = .number(evaluation.accuracy)
            line["acc_norm"] = evaluation.accuracyPerByte.map { .number($0) }
            line["acc_token"] = .number(evaluation.accuracyPerToken)
            line["questions"] = .integer(count)
            return line.text
        }
        let perByte = evaluation.accuracyPerByte.map { "acc_norm \(percent($0)), " } ?? ""
        return "acc \(percent(evaluation.accuracy)), \(perByte)"
            + "acc_token \(percent(evaluation.accuracyPerToken)) over "
            + "\(Format.counted(count, "question"))" + atStep(step)
    }

    private func shown(_ perplexity: Double) -> String {
        perplexity.isFinite ? Format.fixed(perplexity, decimals: 2) : "above 1e308"
    }

    private func percent(_ fraction: Double) -> String {
        "\(Format.fixed(100 * fraction, decimals: 2)) %"
    }

    private func atStep(_ step: Int?) -> String {
        step.map { " at step \(Format.count($0))" } ?? ""
    }
}
