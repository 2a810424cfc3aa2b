import Compute
import Support

/// The tokens of a text on which a model is evaluated.
///
/// The first token is given, because nothing precedes it, and all others are predicted.
package struct EvaluationText: Sendable {
    /// The tokens, at least two.
    package let tokens: [Int32]
    /// The bytes of the predicted tokens.
    package let bytes: Int
    /// The characters (Unicode scalars) that begin in the predicted tokens.
    package let characters: Int

    /// Reads and encodes a text file, which may be compressed; "-" is standard input. Text that
    /// spells a special token remains text.
    ///
    /// - Parameter vocabularySize: the number of tokens that the model knows.
    /// - Throws: `Failure` (missing input, input/output); (bad data) if the text is not in the
    ///   tokenizer's alphabet, has fewer than two tokens, or has one outside the vocabulary.
    package init(
        path: String, tokenizer: any Tokenizer, vocabularySize: Int
    ) throws(Failure) {
        let name = path == "-" ? "standard input" : path
        var encoder = tokenizer.makeEncoder(source: name)
        var tokens: [Int32] = []
        var bytes = 0
        var characters = 0
        var ids: [UInt32] = []
        func take() throws(Failure) {
            for id in ids {
                guard id < vocabularySize else {
                    throw outsideVocabulary(
                        id, of: name, "at position \(tokens.count)", vocabularySize)
                }
                if !tokens.isEmpty, let text = tokenizer.bytes(of: id) {
                    bytes += text.count
                    characters += text.count { $0 & 0xC0 != 0x80 }
                }
                tokens.append(Int32(id))
            }
            ids.removeAll(keepingCapacity: true)
        }
        var isEmpty = true
        var file = try InputFile(path, name: name)
        try file.forEachChunk { (chunk) throws(Failure) in
            isEmpty = false
            try encoder.encode(chunk, into: &ids)
            try take()
        }
        try encoder.finish(into: &ids)
        try take()
        guard tokens.count >= 2 else {
            throw .file(
                .badData, name,
                isEmpty
                    ? "is empty"
                    : "has only one token, which nothing predicts",
                remedy: "give a text of at least two tokens")
        }
        self.tokens = tokens
        self.bytes = bytes
        self.characters = characters
    }
}

/// Returns the failure of a token that the model does not know.
func outsideVocabulary(
    _ id: UInt32, of name: String, _ place: String, _ vocabularySize: Int
) -> Failure {
    .file(
        .badData, name,
        "has the token \(id) \(place), outside the model's vocabulary of \(vocabularySize)",
        remedy: "use the tokenizer that the model was trained with")
}

/// The windows through which a model reads a text, each predicting the targets that no earlier one
/// has predicted.
///
/// Window k begins at token k times the stride. The first one predicts all of its targets, and each
/// later one its last `stride` targets, which have at least `length - stride` tokens before them
/// (Hugging Face's guide "Perplexity of fixed-length models").
package struct SlidingWindows: Sendable {
    /// The largest number of inputs in a window.
    package let length: Int
    /// The number of tokens from the start of a window to the start of the next.
    package let stride: Int
    /// The number of windows.
    package let count: Int
    private let targetCount: Int

    /// Creates the windows over `tokenCount` tokens, at least two; `stride` is from 1 to `length`.
    package init(tokenCount: Int, length: Int, stride: Int) {
        precondition(tokenCount >= 2 && (1...length).contains(stride), "the windows can move")
        self.length = length
        self.stride = stride
        targetCount = tokenCount - 1
        count = 1 + max(0, targetCount - length + stride - 1) / stride
    }

    /// Returns the first input of a window, the number of its inputs, and the number of leading
    /// targets that earlier windows have predicted.
    package func window(_ index: Int) -> (start: Int, inputs: Int, predicted: Int) {
        precondition((0..<count).contains(index), "window \(index) of \(count)")
        let start = index * stride
        return (start, min(length, targetCount - start), index == 0 ? 0 : length - stride)
    }
}
