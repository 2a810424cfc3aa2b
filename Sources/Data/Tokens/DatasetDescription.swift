import Support

/// The description of a data folder's token files in its `dataset.json`.
package struct DatasetDescription: Sendable, Equatable {
    package static let fileName = "dataset.json"

    /// The tokenizer that produced the tokens.
    package struct TokenizerSummary: Sendable, Equatable {
        package let kind: String
        package let fingerprint: String
        package let vocabularySize: Int

        init(_ tokenizer: any Tokenizer) {
            kind = tokenizer.kind
            fingerprint = tokenizer.fingerprint
            vocabularySize = tokenizer.vocabularySize
        }
    }

    /// A token file.
    package struct Shard: Sendable, Equatable {
        package let name: String
        package let tokens: Int
    }

    /// The token files of one split, in order.
    package struct Split: Sendable, Equatable {
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
    /// The texts of the validation split, or nil if it is the end of `sources`.
    package let validationSources: [String]?
    /// The number of bytes of all texts.
    package let bytes: Int
    /// The number of Unicode scalars of all texts, or nil if they were encoded as bytes.
    package let characters: Int?
    /// The share of the text, at its end, that became the validation split; 0 if that has texts of its own.
    package let validationFraction: Double
    /// Whether an end-of-text token precedes every text, and every document of JSON lines.
    package let separatesDocuments: Bool
    /// The separator that was replaced by end-of-text tokens, or nil if there was none.
    package let separator: String?
    package let train: Split
    package let validation: Split

    /// Reads a data folder's description. Returns nil if it has none, as in a folder written by
    /// another tool.
    ///
    /// - Throws: `Failure` (input/output or bad data) if the file cannot be used.
    package static func load(folder: String) throws(Failure) -> DatasetDescription? {
        let path = "\(folder)/\(fileName)"
        guard FileSystem.exists(path) else { return nil }
        let description: DatasetDescription = try readJSON(path, remedy: tokenizeAgain)
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
}

// MARK: - JSON

extension DatasetDescription: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        version = try json.read("version")
        tokenizer = try json.read("tokenizer")
        format = try json.read("format")
        sources = try json.read("sources")
        validationSources = try json.read("validation_sources")
        bytes = try json.read("bytes")
        characters = try json.read("characters")
        validationFraction = try json.read("validation_fraction")
        separatesDocuments = try json.read("separates_documents")
        separator = try json.read("separator")
        train = try json.read("train")
        validation = try json.read("validation")
    }

    /// The content of the file.
    package var text: String {
        var json: JSONObject = [
            "version": .integer(version), "tokenizer": tokenizer.json,
            "format": .string(format.rawValue),
            "sources": .array(sources.map(JSONValue.string)), "bytes": .integer(bytes),
            "validation_fraction": .number(validationFraction),
            "separates_documents": .bool(separatesDocuments), "train": train.json,
            "validation": validation.json,
        ]
        json["characters"] = characters.map(JSONValue.integer)
        json["separator"] = separator.map(JSONValue.string)
        json["validation_sources"] = validationSources.map { .array($0.map(JSONValue.string)) }
        return json.prettyText + "\n"
    }
}

extension DatasetDescription.TokenizerSummary: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        kind = try json.read("kind")
        fingerprint = try json.read("fingerprint")
        vocabularySize = try json.read("vocabulary_size")
    }

    fileprivate var json: JSONValue {
        [
            "kind": .string(kind), "fingerprint": .string(fingerprint),
            "vocabulary_size": .integer(vocabularySize),
        ]
    }
}

extension DatasetDescription.Split: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        tokens = try json.read("tokens")
        files = try json.read("files")
        fingerprint = try json.read("fingerprint")
    }

    fileprivate var json: JSONValue {
        var json: JSONObject = [
            "tokens": .integer(tokens), "files": .array(files.map(\.json)),
        ]
        json["fingerprint"] = fingerprint.map(JSONValue.string)
        return .object(json)
    }
}

extension DatasetDescription.Shard: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        name = try json.read("name")
        tokens = try json.read("tokens")
    }

    var json: JSONValue { ["name": .string(name), "tokens": .integer(tokens)] }
}
