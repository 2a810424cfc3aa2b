import FoundationEssentials
import Support

/// What a data folder's `dataset.json` says about its token files.
package struct DatasetDescription: Codable, Sendable, Equatable {
    package static let fileName = "dataset.json"

    /// The tokenizer that made the tokens.
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

    /// One token file.
    package struct Shard: Codable, Sendable, Equatable {
        package let name: String
        package let tokens: Int
    }

    /// The token files of one split, in order.
    package struct Split: Codable, Sendable, Equatable {
        package let tokens: Int
        package let files: [Shard]
        /// The fingerprint of the split; nil in folders of earlier versions.
        package var fingerprint: String?
    }

    package var version = 1
    package let tokenizer: TokenizerSummary
    package let format: TokenFileFormat
    /// The texts as the user named them.
    package let sources: [String]
    /// Bytes of all texts.
    package let bytes: Int
    /// Unicode scalars of all texts; nil where they were taken as bytes.
    package let characters: Int?
    /// The share of the text, from its end, that became the validation split.
    package let validationFraction: Double
    /// Whether an end-of-text token stands before every text.
    package let separatesDocuments: Bool
    /// The text that was replaced by end-of-text tokens; nil if none was.
    package let separator: String?
    package let train: Split
    package let validation: Split

    enum CodingKeys: String, CodingKey {
        case version, tokenizer, format, sources, bytes, characters, separator, train, validation
        case validationFraction = "validation_fraction"
        case separatesDocuments = "separates_documents"
    }

    /// Reads a data folder's description; nil if it has none, as one made by another tool.
    ///
    /// - Throws: `Failure` (input/output or bad data) if the file cannot be used.
    package static func load(folder: String) throws(Failure) -> DatasetDescription? {
        let path = "\(folder)/\(fileName)"
        guard FileSystem.exists(path) else { return nil }
        let remedy = "make the folder again with \"lockstep tokenize\""
        let description = try decodeJSONFile(DatasetDescription.self, at: path, remedy: remedy)
        guard description.version == 1 else {
            throw Failure(
                .badData,
                "\(path): has version \(description.version), but only version 1 is known; "
                    + "\(remedy).")
        }
        return description
    }

    /// Checks that the tokens were made by a tokenizer.
    ///
    /// `owner` says whose tokenizer it is, such as a run's path; `folder` is the data's.
    ///
    /// - Throws: `Failure` (bad data) that says which two tokenizers they are.
    package func check(
        tokenizer other: any Tokenizer, of owner: String, folder: String
    ) throws(Failure) {
        guard tokenizer.fingerprint != other.fingerprint else { return }
        throw Failure(
            .badData,
            "the data in \(folder) was made for another tokenizer (\(tokenizer.kind), "
                + "\(tokenizer.vocabularySize) tokens, fingerprint "
                + "\(tokenizer.fingerprint.prefix(12))) than that of \(owner) (\(other.kind), "
                + "\(other.vocabularySize) tokens, fingerprint \(other.fingerprint.prefix(12))); "
                + "tokenize the text again with the one it is to be used with.")
    }

    /// Checks that a split's token files are as many and as long as described.
    ///
    /// - Throws: `Failure` (bad data) with both token counts.
    package func check(
        _ dataset: TokenDataset, split: DataSplit, folder: String
    ) throws(Failure) {
        let stated = split == .train ? train : validation
        guard dataset.shards.map(\.count) != stated.files.map(\.tokens) else { return }
        throw Failure(
            .badData,
            "\(folder)/\(Self.fileName): describes \(stated.tokens) \(split.rawValue) tokens in "
                + "\(stated.files.count) files, but there are \(dataset.tokenCount) in "
                + "\(dataset.shards.count); make the folder again with \"lockstep tokenize\".")
    }

    /// Checks that a split holds the tokens that were written, by its fingerprint.
    ///
    /// - Throws: `Failure` (bad data) that names the split's first file.
    package func check(
        fingerprint: String, of dataset: TokenDataset, split: DataSplit, folder: String
    ) throws(Failure) {
        let stated = split == .train ? train : validation
        guard let written = stated.fingerprint, written != fingerprint else { return }
        throw Failure(
            .badData,
            "\(dataset.shards[0].path): does not hold the \(split.rawValue) tokens that "
                + "\(folder)/\(Self.fileName) describes, so it was changed; make the folder again "
                + "with \"lockstep tokenize\", or remove \(Self.fileName) to use it as it is.")
    }

    /// The file's content.
    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("a description without special values cannot be encoded")
        }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
