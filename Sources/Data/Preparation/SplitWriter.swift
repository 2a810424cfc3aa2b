import Support

/// A writer of a split's tokens to one file or to shards. Its functions throw `Failure`
/// (input/output) if the tokens cannot be written.
struct SplitWriter: ~Copyable {
    private let folder: String
    private let split: DataSplit
    private let vocabularySize: Int
    /// The number of tokens per shard, or nil for one file.
    private let shardTokens: Int?

    private var file: TokenFileWriter?
    private var finished: [DatasetDescription.Shard] = []

    init(folder: String, split: DataSplit, vocabularySize: Int, shardTokens: Int?) {
        self.folder = folder
        self.split = split
        self.vocabularySize = vocabularySize
        self.shardTokens = shardTokens
    }

    /// Continues the split whose state was saved.
    ///
    /// - Throws: `Failure` (input/output) if its files have changed.
    init(
        folder: String, split: DataSplit, vocabularySize: Int, shardTokens: Int?, saved: Saved
    ) throws(Failure) {
        self.init(
            folder: folder, split: split, vocabularySize: vocabularySize, shardTokens: shardTokens)
        finished = saved.finished
        if let open = saved.openTokens {
            file = try TokenFileWriter(
                continuing: "\(folder)/\(fileName)", vocabularySize: vocabularySize, count: open)
        }
    }

    /// Appends ids, and starts a new shard whenever one is full.
    mutating func append(_ ids: [UInt32]) throws(Failure) {
        var rest = ids[...]
        while !rest.isEmpty {
            if file == nil {
                file = try TokenFileWriter(
                    "\(folder)/\(fileName)", vocabularySize: vocabularySize)
            }
            let written = file?.count ?? 0
            let piece = rest.prefix((shardTokens ?? .max) - written)
            try file?.append(piece)
            rest = rest.dropFirst(piece.count)
            if written + piece.count == shardTokens { try finishFile() }
        }
    }

    /// Ends the split and returns its description.
    consuming func finish() throws(Failure) -> DatasetDescription.Split {
        try finishFile()
        return .init(tokens: finished.reduce(0) { $0 + $1.tokens }, files: finished)
    }

    private var fileName: String {
        guard shardTokens != nil else { return "\(split.rawValue).bin" }
        let digits = String(finished.count)
        return split.rawValue + "_" + String(repeating: "0", count: max(0, 6 - digits.count))
            + digits + ".bin"
    }

    private mutating func finishFile() throws(Failure) {
        guard let file = file.take() else { return }
        finished.append(.init(name: fileName, tokens: file.count))
        try file.finish()
    }
}

// MARK: - Saving

extension SplitWriter {
    /// The state of a writer.
    struct Saved: JSONReadable {
        let finished: [DatasetDescription.Shard]
        /// The number of tokens in the file that is being written, if there is one.
        let openTokens: Int?

        var json: JSONValue {
            [
                "finished": .array(finished.map(\.json)),
                "open_tokens": openTokens.map(JSONValue.integer) ?? .null,
            ]
        }
    }

    /// Brings the tokens so far to the disk, and returns the state.
    mutating func save() throws(Failure) -> Saved {
        try file?.synchronize()
        return Saved(finished: finished, openTokens: file?.count)
    }
}

extension SplitWriter.Saved {
    init(json: JSONValue) throws(JSONProblem) {
        finished = try json.read("finished")
        openTokens = try json.read("open_tokens")
    }
}
