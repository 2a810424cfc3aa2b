import FoundationEssentials
import Support

/// What a checkpoint is of, and how to tell that its files are whole.
///
/// It is written as JSON with sorted keys, and carries a checksum of its own text.
package struct Manifest: Sendable, Equatable, Codable {
    /// The layout of checkpoints that this code writes and reads.
    package static let currentFormat = 1

    /// The layout of the checkpoint's folder.
    private var format = currentFormat
    /// SHA-256 of the manifest's text with zeros in the place of these 64 digits; zeros in memory.
    private var checksum = emptyChecksum
    /// The checkpoint's files by name; filled in as they are written.
    package internal(set) var files: [String: FileRecord] = [:]
    /// Optimizer steps taken.
    package var step: Int
    /// Tokens trained on, over all ranks.
    package var tokensSeen: Int
    /// The run's seed.
    package var seed: UInt64
    /// Sequences drawn from the sample order, over all ranks.
    package var sampleCursor: Int
    /// Slots of the global batch: must be the same when the run goes on.
    package var lanes: Int
    /// Ranks that took part when it was written; a run may go on with others.
    package var rankCount: Int
    /// Digest of the resolved recipe.
    package var recipeHash: String
    /// Digest that tells the training data from other data.
    package var dataFingerprint: String
    /// Digest that tells the tokenizer from others.
    package var tokenizerFingerprint: String
    /// Digest of the parameters, as ranks compare it.
    package var parameterHash: String
    /// The version of Lockstep that wrote it.
    package var version: String
    /// Whatever else a run needs to go on, such as the schedule's state and the guards' counters.
    package var extra: [String: String]

    private enum CodingKeys: String, CodingKey {
        case format, checksum, files, step, seed, lanes, version, extra
        case tokensSeen = "tokens_seen"
        case sampleCursor = "sample_cursor"
        case rankCount = "rank_count"
        case recipeHash = "recipe_hash"
        case dataFingerprint = "data_fingerprint"
        case tokenizerFingerprint = "tokenizer_fingerprint"
        case parameterHash = "parameter_hash"
    }

    private static let emptyChecksum = String(repeating: "0", count: 64)

    package init(
        step: Int, tokensSeen: Int, seed: UInt64, sampleCursor: Int, lanes: Int, rankCount: Int,
        recipeHash: String, dataFingerprint: String, tokenizerFingerprint: String,
        parameterHash: String, version: String, extra: [String: String] = [:]
    ) {
        self.step = step
        self.tokensSeen = tokensSeen
        self.seed = seed
        self.sampleCursor = sampleCursor
        self.lanes = lanes
        self.rankCount = rankCount
        self.recipeHash = recipeHash
        self.dataFingerprint = dataFingerprint
        self.tokenizerFingerprint = tokenizerFingerprint
        self.parameterHash = parameterHash
        self.version = version
        self.extra = extra
    }

    /// Whether both are of the same state of the same run, whatever ranks computed it.
    package func isSameState(as other: Manifest) -> Bool {
        step == other.step && parameterHash == other.parameterHash
            && recipeHash == other.recipeHash && seed == other.seed
            && sampleCursor == other.sampleCursor && lanes == other.lanes
            && dataFingerprint == other.dataFingerprint
            && tokenizerFingerprint == other.tokenizerFingerprint
    }
}

extension Manifest {
    /// The JSON text, its checksum filled in.
    ///
    /// - Throws: `.bug` where the strings cannot be written as JSON.
    func text() throws(Failure) -> String {
        var manifest = self
        manifest.format = Self.currentFormat
        manifest.checksum = Self.emptyChecksum
        let blank = try manifest.encoded()
        manifest.checksum = SHA256.hash(blank)
        return try manifest.encoded()
    }

    /// Parses a manifest's text and checks its format and checksum.
    ///
    /// - Parameter path: the file's name in messages.
    /// - Throws: `.badData`.
    init(parsing text: [UInt8], path: String) throws(Failure) {
        let data = Data(text)
        guard let header = try? JSONDecoder().decode(FormatAlone.self, from: data) else {
            throw .file(
                .badData, path, "is damaged or is not the manifest of a checkpoint",
                remedy: "use another checkpoint")
        }
        guard header.format == Self.currentFormat else {
            throw .file(
                .badData, path,
                "has format \(header.format), but this version reads format \(Self.currentFormat)",
                remedy: "use the version that wrote it")
        }
        guard let manifest = try? JSONDecoder().decode(Manifest.self, from: data),
            manifest.checksum == Self.checksum(of: text, stated: manifest.checksum)
        else { throw .file(.badData, path, "is damaged", remedy: "use another checkpoint") }
        self = manifest
        checksum = Self.emptyChecksum
    }

    /// The format, which is read before anything that may have changed with it.
    private struct FormatAlone: Decodable { let format: Int }

    private func encoded() throws(Failure) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw .defect("A manifest cannot be encoded (\(error))")
        }
    }

    /// The checksum of a text, its stated checksum replaced by zeros.
    private static func checksum(of text: [UInt8], stated: String) -> String? {
        let digits = Array(stated.utf8)
        guard digits.count == emptyChecksum.utf8.count,
            let place = text.indices.first(where: { text[$0...].starts(with: digits) })
        else { return nil }
        var blank = text
        blank.replaceSubrange(place..<place + digits.count, with: emptyChecksum.utf8)
        return blank.withUnsafeBytes { SHA256.hash($0) }
    }
}
