import Data
import Logging
import MPI
import Recipes
import Support

/// The token data of a run and the order in which it is read.
package struct TrainingData: Sendable {
    package let path: String
    package let training: TokenDataset
    package let validation: TokenDataset
    /// The data's tokenizer; nil if the folder does not describe one.
    package let tokenizer: (any Tokenizer)?
    package let order: MixtureOrder
    package let validationWindows: ValidationWindows

    /// The failure of a command that needs data but was given none.
    package static let notGiven = Failure.missing(
        "--data", remedy: "give it the folder that `lockstep tokenize` wrote")

    /// Opens a data folder and those of the recipe's mixture for a model, and sets the size of the model's
    /// vocabulary if it is unset.
    ///
    /// - Parameters:
    ///   - isRemembered: whether the path was read from a run or a sweep instead of the command
    ///     line, so a missing folder may have been moved.
    ///   - rank: the rank that opens the folder. If it is not 0, rank 0 has already found the
    ///     folder, so the remedy for a missing folder is to copy it to the other hosts.
    /// - Throws: `Failure` (missing input) if the folder or one of its files does not exist; (bad
    ///   data) if the folder was made for another tokenizer, a token is outside the vocabulary, or
    ///   the data are shorter than one context.
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
        let parts = try Self.mixture(recipe.data, remedy: remedy)
        validationFingerprint = folder.validationFingerprint
        let trainFingerprint =
            parts.isEmpty
            ? folder.trainFingerprint
            : SHA256.hash(parts.map(\.trainFingerprint).joined(separator: "\n"))
        fingerprint = "\(trainFingerprint)\(Self.fingerprintSeparator)\(validationFingerprint)"
        tokenizer = folder.tokenizer
        recipe.model.vocabularySize = try Self.vocabularySize(
            recipe.model.vocabularySize, tokenizer: tokenizer, path: path)
        try folder.validate(vocabularySize: recipe.model.vocabularySize)
        let documentToken = try Self.documentToken(recipe.data, of: folder)
        for part in parts { try part.requireSameTokens(as: folder, recipe.model.vocabularySize) }
        training = (parts.isEmpty ? folder.train : TokenDataset(joining: parts.map(\.train)))
            .bounded(by: recipe.model.vocabularySize).divided(at: documentToken)
        validation = folder.validation.bounded(by: recipe.model.vocabularySize)
            .divided(at: documentToken)
        let (seed, contextLength) = (recipe.training.seed, recipe.model.contextLength)
        order =
            parts.isEmpty
            ? try MixtureOrder(
                seed: seed, tokenCount: training.tokenCount, contextLength: contextLength)
            : try MixtureOrder(
                seed: seed, tokenCounts: parts.map(\.train.tokenCount),
                weights: recipe.data.mixture.map(\.weight), contextLength: contextLength)
        validationWindows = try ValidationWindows(
            tokenCount: validation.tokenCount, contextLength: recipe.model.contextLength)
    }

    /// Returns the token at which attention and positions start again, or nil if they do not.
    ///
    /// - Throws: `Failure` (configuration) if the tokenizer has no such token.
    private static func documentToken(
        _ data: DataConfiguration, of folder: DataFolder
    ) throws(Failure) -> Int32? {
        guard data.resetsAtDocuments else { return nil }
        guard let token = folder.tokenizer?.endOfText else {
            throw .key(
                "[data] reset_at_documents", true,
                "needs an end-of-text token, but \(folder.path) "
                    + (folder.tokenizer == nil
                        ? "has no tokenizer.json" : "was made with a tokenizer that has none"),
                remedy: "tokenize the text with byte pairs, or remove the key")
        }
        return Int32(token)
    }

    /// Opens the folders whose training tokens are mixed.
    private static func mixture(
        _ data: DataConfiguration, remedy: String
    ) throws(Failure) -> [DataFolder] {
        var parts: [DataFolder] = []
        for part in data.mixture { parts.append(try DataFolder(part.path, remedy: remedy)) }
        return parts
    }

    /// The fingerprints of the training and the validation split, which identify the data.
    package let fingerprint: String
    /// The fingerprint of the validation split.
    package let validationFingerprint: String

    private static let fingerprintSeparator: Character = "-"

    /// Warns if the validation tokens differ from those of the run whose `fingerprint` is given.
    func warnOfOtherValidation(thanIn run: RunFolder, fingerprint: String, isRemembered: Bool) {
        guard
            fingerprint.split(separator: Self.fingerprintSeparator).last.map(String.init)
                != validationFingerprint
        else { return }
        let logger = Logger(label: "lockstep")
        let what =
            "the validation tokens in \(path) differ from those that the run in \(run.path) was trained with"
        guard isRemembered else { return logger.notice("\(what).") }
        logger.warning(
            "\(what), so the losses cannot be compared; give --data a folder with the same tokens."
        )
    }

    /// The fingerprint of the tokenizer; empty if the tokenizer is unknown.
    package var tokenizerFingerprint: String { tokenizer?.fingerprint ?? "" }

    private static func vocabularySize(
        _ wanted: Int, tokenizer: (any Tokenizer)?, path: String
    ) throws(Failure) -> Int {
        guard wanted > 0 || tokenizer != nil else {
            throw .file(
                .configuration, path,
                "has no tokenizer.json, so the size of the vocabulary is unknown",
                remedy: "set [model] vocabulary_size")
        }
        let least = tokenizer?.vocabularySize ?? wanted
        guard wanted == 0 || wanted >= least else {
            throw .key(
                "[model] vocabulary_size", wanted,
                "is smaller than the tokenizer's \(least) symbols",
                remedy: "set it to 0 or to \(least)")
        }
        return wanted == 0 ? least : wanted
    }
}

