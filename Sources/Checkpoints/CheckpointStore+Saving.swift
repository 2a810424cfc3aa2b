import Support

/// A file to be written into a checkpoint.
package struct CheckpointFile {
    /// The content of a file.
    package enum Content {
        /// The tensors of a safetensors file.
        case tensors([TensorSource], metadata: [String: String] = [:])
        case text(String)
    }

    package let name: String
    package let content: Content

    /// Creates a file of a checkpoint.
    ///
    /// - Parameter name: a name without a slash, such as `model.safetensors`.
    package init(name: String, _ content: Content) {
        self.name = name
        self.content = content
    }
}

/// The result of a successful save.
package struct SaveResult: Sendable {
    /// The verified checkpoint.
    package let checkpoint: Checkpoint
    /// Whether a valid checkpoint of the same state existed and was left unchanged.
    package let existed: Bool
    /// The secondary failures, such as an old checkpoint that could not be removed.
    package let warnings: [Failure]
}

extension CheckpointStore {
    /// Writes a checkpoint, verifies it, and only then removes older ones beyond `keep`.
    ///
    /// The files are written into `step-N.partial/` and synchronized, the manifest last. They are
    /// read again and compared, and then the folder is renamed. If anything fails, the existing
    /// checkpoints stay and the partial folder is removed.
    ///
    /// An existing checkpoint of this step is never overwritten: a valid one of the same state is
    /// kept, and a damaged one is renamed to `step-N.rejected`.
    ///
    /// - Parameters:
    ///   - manifest: the manifest, whose step names the folder; this function fills in its files.
    ///   - kept: the step of a checkpoint that is never removed, such as the best one.
    ///   - pace: the pace of the work in the background; nil for full speed.
    /// - Throws: `.inputOutput` if writing fails, as on a full disk; `.configuration` if a valid
    ///   checkpoint of this step holds another state; `.bug` for invalid file names.
    package func save(
        _ files: [CheckpointFile], manifest: Manifest, alwaysKeeping kept: Int? = nil,
        pace: BackgroundPace? = nil
    ) throws(Failure) -> SaveResult {
        guard manifest.step >= 0 else {
            throw .defect("A checkpoint cannot be of step \(manifest.step)")
        }
        try FileSystem.makeFolders(folder)
        var warnings = removePartialFolders()
        let path = path(step: manifest.step)
        if let existing = try resolveExisting(path, manifest: manifest, warnings: &warnings) {
            return SaveResult(checkpoint: existing, existed: true, warnings: warnings)
        }
        let complete = try AtomicFolder.create(at: path) { (partial) throws(Failure) in
            let written = try Self.write(files, manifest: manifest, into: partial, pace: pace)
            _ = try verify(Candidate(step: manifest.step, folder: partial), pace: pace)
            return written
        }
        warnings += removeOld(below: manifest.step, except: kept)
        let checkpoint = Checkpoint(step: manifest.step, folder: path, manifest: complete)
        return SaveResult(checkpoint: checkpoint, existed: false, warnings: warnings)
    }

    /// Writes the files and then the manifest, which records their sizes and digests.
    private static func write(
        _ files: [CheckpointFile], manifest: Manifest, into folder: String, pace: BackgroundPace?
    ) throws(Failure) -> Manifest {
        var manifest = manifest
        manifest.files = [:]
        for file in files {
            guard !file.name.isEmpty, !file.name.hasPrefix("."), !file.name.contains("/"),
                file.name != manifestName, manifest.files[file.name] == nil
            else {
                throw .defect("A checkpoint cannot hold a file named \"\(file.name)\"")
            }
            var output = try HashedFile(creating: "\(folder)/\(file.name)", pace: pace)
            switch file.content {
            case .tensors(let tensors, let metadata):
                try SafetensorsWriter.write(tensors, metadata: metadata, to: &output)
            case .text(let text): try output.write(Array(text.utf8))
            }
            manifest.files[file.name] = try output.finish()
        }
        var output = try HashedFile(creating: "\(folder)/\(manifestName)")
        try output.write(Array(manifest.text.utf8))
        _ = try output.finish()
        return manifest
    }

    /// Returns a checkpoint that makes saving unnecessary, or moves a damaged one aside.
    private func resolveExisting(
        _ path: String, manifest: Manifest, warnings: inout [Failure]
    ) throws(Failure) -> Checkpoint? {
        guard FileSystem.exists(path) else { return nil }
        let existing: Checkpoint
        do throws(Failure) {
            existing = try verify(Candidate(step: manifest.step, folder: path))
        } catch {
            let rejected = Self.freeName(path + ".rejected")
            try FileSystem.rename(path, to: rejected)
            warnings.append(
                Failure(error.code, "moved a damaged checkpoint to \(rejected): \(error.sentence)"))
            return nil
        }
        guard existing.manifest.isSameState(as: manifest) else {
            throw .file(
                .configuration, path, "already holds another state of step \(manifest.step)",
                remedy: "move it away, or give this run another output folder")
        }
        return existing
    }

    /// Returns an unused name: the given one, or the given one with -2, -3 and so on appended.
    private static func freeName(_ path: String) -> String {
        guard FileSystem.exists(path) else { return path }
        var number = 2
        while FileSystem.exists("\(path)-\(number)") { number += 1 }
        return "\(path)-\(number)"
    }

    /// Removes the partial folders that killed runs left; returns the failures.
    private func removePartialFolders() -> [Failure] {
        let suffix = AtomicFolder.partialSuffix
        return removing { () throws(Failure) in
            try FileSystem.names(in: folder).filter { name in
                name.hasSuffix(suffix) && Candidate.step(of: name.dropLast(suffix.count)) != nil
            }.map { "\(folder)/\($0)" }
        }
    }

    /// Removes the oldest checkpoints before a step; returns the failures.
    ///
    /// Later checkpoints are not counted, because a run that resumed from an earlier one has
    /// rejected them.
    private func removeOld(below step: Int, except kept: Int?) -> [Failure] {
        guard keep > 0 else { return [] }
        return removing { () throws(Failure) in
            let old = try candidates().filter { $0.step < step }.dropFirst(keep - 1)
                .filter { $0.step != kept }
            var renamed: [String] = []
            for candidate in old {
                // The next save completes an interrupted removal of a folder with this name.
                let partial = candidate.folder + AtomicFolder.partialSuffix
                try FileSystem.rename(candidate.folder, to: partial)
                renamed.append(partial)
            }
            return renamed
        }
    }

    private func removing(_ list: () throws(Failure) -> [String]) -> [Failure] {
        do throws(Failure) {
            var failures: [Failure] = []
            for path in try list() {
                do throws(Failure) {
                    try FileSystem.removeFlatFolder(path)
                } catch { failures.append(error) }
            }
            return failures
        } catch { return [error] }
    }
}
