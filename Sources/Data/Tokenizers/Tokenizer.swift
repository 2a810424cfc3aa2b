import Support

/// A reversible map from text to token ids in `0..<vocabularySize`.
package protocol Tokenizer: Sendable {
    /// The kind of tokenizer in `dataset.json`: "characters", "bytes" or "byte pairs".
    var kind: String { get }
    /// The number of ids (V).
    var vocabularySize: Int { get }
    /// The id that separates documents, or nil if the vocabulary has none. Text never produces it.
    var endOfText: UInt32? { get }
    /// The text of `endOfText` in the vocabulary, such as `<|endoftext|>`.
    var endOfTextName: String? { get }
    /// The maximum number of tokens that a byte of text becomes.
    var mostTokensPerByte: Int { get }
    /// The content of `tokenizer.json`, which is all that `loadTokenizer(folder:)` needs.
    var savedForm: String { get }
    /// The SHA-256 of `savedForm` in hexadecimal. Equal fingerprints mean equal ids for all text.
    var fingerprint: String { get }

    /// The content of a `tokenizer.json` that Hugging Face's Tokenizers reads.
    var huggingFaceForm: String { get }

    /// The files of the vocabulary next to `tokenizer.json` in Hugging Face's layout.
    var vocabularyFiles: [HuggingFaceFile] { get }

    /// Returns an encoder for one text that arrives in pieces.
    ///
    /// - Parameter source: the name of the text in failures, such as a file's path.
    func makeEncoder(source: String) -> any TokenEncoder

    /// Returns the ids of text in which the name of a special token, such as `<|endoftext|>`, means
    /// the token.
    ///
    /// - Throws: `Failure` (bad data) that names a character without an id.
    func encodeWithSpecialTokens(_ text: String, source: String) throws(Failure) -> [UInt32]

    /// Returns the bytes that an id represents, or nil if it is outside the vocabulary.
    func bytes(of id: UInt32) -> [UInt8]?
}

/// The state of encoding one text that arrives in pieces. The ids do not depend on the pieces.
package protocol TokenEncoder {
    /// Reads the text's next bytes and appends the ids that no later byte can change.
    ///
    /// - Throws: `Failure` (bad data) with the offset of a byte that has no id.
    mutating func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure)

    /// Ends the text and appends the remaining ids. The encoder is then ready for a new text.
    ///
    /// - Throws: `Failure` (bad data) if the text ends inside a UTF-8 sequence.
    mutating func finish(into ids: inout [UInt32]) throws(Failure)
}

extension TokenEncoder {
    /// Returns the ids of a whole text.
    ///
    /// - Throws: `Failure` (bad data) that names a character without an id.
    mutating func encodeAll(_ text: String) throws(Failure) -> [UInt32] {
        var ids: [UInt32] = []
        var failure: Failure?
        Array(text.utf8).withUnsafeBytes { bytes in
            do throws(Failure) { try encode(bytes, into: &ids) } catch { failure = error }
        }
        if let failure { throw failure }
        try finish(into: &ids)
        return ids
    }
}

extension Tokenizer {
    package var endOfTextName: String? { nil }
    package var vocabularyFiles: [HuggingFaceFile] { [] }
    package var mostTokensPerByte: Int { 1 }

    package func encodeWithSpecialTokens(
        _ text: String, source: String
    ) throws(Failure) -> [UInt32] { try encode(text, source: source) }

    /// Returns the bytes that the ids represent; the exact inverse of encoding.
    ///
    /// - Throws: `Failure` (bad data) that names an id outside the vocabulary and its position.
    package func decode(_ ids: [UInt32]) throws(Failure) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(4 * ids.count)
        for (position, id) in ids.enumerated() {
            guard let bytes = bytes(of: id) else {
                throw .about(
                    .badData, "token \(id) at position \(position)",
                    "is outside the tokenizer's vocabulary of \(vocabularySize)",
                    remedy: "use the tokenizer that produced these tokens")
            }
            decoded += bytes
        }
        return decoded
    }

    /// Returns the ids of some bytes.
    ///
    /// - Throws: `Failure` (bad data) with the offset of a byte that has no id.
    package func encode(
        _ bytes: UnsafeRawBufferPointer, source: String = "the text"
    ) throws(Failure) -> [UInt32] {
        var encoder = makeEncoder(source: source)
        var ids: [UInt32] = []
        try encoder.encode(bytes, into: &ids)
        try encoder.finish(into: &ids)
        return ids
    }

    /// Returns the ids of text.
    ///
    /// - Throws: `Failure` (bad data) that names a character without an id.
    package func encode(_ text: String) throws(Failure) -> [UInt32] {
        try encode(text, source: "the text")
    }

    private func encode(_ text: String, source: String) throws(Failure) -> [UInt32] {
        try Array(text.utf8).withUnsafeBufferPointer { (bytes) throws(Failure) in
            try encode(UnsafeRawBufferPointer(bytes), source: source)
        }
    }
}
