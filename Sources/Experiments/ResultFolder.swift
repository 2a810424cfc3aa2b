import Report
import Support
import Training

/// A new folder for the results of a command, created completely or not at all.
struct ResultFolder {
    let path: String

    init(_ path: String) { self.path = RunFolder(path).path }

    /// Checks that the folder can be created.
    ///
    /// - Throws: `Failure` (usage) if the path is taken; (I/O) if one of its parent folders is a
    ///   file.
    private func requireFree() throws(Failure) {
        guard path.isEmpty || !FileSystem.exists(path) || FileSystem.isEmptyFolder(path) else {
            throw .taken(path, remedy: "give --out a new folder")
        }
        try RunFolder(path).requireFree()
    }

    /// Checks that the folder is free before the work, so that the command does not fail after it.
    ///
    /// - Returns: the script that draws the charts of the folder's page.
    /// - Throws: the failures of `requireFree` and of `VegaLibrary.script`.
    func prepare() throws(Failure) -> String {
        try requireFree()
        return try VegaLibrary.script()
    }

    /// Creates the folder with a table, a JSON file and report.html.
    ///
    /// - Throws: the failures of `requireFree`; `Failure` (I/O) if a file cannot be written.
    func write(
        _ table: (name: String, text: String), _ json: (name: String, object: JSONObject),
        page: Page, vega: String?
    ) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: "report.html") { (partial) throws(Failure) in
            try AtomicFile.write(table.text, to: "\(partial)/\(table.name)")
            try AtomicFile.write(json.object.text + "\n", to: "\(partial)/\(json.name)")
            try AtomicFile.write(page.html(vega: vega ?? ""), to: "\(partial)/report.html")
        }
    }
}
