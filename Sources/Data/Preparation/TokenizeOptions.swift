import Support

/// The way in which text becomes tokens.
package enum TokenizerChoice: Sendable {
    /// Every character of the text is a token.
    case characters
    /// Every byte is a token.
    case bytes
    /// A byte-pair vocabulary in a folder.
    case bytePairs(folder: String)
    /// A `tokenizer.json`, or a folder with one.
    case file(String)
    /// Byte pairs that are learned from the train split.
    case trained(BytePairTraining)
    /// The tokenizer of a data folder or a run.
    case existing(folder: String)
}

/// The options for learning byte pairs.
package struct BytePairTraining: Sendable {
    /// The number of tokens: 256 bytes, the merges, and the token that ends documents.
    package var vocabularySize: Int
    package var pattern: SplitPattern

    package init(vocabularySize: Int, pattern: SplitPattern) {
        self.vocabularySize = vocabularySize
        self.pattern = pattern
    }

    /// The sizes that leave at least one merge.
    static let sizes = 258...1_048_576
}

/// The options of `tokenize`.
package struct TokenizeOptions: Sendable {
    /// The paths of the texts, in order; "-" is standard input.
    package var inputs: [String]
    /// The paths of the texts of the validation split; if it is empty, the last part of `inputs` is for
    /// validation.
    package var validationInputs: [String] = []
    /// The data folder to create.
    package var output: String
    package var tokenizer: TokenizerChoice
    /// The share of the text, at its end, for the validation split; above 0, below 1.
    package var validationFraction = 0.1
    /// The number of tokens per shard, or nil for one file per split if the format allows it.
    package var shardTokens: Int?
    /// Whether to write an end-of-text token before every text; byte pairs only.
    package var separatesDocuments = false
    /// The separator, each occurrence of which becomes an end-of-text token; byte pairs only.
    package var separator: String?
    /// The key of the text in JSON lines. If it is set, every input has JSON lines; nil stands for "text" in
    /// inputs whose names end in `.jsonl` or `.ndjson`.
    package var field: String?
    /// Whether the line endings CR LF and CR become LF, as in Python's text mode.
    package var hasUniversalNewlines = false
    /// The number of threads. The result does not depend on it.
    package var threads = 1
    /// Whether to continue an interrupted tokenization.
    package var resumes = false
    /// A function that returns whether the work must stop. It is called after each block of text and each merge,
    /// and while standard input or a pipe is copied.
    package var stopRequested: @Sendable () -> Bool = { false }
    /// The number of bytes to read at a time.
    package var chunkBytes = 1 << 20
    /// The number of seconds between two saves of the state.
    package var secondsBetweenSaves = 10.0

    package init(inputs: [String], output: String, tokenizer: TokenizerChoice) {
        self.inputs = inputs
        self.output = output
        self.tokenizer = tokenizer
    }

    /// The paths of all texts, those of the validation split last.
    var allInputs: [String] { inputs + validationInputs }

    /// The path of the data folder, without slashes at its end.
    package var target: String {
        var target = output
        while target.hasSuffix("/") { target.removeLast() }
        return target
    }

    /// Checks the options without reading any file.
    ///
    /// - Throws: `Failure` (usage) that names the invalid option.
    func validate() throws(Failure) {
        try require(
            !inputs.isEmpty,
            or: .missing("<text>", remedy: "name a file, or - for standard input"))
        try require(
            allInputs.count { $0 == "-" } <= 1,
            or: .option(
                "<text>", "names standard input more than once, but it can be read only once",
                remedy: "name - only once"))
        try require(
            output.contains { $0 != "/" },
            or: .option(
                "--out", output.isEmpty ? "\"\"" : output, "cannot be a new folder",
                remedy: "name a folder for the tokens"))
        try require(
            validationFraction > 0 && validationFraction < 1,
            or: .option(
                "--validation-fraction", validationFraction, "must be between 0 and 1",
                remedy: "try 0.1"))
        try requireOption("--threads", threads, in: 1...1024, remedy: "leave it out")
        try require(
            field?.isEmpty != true,
            or: .option("--field", "\"\"", "is empty", remedy: "give the key of the text"))
        try require(
            separator?.isEmpty != true,
            or: .option(
                "--separator", "\"\"", "is empty",
                remedy: "give the text that separates two documents"))
        if case .trained(let training) = tokenizer {
            try requireOption(
                "--train-bpe", training.vocabularySize, in: BytePairTraining.sizes,
                remedy: "try 8192")
        }
        if let shardTokens {
            try requireOption(
                "--shard-tokens", shardTokens, in: 2...TokenFileFormat.largestCount,
                remedy: "give a number in that range")
        }
    }
}

extension TokenizeOptions {
    /// The failure of work that a signal stopped.
    var stopped: Failure {
        .about(
            .requeue, output, "is not complete, because a signal stopped the tokenization",
            remedy: "run the command again, with --resume if its work was saved")
    }

    /// Returns the size of all inputs' files in bytes, or nil if the size of one is unknown.
    ///
    /// - Throws: `Failure` (missing input, input/output) if an input cannot be read.
    func totalSize() throws(Failure) -> Int? {
        var total: Int? = 0
        for input in allInputs {
            let size = try Descriptor.textSize(input)
            total = if let total, let size { total + size } else { nil }
        }
        return total
    }
}

/// The progress of `tokenize`.
package struct TokenizeProgress: Sendable {
    /// A part of the work.
    package enum Phase: String, Sendable {
        /// The pass that counts and checks the text.
        case reading
        /// The pass that counts the words of the train split.
        case counting
        /// The search for the pairs of tokens that merge.
        case merging
        /// The pass that writes the tokens.
        case encoding
    }

    package let phase: Phase
    /// The number of bytes, or of merges, that are done in this phase.
    package let done: Int
    /// The number of bytes or merges of this phase, or nil if the size of an input is unknown.
    package let total: Int?
}

/// The results of `tokenize`.
package struct TokenizeStatistics: Sendable {
    package let description: DatasetDescription
    /// The wall-clock time in seconds.
    package let seconds: Double
    /// The cross-entropy of the bigram model on the validation split, in nats per token, or nil for
    /// vocabularies above 1024.
    package let bigramLoss: Double?
}
