import Support

/// A reversible map from text to token ids in `0..<vocabularySize`.
package protocol Tokenizer: Sendable {
    /// What it is, as `dataset.json` names it: "characters", "bytes" or "byte pairs".
    var kind: String { get }
    /// The number of ids (V).
    var vocabularySize: Int { get }
    /// The id that separates documents; it never comes from text. Nil where the vocabulary has
    /// none.
    var endOfText: UInt32? { get }
    /// The text of `endOfText` in the vocabulary, such as `<|endoftext|>`.
    var endOfTextName: String? { get }
    /// The content of `tokenizer.json`: everything `loadTokenizer(folder:)` needs.
    var savedForm: String { get }
    /// SHA-256 of `savedForm` in hexadecimal: equal fingerprints mean equal ids for every text.
    var fingerprint: String { get }

    /// An encoder for one text that arrives in pieces.
    ///
    /// `source` is what failures call the text, such as a file's path.
    func makeEncoder(source: String) -> any TokenEncoder

    /// The bytes that the ids stand for; the exact inverse of encoding.
    ///
    /// - Throws: `Failure` (bad data) that names an id outside the vocabulary and its position.
    func decode(_ ids: [UInt32]) throws(Failure) -> [UInt8]
}

/// The state of encoding one text that arrives in pieces; where it is cut never changes the ids.
package protocol TokenEncoder {
    /// Takes the text's next bytes and appends the ids that no later byte can change.
    ///
    /// - Throws: `Failure` (bad data) with the offset of a byte that has no id here.
    mutating func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure)

    /// Ends the text and appends the remaining ids; the encoder then stands before a new text.
    ///
    /// - Throws: `Failure` (bad data) if the text ends inside a UTF-8 sequence.
    mutating func finish(into ids: inout [UInt32]) throws(Failure)
}

extension Tokenizer {
    package var endOfTextName: String? { nil }

    /// The ids of some bytes.
    ///
    /// - Throws: `Failure` (bad data) with the offset of a byte that has no id here.
    package func encode(
        _ bytes: UnsafeRawBufferPointer, source: String = "the text"
    ) throws(Failure) -> [UInt32] {
        var encoder = makeEncoder(source: source)
        var ids: [UInt32] = []
        try encoder.encode(bytes, into: &ids)
        try encoder.finish(into: &ids)
        return ids
    }

    /// Returns the ids of a text in which the name of the end-of-text token stands for the token.
    ///
    /// - Throws: `Failure` (bad data) that names a character without an id.
    package func encodeWithEndOfText(_ text: String) throws(Failure) -> [UInt32] {
        guard let name = endOfTextName, let endOfText else { return try encode(text) }
        return try Array(text.utf8).withUnsafeBytesThrowing { (bytes) throws(Failure) in
            var scanner = SeparatorScanner(name.utf8)
            var ids: [UInt32] = []
            var start = 0
            while let end = scanner.end(in: bytes, from: start) {
                let piece = bytes[start..<end - scanner.separator.count]
                ids += try encode(UnsafeRawBufferPointer(rebasing: piece)) + [endOfText]
                start = end
            }
            return ids + (try encode(UnsafeRawBufferPointer(rebasing: bytes[start...])))
        }
    }

    /// The ids of a text.
    ///
    /// - Throws: `Failure` (bad data) that names a character that has no id here.
    package func encode(_ text: String) throws(Failure) -> [UInt32] {
        let bytes = Array(text.utf8)
        let result: Result<[UInt32], Failure> = bytes.withUnsafeBytes { bytes in
            do throws(Failure) { return .success(try encode(bytes)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// What is wrong with ids outside a vocabulary.
func unknownToken(_ id: UInt32, at position: Int, vocabularySize: Int) -> Failure {
    Failure(
        .badData,
        "token \(id) at position \(position) is outside the tokenizer's vocabulary of "
            + "\(vocabularySize); use the tokenizer that made these tokens.")
}
