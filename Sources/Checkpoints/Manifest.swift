import FoundationEssentials
import Support

/// The description of a checkpoint: its run and step, and the records that prove its files intact.
///
/// It is written as JSON with sorted keys and holds a checksum of its own text.
package struct Manifest: Sendable, Equatable, Codable {
    /// The checkpoint format that this version writes and reads.
    package static let currentFormat = 1

    /// The format of the checkpoint.
    private var format = currentFormat
    /// The SHA-256 of the manifest's text with these 64 digits replaced by zeros; zeros in memory.
    private var checksum = emptyChecksum
    /// The files of the checkpoint by name, which are added as they are written.
    package internal(set) var files: [String: FileRecord] = [:]
    /// The number of optimizer steps taken.
    package var step: Int
    /// The number of tokens trained on, over all ranks.
    package var tokensSeen: Int
    /// The seed of the run.
    package var seed: UInt64
    /// The number of sequences drawn from the sample order, over all ranks.
    package var sampleCursor: Int
    /// The number of lanes, which must not change when the run resumes.
    package var lanes: Int
    /// The number of ranks that wrote the checkpoint; a run may resume on any other number.
    package var rankCount: Int
    /// The digest of the resolved recipe.
    package var recipeHash: String
    /// The digest that identifies the training data.
    package var dataFingerprint: String
    /// The digest that identifies the tokenizer.
    package var tokenizerFingerprint: String
    /// The digest of the parameters, which ranks compare.
    package var parameterHash: String
    /// The version of Lockstep that wrote the checkpoint.
    package var version: String
    /// The additional state that resuming needs, such as the counters of the guards.
    package var extra: [String: String]

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

    /// Returns whether both manifests describe the same state of the same run, on any layout.
    package func isSameState(as other: Manifest) -> Bool {
        step == other.step && parameterHash == other.parameterHash
            && recipeHash == other.recipeHash && seed == other.seed
            && sampleCursor == other.sampleCursor && lanes == other.lanes
            && dataFingerprint == other.dataFingerprint
            && tokenizerFingerprint == other.tokenizerFingerprint
    }
}

extension Manifest {
    /// Returns the JSON text with its checksum.
    ///
    /// - Throws: `.bug` if the strings cannot be encoded.
    func text() throws(Failure) -> String {
        var manifest = self
        manifest.format = Self.currentFormat
        manifest.checksum = Self.emptyChecksum
        manifest.checksum = SHA256.hash(try manifest.encoded())
        return try manifest.encoded()
    }

    /// Parses a manifest's text and checks its format and checksum.
    ///
    /// - Parameter path: the file's name in messages.
    /// - Throws: `.badData`.
    init(parsing text: [UInt8], path: String) throws(Failure) {
        let data = Data(text)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let header = try? decoder.decode(FormatAlone.self, from: data) else {
            throw CheckpointStore.unusable(
                path, "is damaged or is not the manifest of a checkpoint")
        }
        guard header.format == Self.currentFormat else {
            throw .file(
                .badData, path,
                "has format \(header.format), but this version reads format \(Self.currentFormat)",
                remedy: "use the version that wrote it")
        }
        guard let manifest = try? decoder.decode(Manifest.self, from: data),
            manifest.checksum == Self.checksum(of: text, stated: manifest.checksum)
        else { throw CheckpointStore.unusable(path, "is damaged") }
        self = manifest
        checksum = Self.emptyChecksum
    }

    /// The format alone, which is read first because it decides the rest.
    private struct FormatAlone: Decodable { let format: Int }

    private func encoded() throws(Failure) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            throw .defect("A manifest cannot be encoded (\(error))")
        }
    }

    /// Returns the checksum of the text of a manifest whose stated checksum is replaced by zeros.
    private static func checksum(of text: [UInt8], stated: String) -> String {
        let blank = text.replacing(
            Array(stated.utf8), with: Array(emptyChecksum.utf8), maxReplacements: 1)
        return blank.withUnsafeBytes { SHA256.hash($0) }
    }
}
