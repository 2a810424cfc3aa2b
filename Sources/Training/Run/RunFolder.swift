import Glibc
import Recipes
import Support

/// The folder of one run and what lies where in it.
package struct RunFolder: Sendable {
    package let path: String

    package init(_ path: String) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// The resolved recipe, every key written out.
    package var recipe: String { "\(path)/recipe.toml" }
    /// One line a step and one an evaluation.
    package var metrics: String { "\(path)/metrics.jsonl" }
    /// What the tokens mean, so that the run can be sampled without its data.
    package var tokenizer: String { "\(path)/tokenizer.json" }
    /// Where the training data lie.
    package var dataPath: String { "\(path)/data-path.txt" }
    package var checkpoints: String { "\(path)/checkpoints" }

    /// Whether a run was started here.
    package var holdsRun: Bool { FileSystem.exists(recipe) }

    /// Checks that a new run can be made here.
    ///
    /// - Throws: `Failure` (usage) if a run or anything else is there already; (I/O) below a file.
    package func requireFree() throws(Failure) {
        guard !path.isEmpty else {
            throw Failure(
                .usage, "--out is an empty name, which is no folder: give it the run's folder.")
        }
        if holdsRun {
            throw Failure(
                .usage,
                "\(path) already holds a run, which is never overwritten: add --resume to go on "
                    + "with it, or give --out another folder.")
        }
        for partial in [
            path + AtomicFolder.partialSuffix, "\(path)/\(AtomicFolder.innerPartialName)",
        ] where FileSystem.exists(partial) {
            throw Failure(
                .usage,
                "\(partial) is left by a start that was interrupted, or another is under way; remove it "
                    + "if nothing runs there, or give --out another folder.")
        }
        try FileSystem.requireWritable(path)
        guard !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            let state =
                FileSystem.isFolder(path) ? "is not empty and holds no run" : "is not a folder"
            throw Failure(.usage, "\(path) \(state); give --out a new folder.")
        }
    }

    /// Makes the folder of a new run, whole or not at all.
    ///
    /// - Throws: as `requireFree`; `Failure` (I/O) if the folder cannot be made or written.
    package func create(
        recipe recipeText: String, dataPath: String, tokenizerFrom dataTokenizer: String?
    ) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: "recipe.toml") { (partial) throws(Failure) in
            let inside = RunFolder(partial)
            if let dataTokenizer { try AtomicFile.write(dataTokenizer, to: inside.tokenizer) }
            try AtomicFile.write(dataPath + "\n", to: inside.dataPath)
            try AtomicFile.write(recipeText, to: inside.recipe)
        }
    }

    /// Replaces the recipe of a run that is resumed, and keeps the previous one as
    /// `recipe.superseded-N.toml`.
    ///
    /// The last line of the previous recipe names the new one, so that a later resume can tell this
    /// change from an edit by hand.
    ///
    /// - Throws: `Failure` (I/O).
    package func replaceRecipe(with new: Recipe) throws(Failure) {
        let previous = try read(recipe)
        guard previous != new.toml else { return }
        try AtomicFile.supersede(
            recipe, holding: previous + Self.replacementLine(new), with: new.toml)
    }

    /// Returns whether a resume replaced an earlier recipe of this run with `new`.
    ///
    /// - Throws: `Failure` (I/O).
    package func wasReplaced(by new: Recipe) throws(Failure) -> Bool {
        for name in try FileSystem.names(in: path)
        where name.hasPrefix("recipe.superseded-") && name.hasSuffix(".toml") {
            if try readText("\(path)/\(name)").hasSuffix(Self.replacementLine(new)) { return true }
        }
        return false
    }

    /// Returns the comment that names a recipe by its values, whatever the comments of a version.
    private static func replacementLine(_ new: Recipe) -> String {
        let values = new.toml.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let hash = SHA256.hash(values.joined(separator: "\n"))
        return "# Replaced by the recipe whose values have the SHA-256 \(hash).\n"
    }

    /// The whole of one of the run's files.
    ///
    /// - Throws: `Failure` (missing input) if there is no run here; (I/O) if it cannot be read.
    package func read(_ file: String) throws(Failure) -> String {
        guard holdsRun else {
            throw Failure(
                .missingInput,
                "\(path) holds no run: give the folder that `lockstep train` was given as --out.")
        }
        return try readText(file)
    }

    /// The data folder that the run was started with.
    ///
    /// - Throws: as `read` does.
    package func readDataPath() throws(Failure) -> String {
        // Only the last line break was added; one within the name is part of it.
        String(try read(dataPath).dropLast())
    }

    /// That no checkpoint is whole, where one is needed.
    ///
    /// - Parameter remedy: ends the sentence.
    func noWholeCheckpoint(remedy: String = "train the run first") -> Failure {
        Failure(.missingInput, "\(checkpoints) holds no checkpoint that is whole: \(remedy).")
    }
}
