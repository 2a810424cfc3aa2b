import Failures

/// A folder that `tokenize` made, or one with token files of llm.c or nanoGPT.
package struct DataFolder: Sendable {
    package let path: String
    package let train: TokenDataset
    package let validation: TokenDataset
    /// Nil in folders made by other tools.
    package let tokenizer: (any Tokenizer)?
    /// Nil in folders made by other tools.
    package let description: DatasetDescription?

    /// Opens a data folder and checks that its files belong together.
    ///
    /// - Throws: `Failure` (missing input, input/output, bad data) that names the file at fault.
    package init(_ path: String) throws(Failure) {
        guard isFolder(path) else {
            throw Failure(
                .missingInput,
                "there is no data folder \(path); make it with \"lockstep tokenize\".")
        }
        self.path = path
        train = try TokenDataset.open(folder: path, split: .train)
        validation = try TokenDataset.open(folder: path, split: .validation)
        let description = try DatasetDescription.load(folder: path)
        let hasTokenizer = description != nil || fileExists("\(path)/\(tokenizerFileName)")
        let tokenizer = hasTokenizer ? try loadTokenizer(folder: path) : nil
        if let description, let tokenizer {
            try description.check(
                tokenizer: tokenizer, of: "its own \(tokenizerFileName)", folder: path)
            try description.check(train, split: .train, folder: path)
            try description.check(validation, split: .validation, folder: path)
        }
        self.description = description
        self.tokenizer = tokenizer
    }

    /// The split's tokens.
    package func dataset(_ split: DataSplit) -> TokenDataset {
        split == .train ? train : validation
    }

    /// Checks every token of both splits against a vocabulary.
    ///
    /// - Throws: `Failure` (bad data) that names the first that is not in it.
    package func validate(vocabularySize: Int) throws(Failure) {
        try train.validate(vocabularySize: vocabularySize)
        try validation.validate(vocabularySize: vocabularySize)
    }
}
