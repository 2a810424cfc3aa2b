import Support

/// Exchanges of text whose messages do not grow with the number of ranks.
extension Communicator {
    /// Returns the root's values on every rank, by `MPI_Bcast`.
    ///
    /// All ranks must pass the same number of values.
    public func broadcast<Element: BitwiseCopyable>(
        _ values: [Element], root: Int = 0
    ) throws(Failure) -> [Element] {
        var values = values
        try values.withUnsafeMutableBufferPointer { (values) throws(Failure) in
            try broadcast(UnsafeMutableRawBufferPointer(values), root: root)
        }
        return values
    }

    /// Returns the root's text on every rank. Collective: every rank must call this.
    package func broadcastText(_ text: String, root: Int = 0) throws(Failure) -> String {
        let bytes = Array(text.utf8)
        let count = try broadcast([Int64(bytes.count)], root: root)[0]
        let blank = [UInt8](repeating: 0, count: Int(count))
        return String(
            decoding: try broadcast(rank == root ? bytes : blank, root: root), as: UTF8.self)
    }

    /// Returns the text of the lowest rank that has one, or nil if none has. Collective: every rank
    /// must call this.
    package func firstText(_ text: String?) throws(Failure) -> String? {
        let root = try allReduce(Int64(text == nil ? size : rank), .minimum)
        return root == size ? nil : try broadcastText(text ?? "", root: Int(root))
    }

    /// Returns whether all ranks that have a text have the same one, by one reduction of its hash.
    /// Collective: every rank must call this.
    package func isSameOnAllRanks(_ text: String?) throws(Failure) -> Bool {
        let digest = text.map { SHA256.hash($0) }
        let words = (0..<4).map { word in
            digest.map { digest in
                Int64(
                    bitPattern: UInt64(digest.dropFirst(16 * word).prefix(16), radix: 16) ?? 0)
            }
        }
        // The complement's maximum is the complement of the minimum.
        let most = try allReduce(
            words.map { $0 ?? .min } + words.map { $0.map { ~$0 } ?? .min }, .maximum)
        return words.indices.allSatisfy { most[$0] == ~most[words.count + $0] }
    }

    /// Returns every rank's text in rank order on the first `receivers` ranks, and no texts on the
    /// others. Collective: every rank must call this.
    ///
    /// The texts travel along a binomial tree. Consecutive ranks with the same text, such as the
    /// name of their host, send it once.
    package func gatherText(_ text: String, receivers: Int = 1) throws(Failure) -> [String] {
        var runs = [TextRun(count: 1, text: text)]
        let tree = binomialTree
        for child in tree.children {
            TextRun.append(try receiveTextRuns(from: child.lowerBound), to: &runs)
        }
        if let parent = tree.parent { try send(runs, to: parent) }
        let others = 1..<max(1, min(receivers, size))
        if rank == 0 {
            for other in others { try send(runs, to: other) }
        } else {
            runs = others.contains(rank) ? try receiveTextRuns(from: 0) : []
        }
        return runs.flatMap { repeatElement($0.text, count: $0.count) }
    }

    private static let textTag = 11

    private func send(_ runs: [TextRun], to destination: Int) throws(Failure) {
        let message = TextRun.encoded(runs)
        try send([Int64(message.count)], to: destination, tag: Self.textTag)
        try send(message, to: destination, tag: Self.textTag)
    }

    private func receiveTextRuns(from source: Int) throws(Failure) -> [TextRun] {
        let count = try receive(1, of: Int64(0), from: source, tag: Self.textTag)[0]
        return TextRun.decoded(
            try receive(Int(count), of: UInt8(0), from: source, tag: Self.textTag))
    }
}

/// A text that a number of consecutive ranks have in common.
private struct TextRun {
    var count: Int
    let text: String

    static func append(_ later: [TextRun], to runs: inout [TextRun]) {
        for run in later {
            if let last = runs.last, last.text == run.text {
                runs[runs.count - 1].count += run.count
            } else {
                runs.append(run)
            }
        }
    }

    static func encoded(_ runs: [TextRun]) -> [UInt8] {
        runs.flatMap { Array("\($0.count)\0\($0.text)\0".utf8) }
    }

    static func decoded(_ bytes: [UInt8]) -> [TextRun] {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        // The last part follows the last zero and is empty.
        return stride(from: 0, to: parts.count - 1, by: 2).map { place in
            TextRun(count: Int(parts[place]) ?? 0, text: parts[place + 1])
        }
    }
}
