import Checkpointing
import Failures

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

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
    package var holdsRun: Bool { access(recipe, F_OK) == 0 }

    /// Makes the folder of a new run.
    ///
    /// - Throws: `Failure` (usage) if a run or anything else is there already; (I/O) if the folder
    ///   cannot be made or written.
    package func create(
        recipe recipeText: String, dataPath: String, tokenizerFrom dataTokenizer: String?
    ) throws(Failure) {
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
        guard isEmptyOrMissing else {
            throw Failure(
                .usage,
                "\(path) is not empty and holds no run: give --out a new folder.")
        }
        try FileSystem.makeFolders(checkpoints)
        if let dataTokenizer { try AtomicFile.write(dataTokenizer, to: tokenizer) }
        try AtomicFile.write(dataPath + "\n", to: self.dataPath)
        // The recipe comes last: with it the folder holds a run.
        try AtomicFile.write(recipeText, to: recipe)
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

    /// True where nothing that could be lost is there.
    private var isEmptyOrMissing: Bool {
        // What is there but cannot be opened as a folder is refused; below a file nothing can be,
        // and making the folder says so.
        guard let folder = opendir(path) else { return access(path, F_OK) != 0 }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // What a start that failed halfway leaves behind.
            let harmless = [".", "..", "checkpoints", "tokenizer.json", "data-path.txt"]
            if !harmless.contains(name) { return false }
        }
        return true
    }
}

/// A whole file as text.
///
/// - Throws: `Failure` (missing input, I/O, bad data where it is not UTF-8).
package func readText(_ path: String) throws(Failure) -> String {
    guard let file = fopen(path, "r") else {
        let code: Failure.Code = errno == ENOENT ? .missingInput : .inputOutput
        throw Failure(
            code, "\(path) cannot be read: \(String(cString: strerror(errno))); check the path.")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        guard count > 0 else { break }
        bytes += chunk[..<count]
    }
    guard ferror(file) == 0 else {
        throw Failure(.inputOutput, "\(path) cannot be read to its end; check the disk.")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw Failure(.badData, "\(path) is not valid UTF-8; give a text file.")
    }
    return text
}
