import Collectives
import Data
import Glibc
import MPI
import Support

/// The windows through which a text is read.
package struct WindowRequest: Sendable {
    /// The largest number of inputs in a window; nil for the model's context.
    package let window: Int?
    /// The number of tokens from the start of a window to the start of the next; nil for the window's length.
    package let stride: Int?

    package init(window: Int?, stride: Int?) {
        self.window = window
        self.stride = stride
    }

    /// Returns the length and the stride for a model's context.
    ///
    /// - Throws: `Failure` (usage) if the window is longer than the context, or the stride than the
    ///   window.
    func resolved(contextLength: Int) throws(Failure) -> (length: Int, stride: Int) {
        let length = window ?? contextLength
        guard (1...contextLength).contains(length) else {
            throw .option(
                "--window", length, "must be from 1 to the model's context of \(contextLength)",
                remedy: "leave it out for \(contextLength)")
        }
        let stride = stride ?? length
        guard (1...length).contains(stride) else {
            throw .option(
                "--stride", stride, "must be from 1 to the window of \(length) tokens",
                remedy: "try \(max(1, length / 2))")
        }
        return (length, stride)
    }
}

/// The result of an evaluation on a text.
package struct TextEvaluation: Sendable, Equatable {
    /// The mean cross-entropy in nats per predicted token.
    package let loss: Double
    /// The number of predicted tokens.
    package let targets: Int
    /// The bytes of the predicted tokens.
    package let bytes: Int
    /// The characters that begin in the predicted tokens.
    package let characters: Int
    /// The largest number of inputs in a window.
    package let window: Int
    /// The number of tokens from the start of a window to the start of the next.
    package let stride: Int

    /// The exponential of the loss, which may be infinite.
    package var perplexity: Double { exp(loss) }
    /// The loss of all tokens in bits, divided by their bytes.
    package var bitsPerByte: Double { bits / Double(bytes) }
    /// The loss of all tokens in bits, divided by their characters; nil if there are none.
    package var bitsPerCharacter: Double? { characters > 0 ? bits / Double(characters) : nil }

    private var bits: Double { loss * Double(targets) / M_LN2 }
}

extension EvaluatedModel {
    /// Returns the loss on a text, on the first rank, and nil on the others. Collective: every rank
    /// must call this.
    ///
    /// The losses of the windows are added along the reduction tree over them.
    ///
    /// - Parameter path: the path of a text file; "-" is standard input of the first rank.
    /// - Throws: `Failure`, the same on all ranks, if the text or the request is invalid, or if a
    ///   loss is not a number.
    package func evaluate(
        text path: String, _ request: WindowRequest, in job: Job
    ) throws(Failure) -> TextEvaluation? {
        let prepared = try job.communicator.onFirstRank { () throws(Failure) in
            let (length, stride) = try request.resolved(
                contextLength: configuration.contextLength)
            let text = try EvaluationText(
                path: path, tokenizer: try requireTokenizer(for: path),
                vocabularySize: configuration.vocabularySize)
            return (
                text,
                SlidingWindows(tokenCount: text.tokens.count, length: length, stride: stride)
            )
        }
        let rows = try (prepared.map { ScoredRows($0, $1) } ?? ScoredRows())
            .fromFirstRank(job.communicator)
        let losses = try rows.losses(of: self, in: job)
        guard let (text, windows) = prepared else { return nil }
        let total = ReductionTree(laneCount: losses.count).sum(losses, by: +)
        return TextEvaluation(
            loss: total / Double(text.tokens.count - 1), targets: text.tokens.count - 1,
            bytes: text.bytes, characters: text.characters, window: windows.length,
            stride: windows.stride)
    }
}
