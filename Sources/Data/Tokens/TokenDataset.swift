import Compute
import Support

/// The part of the data on which a run trains, and the part on which it is evaluated.
package enum DataSplit: String, Sendable, CaseIterable {
    case train
    case validation

    /// The possible names of token files of this split, without `.bin` or `_SHARD.bin`.
    var fileStems: [String] { self == .train ? ["train"] : ["validation", "val"] }
}

/// A sequence of tokens from a list of token files.
package struct TokenDataset: Sendable {
    package let shards: [TokenFile]
    /// The number of tokens in all shards.
    package let tokenCount: Int

    /// The position of each shard's first token, and the end.
    private let starts: [Int]
    /// The bound of the tokens, which models use as indices.
    private var vocabularySize = Int.max
    /// The token that begins documents, at which attention and positions start again; nil if they never do.
    package private(set) var documentToken: Int32?

    /// The remedy for missing files.
    package static let missingRemedy = "make it with lockstep tokenize"

    /// Opens a list of token files.
    ///
    /// - Throws: `Failure` (missing input, input/output, bad data) for the first file at fault.
    package init(files: [String]) throws(Failure) {
        guard !files.isEmpty else {
            throw .about(
                .missingInput, "the list of token files", "is empty", remedy: "name at least one")
        }
        var shards: [TokenFile] = []
        for path in files { shards.append(try TokenFile(path)) }
        self.init(shards: shards)
    }

    /// Joins the tokens of data sets.
    package init(joining datasets: [TokenDataset]) { self.init(shards: datasets.flatMap(\.shards)) }

    private init(shards: [TokenFile]) {
        self.shards = shards
        starts = shards.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
        tokenCount = starts.last ?? 0
    }

    /// Returns the same tokens, each of which is checked against a vocabulary when it is read,
    /// because a file may be overwritten while it is open.
    package func bounded(by vocabularySize: Int) -> TokenDataset {
        var bounded = self
        bounded.vocabularySize = vocabularySize
        return bounded
    }

    /// Returns the same tokens, divided into documents that do not see each other; nil for no division.
    package func divided(at documentToken: Int32?) -> TokenDataset {
        var divided = self
        divided.documentToken = documentToken
        return divided
    }

    /// Opens a split of a data folder: `train.bin` or `train_*.bin`; `validation.bin`, `val.bin`,
    /// `validation_*.bin` or `val_*.bin`; shards in the order of their names' bytes.
    ///
    /// - Throws: `Failure` (missing input) if the folder has none; (bad data) if it has them under
    ///   more than one of these names; any failure of `init(files:)`.
    package static func open(
        folder: String, split: DataSplit, remedy: String = missingRemedy
    ) throws(Failure) -> TokenDataset {
        let names = try FileSystem.names(in: folder)
        let found = split.fileStems.flatMap { stem in
            [
                names.filter { $0 == "\(stem).bin" },
                names.filter { $0.hasPrefix("\(stem)_") && $0.hasSuffix(".bin") },
            ]
        }.filter { !$0.isEmpty }
        guard let files = found.first else {
            throw .file(
                .missingInput, folder,
                "has no \(split.fileStems[0]).bin or \(split.fileStems[0])_*.bin", remedy: remedy)
        }
        guard found.count == 1 else {
            throw .badData(
                folder,
                "has both \(found[0][0]) and \(found[1][0]), but only one of them can be the "
                    + "\(split.rawValue) split",
                remedy: "move the other one away")
        }
        return try TokenDataset(files: files.map { "\(folder)/\($0)" })
    }

    /// Copies tokens, also across shards.
    ///
    /// - Throws: `Failure` (input/output) if a file was truncated or cannot be read; (bad data) if
    ///   it was overwritten with tokens outside the vocabulary.
    package func copy(
        from first: Int, count: Int, into target: UnsafeMutablePointer<Int32>
    ) throws(Failure) {
        precondition(
            first >= 0 && count >= 0 && first + count <= tokenCount,
            "tokens \(first) to \(first + count) of \(tokenCount)")
        // A copy from the end position has no tokens, in the last shard.
        var shard = starts.dropLast().lastIndex { $0 <= first } ?? 0
        var copied = 0
        while copied < count {
            let within = first + copied - starts[shard]
            let piece = min(count - copied, shards[shard].count - within)
            try shards[shard].copy(from: within, count: piece, into: target + copied)
            try checkTokens(target + copied, count: piece, from: within, of: shards[shard])
            copied += piece
            shard += 1
        }
    }

    /// Checks that the tokens that were read are in the vocabulary.
    private func checkTokens(
        _ tokens: UnsafePointer<Int32>, count: Int, from first: Int, of shard: TokenFile
    ) throws(Failure) {
        guard vocabularySize <= Int(Int32.max) else { return }
        let largest = largestToken(tokens, count: count)
        guard largest >= vocabularySize else { return }
        guard isScanned else {
            throw .badData(
                shard.path,
                "has the token \(largest) near position \(first), outside the vocabulary of "
                    + "\(vocabularySize)",
                remedy: "use its own tokenizer, or \(tokenizeAgain)")
        }
        throw .badData(
            shard.path,
            "was overwritten while it was in use and now has the token \(largest) near position "
                + "\(first), outside the vocabulary of \(vocabularySize)",
            remedy: "\(tokenizeAgain) and restart")
    }

    /// The largest number of tokens of which `validate` checks every one.
    private static let mostScanned = 1 << 28

    /// Whether `validate` checks every token.
    private var isScanned: Bool { tokenCount <= Self.mostScanned }

    /// Checks that the tokens are in a vocabulary: every token, or a sample if there are more than 2^28,
    /// so that large data open in constant time. `bounded` checks the others when they are read.
    ///
    /// - Throws: `Failure` (bad data) that names the first token that is not, its position and its
    ///   file.
    package func validate(vocabularySize: Int) throws(Failure) {
        guard isScanned else {
            let bounded = bounded(by: vocabularySize)
            return try bounded.forEachSampleBlock { (_) in }
        }
        for shard in shards {
            guard let (position, token) = try shard.firstToken(outside: vocabularySize) else {
                continue
            }
            throw .badData(
                shard.path,
                "has the token \(token) at position \(position), outside the vocabulary of "
                    + "\(vocabularySize)",
                remedy: "use its own tokenizer, or \(tokenizeAgain)")
        }
    }

    /// The SHA-256, in hexadecimal, of the token count and a sample of the tokens.
    ///
    /// The sample is all tokens if there are at most 2^20; otherwise it is 256 blocks of 4096, the
    /// first at the start, the last at the end, the others evenly spaced. The fingerprint does not
    /// depend on the shards or the format. A change between the blocks does not change it.
    ///
    /// - Throws: `Failure` (input/output) if a file can no longer be read.
    package var fingerprint: String {
        get throws(Failure) {
            var hash = SHA256()
            hash.update("tokens \(tokenCount)\n")
            try forEachSampleBlock { ids in hash.update(UnsafeRawBufferPointer(ids)) }
            return hash.finish()
        }
    }

    /// Calls a function with each block of the fingerprint's sample.
    private func forEachSampleBlock(
        _ body: (UnsafeBufferPointer<Int32>) -> Void
    ) throws(Failure) {
        let block = 4096
        let isWhole = tokenCount <= 1 << 20
        let blocks = isWhole ? (tokenCount + block - 1) / block : 256
        // The product of an index and the last start is split to avoid overflow.
        let (quotient, remainder) = (tokenCount - block).quotientAndRemainder(dividingBy: 255)
        let ids = Buffer<Int32>(count: block)
        for index in 0..<blocks {
            let first = isWhole ? index * block : index * quotient + index * remainder / 255
            let count = min(block, tokenCount - first)
            try copy(from: first, count: count, into: ids.base)
            body(UnsafeBufferPointer(start: ids.base, count: count))
        }
    }
}
