import Checkpoints
import Support
import Telemetry

/// The request to resume a run from one of its checkpoints in a new folder.
package struct ResumeRequest: Sendable, Equatable {
    /// The folder of the run, which stays as it is.
    package let path: String
    package let checkpoint: CheckpointChoice

    /// Creates a request.
    ///
    /// - Parameter checkpoint: "best" or a step; nil for the newest checkpoint.
    /// - Throws: `Failure` (usage) if the path is empty, or if the text is neither.
    package init(path: String, checkpoint: String?) throws(Failure) {
        guard !path.isEmpty else {
            throw .option("--resume-from", "\"\"", "is empty", remedy: "give a run's folder")
        }
        self.path = path
        self.checkpoint = try CheckpointChoice(checkpoint, option: "--resume-checkpoint")
    }
}

/// A run as it was at one of its checkpoints, to be copied into a new folder.
struct RunCopy {
    let source: RunFolder
    let checkpoint: Checkpoint

    /// Finds and verifies the checkpoint.
    ///
    /// - Throws: `Failure` (missing input) if there is no run or no such checkpoint; (bad data) if
    ///   the checkpoint is damaged.
    init(_ request: ResumeRequest) throws(Failure) {
        source = RunFolder(request.path)
        _ = try source.read(source.recipe)
        checkpoint = try source.checkpoint(request.checkpoint)
    }

    /// A clause that names the run.
    var origin: String { " of the run in \(source.path)" }

    /// Creates the folder of the copy, completely or not at all. It holds the run's recipe, its
    /// metrics up to the checkpoint, and the checkpoint.
    ///
    /// - Throws: the same as `RunFolder.requireFree`; `Failure` (I/O) if a file cannot be read or
    ///   written.
    func create(_ target: RunFolder) throws(Failure) {
        try target.requireFree()
        try AtomicFolder.create(at: target.path, marker: "recipe.toml") {
            (partial) throws(Failure) in
            let copy = RunFolder(partial)
            for file in [\RunFolder.tokenizer, \.dataPath, \.initialModel, \.recipe] {
                let path = source[keyPath: file]
                guard FileSystem.exists(path) else { continue }
                try AtomicFile.copy(path, to: copy[keyPath: file])
            }
            if FileSystem.exists(source.metrics) {
                try AtomicFile.copy(source.metrics, to: copy.metrics)
                try MetricsLog.removeLines(of: copy.metrics, after: checkpoint.step)
            }
            try copyCheckpoint(into: copy)
        }
    }

    /// Copies the files of the checkpoint.
    private func copyCheckpoint(into copy: RunFolder) throws(Failure) {
        let folder = try copy.checkpointStore().path(step: checkpoint.step)
        _ = try FileSystem.makeFolders(copy.checkpoints)
        do throws(Failure) {
            try FileSystem.makeNewFolder(folder)
            for name in try FileSystem.names(in: checkpoint.folder) {
                try AtomicFile.copy("\(checkpoint.folder)/\(name)", to: "\(folder)/\(name)")
            }
            try FileSystem.synchronizeFolder(folder)
            try FileSystem.synchronizeFolder(copy.checkpoints)
        } catch {
            // The caller can only remove a folder without subfolders.
            try? FileSystem.removeFlatFolder(folder)
            FileSystem.removeFolderIfEmpty(copy.checkpoints)
            throw error
        }
    }
}
