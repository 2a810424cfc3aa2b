import Data
import Glibc
import Logging
import MPI
import Recipes
import Support

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
    /// - Parameters:
    ///   - isRemembered: whether the path comes from a run or a sweep rather than from the command
    ///     line, so that a missing folder may have been moved.
    ///   - rank: the rank that opens the folder. If it is not 0, rank 0 has found the folder, so the
    ///     remedy is to copy it to the other hosts.
    /// - Throws: `Failure` (missing input) where something is not there; (bad data) where the
    ///   folder was made for another tokenizer, a token is outside the vocabulary, or the data are
    ///   shorter than one context.
    package init(
        path: String, recipe: inout Recipe, isRemembered: Bool = false, rank: Int
    ) throws(Failure) {
        self.path = path
        let remedy =
            if rank > 0 {
                "copy the data to this path on every host"
            } else if isRemembered {
                "if the data were moved, give --data their new folder"
            } else {
                TokenDataset.missingRemedy
            }
        let folder = try DataFolder(path, remedy: remedy)
        validationFingerprint = folder.validationFingerprint
        fingerprint =
            "\(folder.trainFingerprint)\(Self.fingerprintSeparator)\(validationFingerprint)"
        tokenizer = folder.tokenizer
        recipe.model.vocabularySize = try Self.vocabularySize(
            recipe.model.vocabularySize, tokenizer: tokenizer, path: path)
        try folder.validate(vocabularySize: recipe.model.vocabularySize)
        training = folder.train.bounded(by: recipe.model.vocabularySize)
        validation = folder.validation.bounded(by: recipe.model.vocabularySize)
        order = try SampleOrder(
            seed: recipe.training.seed, tokenCount: training.tokenCount,
            contextLength: recipe.model.contextLength)
        validationWindows = try ValidationWindows(
            tokenCount: validation.tokenCount, contextLength: recipe.model.contextLength)
    }

    /// The fingerprints of the training and the validation split, which identify the data.
    package let fingerprint: String
    /// The fingerprint of the validation split.
    package let validationFingerprint: String

    private static let fingerprintSeparator: Character = "-"

    /// Warns if the validation tokens differ from those of the run whose `fingerprint` is given.
    func warnOfOtherValidation(
        thanIn run: RunFolder, fingerprint: String, isRemembered: Bool
    ) {
        guard
            fingerprint.split(separator: Self.fingerprintSeparator).last.map(String.init)
                != validationFingerprint
        else { return }
        let logger = Logger(label: "lockstep")
        let what =
            "the validation tokens in \(path) differ from those that the run in \(run.path) was trained with"
        guard isRemembered else {
            logger.notice("\(what).")
            return
        }
        logger.warning(
            "\(what), so the losses cannot be compared; give --data a folder with the same tokens."
        )
    }

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
    /// Opens the data that the run was trained with, or another folder's, and warns if the validation
    /// tokens differ. Only the first rank needs the run's folder. Collective.
    ///
    /// - Parameter fingerprint: the data's fingerprint in a checkpoint of the run; only the first
    ///   rank's is used.
    /// - Throws: as `TrainingData`; `Failure` (bad data) if the data have another tokenizer.
    package func openData(
        at given: String?, fingerprint: String, recipe: inout Recipe, communicator: Communicator
    ) throws(Failure) -> TrainingData {
        let folder = try communicator.fromFirstRank { () throws(Failure) in
            // `??` would lose the type of what is thrown.
            let folder: String
            if let given { folder = given } else { folder = try readDataPath() }
            try refuseOtherTokenizer(than: folder)
            return folder
        }
        let data = try communicator.agree { () throws(Failure) in
            try TrainingData(
                path: folder, recipe: &recipe, isRemembered: given == nil, rank: communicator.rank)
        }
        if communicator.rank == 0 {
            data.warnOfOtherValidation(
                thanIn: self, fingerprint: fingerprint, isRemembered: given == nil)
        }
        return data
    }

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
    guard FileSystem.exists("\(folder)/\(tokenizerFileName)") else { return nil }
    return try loadTokenizer(folder: folder)
}
