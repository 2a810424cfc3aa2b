import DataLoading
import Failures

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The token data of a run and the order in which it is read.
package struct TrainingData: Sendable {
    package let path: String
    package let training: TokenDataset
    package let validation: TokenDataset
    /// Nil where the folder has no description of its tokenizer.
    package let tokenizer: (any Tokenizer)?
    package let order: SampleOrder
    package let validationWindows: ValidationWindows

    /// Where a command that needs data was given none.
    package static let notGiven = Failure(
        .usage, "No data are given: add --data with the folder that `lockstep tokenize` wrote.")

    /// Opens a data folder for a model, and settles the model's vocabulary.
    ///
    /// - Throws: `Failure` (missing input) where something is not there; (bad data) where the
    ///   folder was made for another tokenizer, a token is outside the vocabulary, or the data are
    ///   shorter than one context.
    package init(path: String, recipe: inout Recipe) throws(Failure) {
        self.path = path
        let folder = try DataFolder(path)
        training = folder.train
        validation = folder.validation
        fingerprint = "\(training.fingerprint)-\(validation.fingerprint)"
        tokenizer = folder.tokenizer
        recipe.model.vocabularySize = try Self.vocabularySize(
            recipe.model.vocabularySize, tokenizer: tokenizer, path: path)
        try folder.validate(vocabularySize: recipe.model.vocabularySize)
        order = try SampleOrder(
            seed: recipe.training.seed, tokenCount: training.tokenCount,
            contextLength: recipe.model.contextLength)
        validationWindows = try ValidationWindows(
            tokenCount: validation.tokenCount, contextLength: recipe.model.contextLength)
    }

    /// Tells these data from others: the training and the validation split's fingerprints.
    package let fingerprint: String

    /// Tells the tokenizer from others; empty where it is not known.
    package var tokenizerFingerprint: String { tokenizer?.fingerprint ?? "" }

    private static func vocabularySize(
        _ wanted: Int, tokenizer: (any Tokenizer)?, path: String
    ) throws(Failure) -> Int {
        guard let tokenizer else {
            guard wanted > 0 else {
                throw Failure(
                    .configuration,
                    "\(path) has no tokenizer.json, so the vocabulary is not known: set [model] "
                        + "vocabulary_size.")
            }
            return wanted
        }
        guard wanted == 0 || wanted >= tokenizer.vocabularySize else {
            throw Failure(
                .configuration,
                "[model] vocabulary_size = \(wanted) is smaller than the tokenizer's "
                    + "\(tokenizer.vocabularySize) symbols: set it to 0 or to "
                    + "\(tokenizer.vocabularySize).")
        }
        return wanted == 0 ? tokenizer.vocabularySize : wanted
    }
}

extension RunFolder {
    /// Checks that a data folder was made with the tokenizer that the run was trained with, as far
    /// as both are known.
    ///
    /// - Throws: `Failure` (bad data) where it was made with another.
    func refuseOtherTokenizer(than dataPath: String) throws(Failure) {
        guard let tokenizer = try loadTokenizerIfPresent(folder: dataPath),
            let own = try loadTokenizerIfPresent(folder: path),
            own.fingerprint != tokenizer.fingerprint
        else { return }
        throw Failure(
            .badData,
            "The data in \(dataPath) were made with another tokenizer than the run in \(path) was "
                + "trained with; tokenize the text again with `lockstep tokenize --like \(shellQuoted(path))`."
        )
    }
}

/// The tokenizer that a folder describes, or nil where it describes none.
///
/// - Throws: `Failure` (bad data) where the description is damaged.
func loadTokenizerIfPresent(folder: String) throws(Failure) -> (any Tokenizer)? {
    guard access("\(folder)/\(tokenizerFileName)", F_OK) == 0 else { return nil }
    return try loadTokenizer(folder: folder)
}
