import Support

/// The description of a checkpoint: its run and step, and the records that prove its files intact.
///
/// It is written as JSON with sorted keys and holds a checksum of its own text.
package struct Manifest: Sendable, Equatable {
    /// The checkpoint format that this version writes and reads.
    package static let currentFormat = 1

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

extension Manifest: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        files = try json.read("files")
        step = try json.read("step")
        tokensSeen = try json.read("tokens_seen")
        seed = try json.read("seed")
        sampleCursor = try json.read("sample_cursor")
        lanes = try json.read("lanes")
        rankCount = try json.read("rank_count")
        recipeHash = try json.read("recipe_hash")
        dataFingerprint = try json.read("data_fingerprint")
        tokenizerFingerprint = try json.read("tokenizer_fingerprint")
        parameterHash = try json.read("parameter_hash")
        version = try json.read("version")
        extra = try json.read("extra")
    }

    private var json: JSONObject {
        [
            "format": .integer(Self.currentFormat), "checksum": .string(Self.emptyChecksum),
            "files": .object(JSONObject(files.map { ($0, $1.json) })),
            "step": .integer(step), "tokens_seen": .integer(tokensSeen),
            // The seed of a recipe fits in an `Int`.
            "seed": .integer(Int(seed)), "sample_cursor": .integer(sampleCursor),
            "lanes": .integer(lanes), "rank_count": .integer(rankCount),
            "recipe_hash": .string(recipeHash), "data_fingerprint": .string(dataFingerprint),
            "tokenizer_fingerprint": .string(tokenizerFingerprint),
            "parameter_hash": .string(parameterHash), "version": .string(version),
            "extra": .object(JSONObject(extra.map { ($0, .string($1)) })),
        ]
    }
}

extension Manifest {
    /// The JSON text. It holds the SHA-256 of itself with the 64 digits replaced by zeros.
    package var text: String {
        var json = json
        json["checksum"] = .string(SHA256.hash(json.prettyText + "\n"))
        return json.prettyText + "\n"
    }

    /// Parses a manifest's text and checks its format and checksum.
    ///
    /// - Parameter path: the file's name in messages.
    /// - Throws: `.badData`.
    package init(parsing text: [UInt8], path: String) throws(Failure) {
        // The format is read first because it decides the rest.
        guard let json = try? JSONValue(parsing: text), let format: Int = try? json.read("format")
        else {
            throw CheckpointStore.unusable(
                path, "is damaged or is not the manifest of a checkpoint")
        }
        guard format == Self.currentFormat else {
            throw .file(
                .badData, path,
                "has format \(format), but this version reads format \(Self.currentFormat)",
                remedy: "use the version that wrote it")
        }
        guard let manifest = try? Manifest(json: json),
            let stated: String = try? json.read("checksum"),
            stated == Self.checksum(of: text, stated: stated)
        else { throw CheckpointStore.unusable(path, "is damaged") }
        self = manifest
    }

    /// Returns the checksum of the text of a manifest whose stated checksum is replaced by zeros.
    private static func checksum(of text: [UInt8], stated: String) -> String {
        let blank = text.replacing(
            Array(stated.utf8), with: Array(emptyChecksum.utf8), maxReplacements: 1)
        return blank.withUnsafeBytes { SHA256.hash($0) }
    }
}
