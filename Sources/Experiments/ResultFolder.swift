import Support
import Training

/// A new folder for what a command has found, whole or not at all.
struct ResultFolder {
    let path: String

    init(_ path: String) { self.path = RunFolder(path).path }

    /// - Throws: a `.usage` failure where something is there; `.inputOutput` below a file.
    func requireFree() throws(Failure) {
        guard path.isEmpty || !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            throw Failure(
                .usage,
                "\(path) is there already and is never overwritten: give --out a new folder.")
        }
        try RunFolder(path).requireFree()
    }

    /// Makes the folder with files of some names and texts.
    ///
    /// - Throws: as `requireFree`; `.inputOutput`.
    func write(_ files: [(name: String, text: String)]) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: files.last?.name) { (partial) throws(Failure) in
            for file in files { try AtomicFile.write(file.text, to: "\(partial)/\(file.name)") }
        }
    }
}
