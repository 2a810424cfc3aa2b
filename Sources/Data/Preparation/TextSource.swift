import Glibc
import Support

/// An input that was read once and can be read again.
struct TextSource: JSONReadable {
    /// The path as the user gave it.
    let input: String
    /// The name of the input in messages.
    let name: String
    /// The path to read. Standard input and pipes are copied to files to be read twice.
    let path: String
    let split: DataSplit
    /// The size of the file in bytes.
    let fileBytes: Int
    /// The time of the file's last change, in seconds since 1970.
    let modified: Double
    /// The size of the text in bytes.
    var bytes = 0
    /// The number of Unicode scalars, unless text is encoded as bytes.
    var scalars = 0
    /// The number of documents in JSON lines; 0 for plain text.
    var documents = 0

    /// Whether the input was copied.
    var isSpooled: Bool { path != input }

    /// Opens an input, and copies it to a file if it cannot be read twice.
    ///
    /// - Throws: `Failure` (missing input, input/output); (requeue) if the work must stop.
    init(
        _ input: String, split: DataSplit, spoolPath: String, options: TokenizeOptions
    ) throws(Failure) {
        // Opening a pipe would wait for its writer.
        let file = try Descriptor(text: input, O_NONBLOCK)
        self.input = input
        self.split = split
        name = file.path
        if try file.regularSize() == nil || input == "-" {
            path = spoolPath
            do throws(Failure) {
                var spool = try OutputFile(creating: spoolPath)
                let isWhole = try file.forEachArrival(until: options.stopRequested) {
                    (bytes) throws(Failure) in try spool.write(bytes)
                }
                guard isWhole else { throw options.stopped }
                try spool.finish()
            } catch {
                FileSystem.removeIfPossible(spoolPath)
                throw error
            }
        } else {
            path = input
        }
        let status = try FileStatus(of: Descriptor(reading: path))
        fileBytes = status.size
        modified = status.modified
    }

    /// Checks that the input is the same as when it was read.
    ///
    /// - Throws: `Failure` (bad data) if it has; (missing input) if it does not exist.
    func requireUnchanged() throws(Failure) {
        let status = try FileStatus(of: Descriptor(text: path))
        guard status.size == fileBytes, status.modified == modified else {
            throw .badData(
                name, "has changed since the tokenization was interrupted",
                remedy: "restore the file, or remove the folder of the interrupted tokenization")
        }
    }
}

// MARK: - JSON

extension TextSource {
    init(json: JSONValue) throws(JSONProblem) {
        input = try json.read("input")
        name = input
        path = input
        split = try json.read("split")
        fileBytes = try json.read("file_bytes")
        modified = try json.read("modified")
        bytes = try json.read("bytes")
        scalars = try json.read("scalars")
        documents = try json.read("documents")
    }

    var json: JSONValue {
        [
            "input": .string(input), "split": .string(split.rawValue),
            "file_bytes": .integer(fileBytes), "modified": .number(modified),
            "bytes": .integer(bytes), "scalars": .integer(scalars),
            "documents": .integer(documents),
        ]
    }
}

extension DataSplit: JSONReadable {}
