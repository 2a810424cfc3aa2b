import Support
import Training

/// A new folder for the results of a command, created completely or not at all.
struct ResultFolder {
    let path: String

    init(_ path: String) { self.path = RunFolder(path).path }

    /// Checks that the folder does not exist or is empty.
    ///
    /// - Throws: `Failure` (usage) if the path is taken; (I/O) if one of its parent folders is a
    ///   file.
    func requireFree() throws(Failure) {
        guard path.isEmpty || !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            throw .file(
                .usage, path, "exists and is never overwritten", remedy: "give --out a new folder")
        }
        try RunFolder(path).requireFree()
    }

    /// Creates the folder with the files.
    ///
    /// - Throws: the failures of `requireFree`; `Failure` (I/O) if a file cannot be written.
    func write(_ files: [(name: String, text: String)]) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: files.last?.name) { (partial) throws(Failure) in
            for file in files { try AtomicFile.write(file.text, to: "\(partial)/\(file.name)") }
        }
    }
}
