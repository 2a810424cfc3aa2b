import Support

/// A folder that `tokenize` wrote, or one with token files of llm.c or nanoGPT.
package struct DataFolder: Sendable {
    package let path: String
    package let train: TokenDataset
    package let validation: TokenDataset
    /// The folder's tokenizer, or nil in folders written by other tools.
    package let tokenizer: (any Tokenizer)?
    /// The folder's description, or nil in folders written by other tools.
    package let description: DatasetDescription?
    /// The fingerprint of the training split.
    package let trainFingerprint: String
    /// The fingerprint of the validation split.
    package let validationFingerprint: String

    /// Opens a data folder and checks that its files belong together.
    ///
    /// - Parameter remedy: the remedy in the message if something is missing.
    /// - Throws: `Failure` (missing input, input/output, bad data) that names the file at fault.
    package init(_ path: String, remedy: String = TokenDataset.missingRemedy) throws(Failure) {
        guard FileSystem.isFolder(path) else {
            throw .file(.missingInput, path, "there is no such data folder", remedy: remedy)
        }
        self.path = path
        train = try TokenDataset.open(folder: path, split: .train, remedy: remedy)
        validation = try TokenDataset.open(folder: path, split: .validation, remedy: remedy)
        let description = try DatasetDescription.load(folder: path)
        let hasTokenizer = description != nil || FileSystem.exists("\(path)/\(tokenizerFileName)")
        let tokenizer = hasTokenizer ? try loadTokenizer(folder: path) : nil
        if let description, let tokenizer {
            try description.check(
                tokenizer: tokenizer, of: "its own \(tokenizerFileName)", folder: path)
            try description.check(train, split: .train, folder: path)
            try description.check(validation, split: .validation, folder: path)
        }
        trainFingerprint = try train.fingerprint
        validationFingerprint = try validation.fingerprint
        self.description = description
        self.tokenizer = tokenizer
    }

    /// Checks every token of both splits against a vocabulary, and the splits against the folder's
    /// description.
    ///
    /// - Throws: `Failure` (bad data) that names the first token outside the vocabulary, or a
    ///   changed file.
    package func validate(vocabularySize: Int) throws(Failure) {
        try train.validate(vocabularySize: vocabularySize)
        try validation.validate(vocabularySize: vocabularySize)
        try description?.check(
            fingerprint: trainFingerprint, of: train, split: .train, folder: path)
        try description?.check(
            fingerprint: validationFingerprint, of: validation, split: .validation, folder: path)
    }
}
