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
        self = try decodeJSONFile(HuggingFaceTokenizer.self, at: path, remedy: useOwnFile)
            .tokenizer(path: path)
    }
}

/// Lockstep's description of a tokenizer without merges: `{"type": "bytes", "version": 1}`, or
/// `{"type": "characters", "version": 1, "characters": "..."}` with the characters in order of id.
private struct PlainTokenizer: Decodable {
    let type: String?
    let version: Int?
    let characters: String?

    enum CodingKeys: String, CodingKey { case type, version, characters }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        type = try values.decodeIfPresent(String.self, forKey: .type)
        // Without a type, the file has Hugging Face's layout, whose version is a string.
        version = type == nil ? nil : try values.decodeIfPresent(Int.self, forKey: .version)
        characters =
            type == nil ? nil : try values.decodeIfPresent(String.self, forKey: .characters)
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
    let plain = try decodeJSONFile(PlainTokenizer.self, at: path)
    guard let type = plain.type else {
        return try decodeJSONFile(HuggingFaceTokenizer.self, at: path).tokenizer(path: path)
    }
    guard plain.version == 1 else {
        let version = plain.version.map { "version \($0)" } ?? "no version"
        throw .badData(path, "has \(version), but only version 1 is supported")
    }
    switch (type, plain.characters) {
    case ("bytes", _): return ByteTokenizer()
    case ("characters", let characters?):
        let scalars = characters.unicodeScalars.map(\.value)
        guard !scalars.isEmpty, zip(scalars, scalars.dropFirst()).allSatisfy(<) else {
            throw .badData(path, "does not list each character once and in increasing order")
        }
        return try CharacterTokenizer(scalars: scalars)
    case ("characters", nil): throw .badData(path, "has no \"characters\"")
    default:
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