extension DataFolder {
    /// Checks that the training tokens of this folder can be mixed into the data of another.
    ///
    /// - Throws: `Failure` (bad data) if the tokenizers differ, or a token is outside the vocabulary.
    fileprivate func requireSameTokens(
        as other: DataFolder, _ vocabularySize: Int
    ) throws(Failure) {
        if let own = tokenizer, let others = other.tokenizer, own.fingerprint != others.fingerprint
        {
            throw .file(
                .badData, path, "was made with another tokenizer than \(other.path)",
                remedy: "tokenize the text again with `lockstep tokenize --like "
                    + "\(shellQuoted(other.path))`")
        }
        try validate(vocabularySize: vocabularySize)
    }
}

extension RunFolder {
    /// Opens the data that the run was trained with or another folder's data, and warns if the
    /// validation tokens differ. Only the first rank needs the run's folder. Collective: every rank
    /// must call this.
    ///
    /// - Parameter fingerprint: the data's fingerprint in a checkpoint of the run; only the first
    ///   rank's is used.
    /// - Throws: the same as `TrainingData.init`; `Failure` (bad data) if the data have another
    ///   tokenizer.
    package func openData(
        at given: String?, fingerprint: String, recipe: inout Recipe, communicator: Communicator
    ) throws(Failure) -> TrainingData {
        let folder = try communicator.fromFirstRank { () throws(Failure) in
            // `??` would lose the type of the error.
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

    /// Checks that a data folder was made with the run's tokenizer, if both are known.
    ///
    /// - Throws: `Failure` (bad data) if it was made with another tokenizer.
    func refuseOtherTokenizer(than dataPath: String) throws(Failure) {
        guard let tokenizer = try loadTokenizerIfPresent(folder: dataPath),
            let own = try loadTokenizerIfPresent(folder: path),
            own.fingerprint != tokenizer.fingerprint
        else { return }
        throw .file(
            .badData, dataPath,
            "was made with another tokenizer than the run in \(path) was trained with",
            remedy: "tokenize the text again with `lockstep tokenize --like \(shellQuoted(path))`")
    }
}

/// Returns the tokenizer that a folder describes, or nil if it describes none.
///
/// - Throws: `Failure` (bad data) if the description is damaged.
func loadTokenizerIfPresent(folder: String) throws(Failure) -> (any Tokenizer)? {
    guard FileSystem.exists("\(folder)/\(tokenizerFileName)") else { return nil }
    return try loadTokenizer(folder: folder)
}
