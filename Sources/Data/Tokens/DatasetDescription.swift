import FoundationEssentials
import Support

/// The description of a data folder's token files in its `dataset.json`.
package struct DatasetDescription: Codable, Sendable, Equatable {
    package static let fileName = "dataset.json"

    /// The tokenizer that produced the tokens.
    package struct TokenizerSummary: Codable, Sendable, Equatable {
        package let kind: String
        package let fingerprint: String
        package let vocabularySize: Int

        init(_ tokenizer: any Tokenizer) {
            kind = tokenizer.kind
            fingerprint = tokenizer.fingerprint
            vocabularySize = tokenizer.vocabularySize
        }

        enum CodingKeys: String, CodingKey {
            case kind, fingerprint
            case vocabularySize = "vocabulary_size"
        }
    }

    /// A token file.
    package struct Shard: Codable, Sendable, Equatable {
        package let name: String
        package let tokens: Int
    }

    /// The token files of one split, in order.
    package struct Split: Codable, Sendable, Equatable {
        package let tokens: Int
        package let files: [Shard]
        /// The fingerprint of the split, or nil in folders of earlier versions.
        package var fingerprint: String?
    }

    package var version = 1
    package let tokenizer: TokenizerSummary
    package let format: TokenFileFormat
    /// The texts as the user named them.
    package let sources: [String]
    /// The number of bytes of all texts.
    package let bytes: Int
    /// The number of Unicode scalars of all texts, or nil if they were encoded as bytes.
    package let characters: Int?
    /// The share of the text, at its end, that became the validation split.
    package let validationFraction: Double
    /// Whether an end-of-text token precedes every text.
    package let separatesDocuments: Bool
    /// The separator that was replaced by end-of-text tokens, or nil if there was none.
    package let separator: String?
    package let train: Split
    package let validation: Split

    enum CodingKeys: String, CodingKey {
        case version, tokenizer, format, sources, bytes, characters, separator, train, validation
        case validationFraction = "validation_fraction"
        case separatesDocuments = "separates_documents"
    }

    /// Reads a data folder's description. Returns nil if it has none, as in a folder written by
    /// another tool.
    ///
    /// - Throws: `Failure` (input/output or bad data) if the file cannot be used.
    package static func load(folder: String) throws(Failure) -> DatasetDescription? {
        let path = "\(folder)/\(fileName)"
        guard FileSystem.exists(path) else { return nil }
        let description = try decodeJSONFile(DatasetDescription.self, at: path)
        guard description.version == 1 else {
            throw .badData(
                path, "has version \(description.version), but only version 1 is supported")
        }
        return description
    }

    /// Checks that the tokens were produced by a tokenizer.
    ///
    /// - Parameters:
    ///   - owner: the owner of `other`, such as a run's path.
    ///   - folder: the data folder.
    /// - Throws: `Failure` (bad data) that describes the two tokenizers if they differ.
    package func check(
        tokenizer other: any Tokenizer, of owner: String, folder: String
    ) throws(Failure) {
        guard tokenizer.fingerprint != other.fingerprint else { return }
        throw .badData(
            folder,
            "was made with another tokenizer (\(tokenizer.kind), "
                + "\(tokenizer.vocabularySize) tokens, fingerprint "
                + "\(tokenizer.fingerprint.prefix(12))) than \(owner) (\(other.kind), "
                + "\(other.vocabularySize) tokens, fingerprint \(other.fingerprint.prefix(12)))",
            remedy: "tokenize the text again with the tokenizer of the model")
    }

    /// Checks that a split has the described number of token files with the described lengths.
    ///
    /// - Throws: `Failure` (bad data) with both token counts if it does not.
    package func check(
        _ dataset: TokenDataset, split: DataSplit, folder: String
    ) throws(Failure) {
        let stated = split == .train ? train : validation
        guard dataset.shards.map(\.count) != stated.files.map(\.tokens) else { return }
        throw .badData(
            "\(folder)/\(Self.fileName)",
            "describes \(stated.tokens) \(split.rawValue) tokens in \(stated.files.count) files, "
                + "but there are \(dataset.tokenCount) in \(dataset.shards.count)")
    }

    /// Checks by the fingerprint that a split contains the tokens that were written.
    ///
    /// - Throws: `Failure` (bad data) that names the split's first file if it does not.
    package func check(
        fingerprint: String, of dataset: TokenDataset, split: DataSplit, folder: String
    ) throws(Failure) {
        let stated = split == .train ? train : validation
        guard let written = stated.fingerprint, written != fingerprint else { return }
        throw .badData(
            dataset.shards[0].path,
            "does not contain the \(split.rawValue) tokens that \(folder)/\(Self.fileName) "
                + "describes, so it was changed",
            remedy: "\(tokenizeAgain), or remove \(Self.fileName) to use the file as it is")
    }

    /// The content of the file.
    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("a description without special values cannot be encoded")
        }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
