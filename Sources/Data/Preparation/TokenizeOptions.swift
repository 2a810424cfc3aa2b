import Support

/// How text becomes tokens.
package enum TokenizerChoice: Sendable {
    /// Every character of the text is a token.
    case characters
    /// Every byte is a token.
    case bytes
    /// A byte-pair vocabulary in a folder.
    case bytePairs(folder: String)
    /// The tokenizer that a data folder or a run has.
    case existing(folder: String)
}

/// What `tokenize` is asked to do.
package struct TokenizeOptions: Sendable {
    /// Paths of texts, in order; "-" is standard input.
    package var inputs: [String]
    /// The data folder to make.
    package var output: String
    package var tokenizer: TokenizerChoice
    /// The share of the text, from its end, for the validation split; above 0, below 1.
    package var validationFraction = 0.1
    /// Tokens of a shard; nil for one file a split, as far as the format allows.
    package var shardTokens: Int?
    /// Whether to put an end-of-text token before every text; byte pairs only.
    package var separatesDocuments = false
    /// The text of which each occurrence becomes an end-of-text token; byte pairs only.
    package var separator: String?
    /// Bytes read at a time.
    package var chunkBytes = 1 << 20

    package init(inputs: [String], output: String, tokenizer: TokenizerChoice) {
        self.inputs = inputs
        self.output = output
        self.tokenizer = tokenizer
    }

    /// Checks what can be checked without reading anything.
    ///
    /// - Throws: `Failure` (usage) that names the option.
    func validate() throws(Failure) {
        guard !inputs.isEmpty else {
            throw Failure(.usage, "there is no text to tokenize; name a file, or - for input.")
        }
        guard inputs.count(where: { $0 == "-" }) <= 1 else {
            throw Failure(.usage, "standard input can be read only once; name - only once.")
        }
        guard output.contains(where: { $0 != "/" }) else {
            throw Failure(
                .usage, "\"\(output)\" cannot be a new folder; name one to write the tokens to.")
        }
        guard validationFraction > 0, validationFraction < 1 else {
            throw Failure(
                .usage,
                "the validation fraction is \(validationFraction), but must lie between 0 and 1; "
                    + "0.1 is usual.")
        }
        guard separator?.isEmpty != true else {
            throw Failure(
                .usage,
                "the separator is empty; give the text between two documents."
            )
        }
        let mostTokens = TokenFileFormat.largestCount
        guard shardTokens.map({ (2...mostTokens).contains($0) }) ?? true else {
            throw Failure(
                .usage,
                "shards of \(shardTokens ?? 0) tokens cannot be made; choose 2 to \(mostTokens).")
        }
    }
}

extension TokenizeOptions {
    /// The size of all texts in bytes, or nil if one has no known size.
    ///
    /// - Throws: `Failure` (missing input, input/output) for the first that cannot be read.
    func totalSize() throws(Failure) -> Int? {
        var total: Int? = 0
        for input in inputs {
            let size = try InputFile.size(of: input)
            total = if let total, let size { total + size } else { nil }
        }
        return total
    }
}

/// How far `tokenize` is.
package struct TokenizeProgress: Sendable {
    package enum Phase: String, Sendable {
        /// Counting and checking the text.
        case reading
        case encoding
    }

    package let phase: Phase
    /// Bytes done in this phase.
    package let bytes: Int
    /// Bytes there are; nil while reading what has no known size.
    package let totalBytes: Int?
}

/// What `tokenize` has done.
package struct TokenizeStatistics: Sendable {
    package let description: DatasetDescription
    /// Wall-clock time.
    package let seconds: Double
    /// Cross-entropy of the bigram model on the validation split, in nats a token; nil for
    /// vocabularies above 1024.
    package let bigramLoss: Double?

    package var bytes: Int { description.bytes }
    /// Unicode scalars; nil where the text was taken as bytes.
    package var characters: Int? { description.characters }
    package var trainTokens: Int { description.train.tokens }
    package var validationTokens: Int { description.validation.tokens }
    package var vocabularySize: Int { description.tokenizer.vocabularySize }
}
