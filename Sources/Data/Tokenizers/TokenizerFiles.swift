import Support

/// The name of the file that describes a tokenizer, in data folders and in runs.
package let tokenizerFileName = "tokenizer.json"

extension BytePairTokenizer {
    /// Reads a vocabulary: `vocab.json` and `merges.txt`, or `encoder.json` and `vocab.bpe`, or
    /// otherwise Hugging Face's `tokenizer.json`.
    ///
    /// - Throws: `Failure` (missing input, input/output, bad data) that names the file.
    package init(folder: String) throws(Failure) {
        if let files = try BytePairFiles(folder: folder) {
            self.init(vocabulary: try files.checked())
            return
        }
        let path = "\(folder)/\(tokenizerFileName)"
        guard FileSystem.exists(path) else {
            throw .file(
                .missingInput, folder, "has no byte-pair vocabulary",
                remedy: "put vocab.json and merges.txt, or encoder.json and vocab.bpe, there")
        }
        let file: HuggingFaceTokenizer = try readJSON(path, remedy: useOwnFile)
        self = try file.bytePairs(path: path)
    }
}

/// The content of a `tokenizer.json`.
private enum TokenizerFile: JSONReadable {
    case huggingFace(HuggingFaceTokenizer)
    /// Lockstep's description of a tokenizer without merges: `{"type": "bytes", "version": 1}`, or
    /// `{"type": "characters", "version": 1, "characters": "..."}` with the characters in order of
    /// id.
    case plain(type: String, version: Int?, characters: String?)

    init(json: JSONValue) throws(JSONProblem) {
        let type: String? = try json.read("type")
        self =
            if let type {
                .plain(
                    type: type, version: try json.read("version"),
                    characters: try json.read("characters"))
            } else { .huggingFace(try HuggingFaceTokenizer(json: json)) }
    }
}

/// Loads the tokenizer that a folder's `tokenizer.json` describes.
///
/// - Throws: `Failure` (missing input, input/output, bad data) if the file cannot be used.
package func loadTokenizer(folder: String) throws(Failure) -> any Tokenizer {
    let path = "\(folder)/\(tokenizerFileName)"
    guard FileSystem.exists(path) else {
        throw .file(
            .missingInput, path, "does not exist",
            remedy: "make the folder with lockstep tokenize, or name one that has a "
                + tokenizerFileName)
    }
    return try readTokenizer(path)
}

/// Loads the tokenizer of a `tokenizer.json`, or of a folder with one or with the two files of a
/// vocabulary.
///
/// - Throws: `Failure` (missing input, input/output, bad data) if there is no file that can be used.
package func loadTokenizer(path: String) throws(Failure) -> any Tokenizer {
    guard FileSystem.exists(path) else {
        throw .file(
            .missingInput, path, "does not exist",
            remedy: "give --tokenizer a \(tokenizerFileName), or a folder with one")
    }
    guard FileSystem.isFolder(path) else { return try readTokenizer(path, remedy: useOwnFile) }
    let inside = "\(path)/\(tokenizerFileName)"
    guard FileSystem.exists(inside) else { return try BytePairTokenizer(folder: path) }
    return try readTokenizer(inside, remedy: useOwnFile)
}

/// Reads a file in Lockstep's or Hugging Face's layout.
///
/// - Parameter remedy: the remedy if the file is damaged.
private func readTokenizer(
    _ path: String, remedy: String = tokenizeAgain
) throws(Failure) -> any Tokenizer {
    let file: TokenizerFile = try readJSON(path, remedy: remedy)
    switch file {
    case .huggingFace(let file): return try file.tokenizer(path: path)
    case .plain(_, let version, _) where version != 1:
        let found = version.map { "version \($0)" } ?? "no version"
        throw .badData(path, "has \(found), but only version 1 is supported")
    case .plain("bytes", _, _): return ByteTokenizer()
    case .plain("characters", _, let characters?):
        let scalars = characters.unicodeScalars.map(\.value)
        guard !scalars.isEmpty, zip(scalars, scalars.dropFirst()).allSatisfy(<) else {
            throw .badData(path, "does not list each character once and in increasing order")
        }
        return try CharacterTokenizer(scalars: scalars)
    case .plain("characters", _, nil): throw .badData(path, "has no \"characters\"")
    case .plain(let type, _, _):
        throw .badData(
            path,
            "has the type \"\(type)\", but only \"characters\", \"bytes\" and byte pairs in "
                + "Hugging Face's layout are supported")
    }
}

extension Tokenizer {
    /// Writes `tokenizer.json` into a folder.
    ///
    /// - Throws: `Failure` (input/output) if the file cannot be written; nothing is left behind.
    package func save(folder: String) throws(Failure) {
        try AtomicFile.write(savedForm, to: "\(folder)/\(tokenizerFileName)")
    }
}
