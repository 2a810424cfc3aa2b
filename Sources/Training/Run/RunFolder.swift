import Recipes
import Support

/// The folder of one run, and the paths of its files.
package struct RunFolder: Sendable {
    package let path: String

    /// Creates the folder at a path; slashes at the end are ignored.
    package init(_ path: String) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// The file of the resolved recipe, in which every key is set.
    package var recipe: String { "\(path)/recipe.toml" }
    /// The file of the metrics: one line per step, evaluation or diagnosis.
    package var metrics: String { "\(path)/metrics.jsonl" }
    /// The file of the tokenizer, so that the run can be sampled without its data.
    package var tokenizer: String { "\(path)/tokenizer.json" }
    /// The file that states the path of the data folder.
    package var dataPath: String { "\(path)/data-path.txt" }
    package var checkpoints: String { "\(path)/checkpoints" }
    /// The folder of the event files for TensorBoard.
    package var tensorBoard: String { "\(path)/tensorboard" }

    /// Whether the folder holds a run.
    package var holdsRun: Bool { FileSystem.exists(recipe) }

    /// Checks that a new run can be created in the folder.
    ///
    /// - Throws: `Failure` (usage) if the folder holds a run or anything else; (I/O) if it cannot
    ///   be created or written.
    package func requireFree() throws(Failure) {
        guard !path.isEmpty else {
            throw .option("--out", "\"\"", "is empty", remedy: "give it a folder")
        }
        if holdsRun {
            throw .file(
                .usage, path, "already holds a run, which is never overwritten",
                remedy: "add --resume to resume it, or give --out another folder")
        }
        for partial in [
            path + AtomicFolder.partialSuffix, "\(path)/\(AtomicFolder.innerPartialName)",
        ] where FileSystem.exists(partial) {
            throw .file(
                .usage, partial, "is left by a start that was interrupted or is still running",
                remedy: "remove it if nothing is running there, or give --out another folder")
        }
        try FileSystem.requireWritable(path)
        guard !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            let state =
                FileSystem.isFolder(path) ? "is not empty and holds no run" : "is not a folder"
            throw .file(.usage, path, state, remedy: "give --out a new folder")
        }
    }

    /// Creates the folder of a new run, either whole or not at all.
    ///
    /// - Parameter initialModel: the model from which the run starts; nil for new parameters.
    /// - Throws: the same as `requireFree`; `Failure` (I/O) if the folder cannot be created or
    ///   written.
    package func create(
        recipe recipeText: String, dataPath: String, tokenizerFrom dataTokenizer: String?,
        initialModel record: InitialModelRecord? = nil
    ) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: "recipe.toml") { (partial) throws(Failure) in
            let inside = RunFolder(partial)
            if let dataTokenizer { try AtomicFile.write(dataTokenizer, to: inside.tokenizer) }
            try AtomicFile.write(dataPath + "\n", to: inside.dataPath)
            if let record { try AtomicFile.write(record.json.text + "\n", to: inside.initialModel) }
            try AtomicFile.write(recipeText, to: inside.recipe)
        }
    }

    /// Replaces the recipe of a run that is resumed, and keeps the previous one as
    /// `recipe.superseded-N.toml`.
    ///
    /// The last line of the previous recipe names the new one, so that a later resume can tell this
    /// change from an edit by hand.
    ///
    /// - Returns: the keys in which the new recipe differs.
    /// - Throws: `Failure` (I/O) if a file cannot be read or written.
    @discardableResult
    package func replaceRecipe(with new: Recipe) throws(Failure) -> [Recipe.Difference] {
        let previous = try read(recipe)
        guard previous != new.toml else { return [] }
        let differences = new.differences(from: try Recipe(toml: previous, name: recipe))
        try AtomicFile.supersede(
            recipe, holding: previous + Self.replacementLine(new), with: new.toml)
        return differences
    }

    /// Returns whether a resume replaced an earlier recipe of this run with `new`.
    ///
    /// - Throws: `Failure` (I/O) if a file cannot be read.
    package func wasReplaced(by new: Recipe) throws(Failure) -> Bool {
        for name in try FileSystem.names(in: path)
        where name.hasPrefix("recipe.superseded-") && name.hasSuffix(".toml") {
            if try readText("\(path)/\(name)").hasSuffix(Self.replacementLine(new)) { return true }
        }
        return false
    }

    /// Returns the comment that identifies a recipe by its values; its comments may change.
    private static func replacementLine(_ new: Recipe) -> String {
        let values = new.toml.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let hash = SHA256.hash(values.joined(separator: "\n"))
        return "# Replaced by the recipe whose values have the SHA-256 \(hash).\n"
    }

    /// Returns the content of one of the run's files.
    ///
    /// - Throws: `Failure` (missing input) if the folder holds no run; (I/O) if the file cannot be
    ///   read.
    package func read(_ file: String) throws(Failure) -> String {
        guard holdsRun else { throw .holdsNo("run", path, command: "train") }
        return try readText(file)
    }

    /// Checks that the folder, which is to be evaluated on the data of its run, is not a model in Hugging
    /// Face's layout.
    ///
    /// - Throws: `Failure` (usage) if it is one.
    package func refuseModelWithoutText() throws(Failure) {
        guard !holdsRun, FileSystem.exists("\(path)/\(InitialModel.configurationName)") else {
            return
        }
        throw .file(
            .usage, path,
            "holds a model in Hugging Face's layout, which is evaluated only on text or questions",
            remedy: "add --text FILE or --multiple-choice FILE")
    }

    /// Returns the data folder that the run was started with.
    ///
    /// - Throws: the same as `read`; `Failure` (missing input) if the file is lost or empty.
    package func readDataPath() throws(Failure) -> String {
        // A lost file is like an empty one.
        let text = holdsRun && !FileSystem.exists(dataPath) ? "" : try read(dataPath)
        // Only the last line break was added; others are part of the name.
        let path = String(text.dropLast())
        guard !path.isEmpty else {
            throw .file(
                .missingInput, dataPath, "does not name the run's data",
                remedy: "give the data folder with --data")
        }
        return path
    }

    /// Returns the failure for a command that needs a whole checkpoint of a run that has none.
    ///
    /// - Parameter remedy: the remedy to give, unless the run diverged.
    func noWholeCheckpoint(remedy: String = "train the run first") -> Failure {
        if (try? divergenceStep()) != nil {
            return .file(
                .missingInput, checkpoints,
                "holds no good checkpoint, because the run diverged before its first one",
                remedy: "train it again with a lower [optimizer] learning_rate")
        }
        return .file(.missingInput, checkpoints, "holds no whole checkpoint", remedy: remedy)
    }
}

/// The exclusive right to write to a run's folder, which a process holds until it ends.
///
/// A requeued job may start while a hung one still exists; if both wrote, results would be lost.
package final class RunLock {
    private let lock: FileLock

    /// Takes the lock. On a file system without locks, the run continues without one.
    ///
    /// - Throws: `Failure` (configuration) if another process holds it; (I/O) if the lock file
    ///   cannot be opened.
    package init(_ run: RunFolder) throws(Failure) {
        guard let lock = try FileLock(ifFree: "\(run.path)/lock") else {
            throw .file(
                .configuration, run.path, "is locked by another process",
                remedy: "wait until it has ended, or stop it")
        }
        self.lock = lock
    }
}
