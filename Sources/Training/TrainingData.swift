import DataLoading
import Failures

/// The token data of a run and the order in which it is read.
package struct TrainingData: Sendable {
    package let path: String
    package let training: TokenDataset
    package let validation: TokenDataset
    /// Nil where the folder has no description of its tokenizer.
    package let tokenizer: (any Tokenizer)?
    package let order: SampleOrder

    /// Opens a data folder for a model, and settles the model's vocabulary.
    ///
    /// - Throws: `Failure` (missing input) where something is not there; (bad data) where the folder
    ///   was made for another tokenizer, a token is outside the vocabulary, or the data are shorter
    ///   than one context.
    package init(path: String, recipe: inout Recipe) throws(Failure) {
        self.path = path
        training = try TokenDataset.open(folder: path, split: .train)
        validation = try TokenDataset.open(folder: path, split: .validation)
        let tokenizer = try TokenizerFile.loadIfPresent(folder: path)
        self.tokenizer = tokenizer
        if let tokenizer { try DatasetDescription.check(folder: path, tokenizer: tokenizer) }
        recipe.model.vocabularySize = try Self.vocabularySize(
            recipe.model.vocabularySize, tokenizer: tokenizer, path: path)
        try training.validate(vocabularySize: recipe.model.vocabularySize)
        try validation.validate(vocabularySize: recipe.model.vocabularySize)
        order = try SampleOrder(
            seed: recipe.training.seed, tokenCount: training.tokenCount,
            contextLength: recipe.model.contextLength)
        guard validation.tokenCount >= 2 else {
            throw Failure(
                .badData,
                "The validation split in \(path) has \(validation.tokenCount) tokens, but an "
                    + "evaluation needs at least 2; tokenize a longer text.")
        }
    }

    /// Tells these data from others: the training and the validation split's fingerprints.
    package var fingerprint: String { "\(training.fingerprint)-\(validation.fingerprint)" }

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
