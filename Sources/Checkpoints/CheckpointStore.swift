import Support

/// The checkpoints of a run: one folder per step, which appears completely or not at all.
///
/// Only one rank uses a store.
package struct CheckpointStore: Sendable {
    /// The folder that holds the checkpoints.
    package let folder: String
    /// The number of checkpoints to keep, including the newest; 0 keeps all.
    package let keep: Int

    /// Creates a store that keeps the newest `keep` checkpoints, or all of them if `keep` is 0.
    ///
    /// - Parameter folder: the folder, which is created when the first checkpoint is saved.
    /// - Throws: `.configuration` if `keep` is neither 0 nor at least 2.
    package init(folder: String, keep: Int) throws(Failure) {
        guard keep == 0 || keep >= 2 else {
            throw .key(
                "[checkpoint] keep", keep,
                "would leave no other checkpoint if one is damaged",
                remedy: "set 2 or more, or 0 to keep all")
        }
        self.folder = folder
        self.keep = keep
    }

    /// The name of the manifest in the folder of a checkpoint.
    static let manifestName = "manifest.json"

    /// Returns the folder of the checkpoint of a step.
    package func path(step: Int) -> String { "\(folder)/\(Candidate.name(step: step))" }
}

/// A folder with the name of a complete checkpoint, whose content is not yet verified.
package struct Candidate: Sendable, Equatable {
    package let step: Int
    package let folder: String

    private static let prefix = "step-"
    private static let digits = 8

    /// Returns the folder name of a step. It has at least eight digits, so that names sort by step.
    static func name(step: Int) -> String {
        let number = String(step)
        return prefix + String(repeating: "0", count: max(0, digits - number.count)) + number
    }

    /// Returns the step in a folder name; nil if it is not the name of a checkpoint.
    static func step(of name: some StringProtocol) -> Int? {
        guard name.hasPrefix(prefix), let step = Int(name.dropFirst(prefix.count)), step >= 0,
            Self.name(step: step) == name
        else { return nil }
        return step
    }
}

/// A verified checkpoint, ready to be read.
package struct Checkpoint: Sendable {
    package let step: Int
    package let folder: String
    package let manifest: Manifest

    /// Opens a file of the checkpoint.
    ///
    /// - Throws: `.badData` if the checkpoint has no such file, or `.inputOutput`.
    package func open(_ name: String) throws(Failure) -> SafetensorsFile {
        guard manifest.files[name] != nil else {
            throw .file(
                .badData, folder, "has no file \(name)",
                remedy: "use a checkpoint that this version wrote")
        }
        return try SafetensorsFile(opening: "\(folder)/\(name)")
    }
}

// MARK: - Reading

extension CheckpointStore {
    /// Returns the folders that may hold checkpoints, newest first; an empty list if the store has
    /// no folder yet.
    ///
    /// - Throws: `.inputOutput`.
    package func candidates() throws(Failure) -> [Candidate] {
        guard FileSystem.exists(folder) else { return [] }
        return try FileSystem.names(in: folder)
            .compactMap(Candidate.step(of:))
            .sorted(by: >)
            .map { Candidate(step: $0, folder: path(step: $0)) }
    }

    /// Reads all of a checkpoint and compares it with its manifest.
    ///
    /// - Throws: `.badData` if a file is missing, differs in size or content, or holds a number
    ///   that is not finite, or if the manifest is missing, damaged, of an unknown format or of
    ///   another step; `.inputOutput`.
    @discardableResult
    package func verify(_ candidate: Candidate) throws(Failure) -> Checkpoint {
        try verify(candidate, pace: nil)
    }

    /// Verifies a checkpoint at a pace; nil means at full speed.
    func verify(_ candidate: Candidate, pace: BackgroundPace?) throws(Failure) -> Checkpoint {
        let folder = candidate.folder
        let manifestPath = "\(folder)/\(Self.manifestName)"
        guard FileSystem.exists(manifestPath) else {
            throw Self.unusable(folder, "has no \(Self.manifestName)")
        }
        let manifest = try Manifest(parsing: readBytes(manifestPath), path: manifestPath)
        guard manifest.step == candidate.step else {
            throw .file(
                .badData, folder, "holds step \(manifest.step)",
                remedy: "give the folder back its original name")
        }
        try Self.check(names: manifest, in: folder)
        for (name, expected) in manifest.files.sorted(by: { $0.key < $1.key }) {
            try Self.verify(name, in: folder, expected: expected, pace: pace)
        }
        return Checkpoint(step: candidate.step, folder: folder, manifest: manifest)
    }

    /// Checks that a manifest names only files in its own folder.
    package static func check(names manifest: Manifest, in folder: String) throws(Failure) {
        for name in manifest.files.keys.sorted() {
            let bytes = name.utf8
            guard bytes.contains(UInt8(ascii: "/")) || bytes.contains(0) || name.isEmpty else {
                continue
            }
            throw unusable(
                "\(folder)/\(manifestName)",
                "names \(jsonQuoted(name)), which is not a file of its folder")
        }
    }

    private static func verify(
        _ name: String, in folder: String, expected: FileRecord, pace: BackgroundPace?
    ) throws(Failure) {
        let path = "\(folder)/\(name)"
        guard FileSystem.exists(path) else { throw unusable(folder, "has lost its \(name)") }
        // Checking the size first avoids reading a file of the wrong size.
        let size = try Descriptor(reading: path).size()
        guard size == expected.size else {
            throw unusable(path, "has \(size) bytes, but its manifest states \(expected.size)")
        }
        guard try FileRecord(reading: path, pace: pace) == expected else {
            throw unusable(path, "is damaged (its SHA-256 differs from the manifest's)")
        }
        if name.hasSuffix(".safetensors") {
            try SafetensorsFile(opening: path).requireFinite(pace: pace)
        }
    }

    /// Returns the failure of a checkpoint that is damaged.
    static func unusable(_ path: String, _ problem: String) -> Failure {
        .file(.badData, path, problem, remedy: "use another checkpoint")
    }

    /// Returns the newest checkpoint that is whole; nil if there is none.
    ///
    /// - Parameters:
    ///   - limit: the step before which the checkpoint must be.
    ///   - check: a function that verifies a candidate, such as `verify`.
    ///   - reject: called for each newer candidate that cannot be used, with its step and the
    ///     reason.
    /// - Throws: `.inputOutput` if the store's folder cannot be listed.
    package func newestValid(
        before limit: Int = .max, by check: (Candidate) throws(Failure) -> Checkpoint,
        reject: (_ step: Int, _ reason: Failure) -> Void
    ) throws(Failure) -> Checkpoint? {
        for candidate in try candidates() where candidate.step < limit {
            do throws(Failure) { return try check(candidate) } catch {
                reject(candidate.step, error)
            }
        }
        return nil
    }

    /// Returns the newest manifest that can be read; nil if there is none.
    ///
    /// The checkpoint's other files are not verified.
    ///
    /// - Throws: `.inputOutput` if the store's folder cannot be listed.
    package func newestManifest() throws(Failure) -> Manifest? {
        for candidate in try candidates() {
            let path = "\(candidate.folder)/\(Self.manifestName)"
            if let text = try? readBytes(path),
                let manifest = try? Manifest(parsing: text, path: path)
            {
                return manifest
            }
        }
        return nil
    }
}
