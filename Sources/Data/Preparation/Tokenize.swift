import Glibc
import Support

/// Turns texts into a data folder: token files of both splits, `tokenizer.json`, `dataset.json`.
///
/// The texts are joined. The first `Int((1 - validationFraction) * n)` characters (bytes for the
/// byte tokenizer) are the train split, as in nanoGPT's `prepare.py`, unless the validation split has texts of
/// its own; each split is encoded separately. nanoGPT's Python reads the line endings CR LF and CR as LF; this
/// function does so with `hasUniversalNewlines`. Texts are read twice. Memory is bounded by the longest word and
/// the longest line of JSON. The folder appears only when it is complete.
///
/// The state of longer work is saved in a temporary folder, from which a later call with `resumes` continues. If
/// nothing was saved, nothing is left after a failure.
///
/// - Parameter found: called with each finding that deserves a warning.
/// - Throws: `Failure`: usage for impossible options or an output that exists; missing input;
///   bad data for invalid UTF-8 or fewer than two tokens in a split; requeue if the work must stop;
///   input/output otherwise.
@discardableResult
package func tokenize(
    _ options: TokenizeOptions, progress: (TokenizeProgress) -> Void = { _ in },
    found: (TextFinding) -> Void = { _ in }
) throws(Failure) -> TokenizeStatistics {
    let clock = ContinuousClock()
    let start = clock.now
    try options.validate()
    _ = try options.totalSize()  // Missing texts are found before anything is written.
    let tokenizer = try options.tokenizer.load()
    try checkSeparators(options, tokenizer)

    let target = options.target
    let partial = AtomicFolder.partial(of: target)
    if options.resumes {
        try TokenizeState.requireInterrupted(partial, output: target)
    } else {
        try requireFree(target)
    }
    // Another process may be using the temporary folder of a resume until it is locked.
    var isLocked = !options.resumes
    let (description, loss) = try AtomicFolder.create(
        at: target, marker: DatasetDescription.fileName, resumes: options.resumes,
        keepsPartial: !isLocked || TokenizeState.exists(in: partial)
    ) { (folder) throws(Failure) in
        let lock = try TokenizeState.lock(folder)
        isLocked = true
        let written = try write(
            options, tokenizer, into: folder, progress: progress, found: found)
        TokenizeState.remove(from: folder)
        _ = consume lock
        return written
    }
    return TokenizeStatistics(
        description: description, seconds: (clock.now - start) / .seconds(1), bigramLoss: loss)
}

/// Checks that a data folder can be created at a path.
///
/// - Throws: `Failure` (usage) if something exists there; (input/output) if an interrupted or a
///   running `tokenize` left its partial folder.
private func requireFree(_ target: String) throws(Failure) {
    for partial in [
        target + AtomicFolder.partialSuffix, "\(target)/\(AtomicFolder.innerPartialName)",
    ] where FileSystem.exists(partial) {
        let isSaved = TokenizeState.exists(in: partial)
        throw .systemCall(
            "created", partial, error: EEXIST,
            remedy: isSaved
                ? "add --resume to continue the interrupted tokenization, or remove it" : nil)
    }
    guard !FileSystem.exists(target) || FileSystem.isEmptyFolder(target) else {
        throw .taken(target, remedy: "remove it or choose another folder")
    }
}

/// Encodes the texts into a folder, and returns the folder's description and the bigram model's
/// loss.
private func write(
    _ options: TokenizeOptions, _ tokenizer: (any Tokenizer)?, into folder: String,
    progress: (TokenizeProgress) -> Void, found: (TextFinding) -> Void
) throws(Failure) -> (DatasetDescription, loss: Double?) {
    let isText = !(tokenizer is ByteTokenizer)
    var survey = TextSurvey(
        options, isText: isText, collectsCharacters: options.tokenizer.collectsCharacters,
        endOfText: options.tokenizer.endOfTextName(of: tokenizer))
    var state = try TokenizeState(folder, options, tokenizer, survey: &survey)
    try survey.readAll(spoolFolder: folder, progress: progress) { (survey) throws(Failure) in
        try state.save(survey)
    }
    let trainUnits = try trainUnits(survey, options, isText: isText)
    for finding in survey.allFindings { found(finding) }
    let chosen: any Tokenizer
    if let tokenizer {
        chosen = tokenizer
    } else if state.pass != nil {
        chosen = try loadTokenizer(folder: folder)
    } else if case .trained(let training) = options.tokenizer {
        do throws(Failure) {
            chosen = try trainedTokenizer(
                training, options: options, survey: survey, trainUnits: trainUnits,
                progress: progress)
        } catch {
            // A later call learns from the start, but need not check the texts again.
            if error.code == .requeue { try state.save(survey) }
            throw error
        }
    } else {
        chosen = try CharacterTokenizer(scalars: survey.characters)
    }
    try chosen.save(folder: folder)
    var pass = try EncodingPass(
        tokenizer: chosen, options: options, survey: survey, isText: isText,
        trainUnits: trainUnits, folder: folder, saved: state.pass)
    try pass.encodeAll(progress) { (pass) throws(Failure) in try state.save(survey, pass) }
    let (train, validation) = try pass.finish()
    guard train.tokens >= 2, validation.tokens >= 2 else {
        throw tooShort(
            "the text",
            "gives \(train.tokens) train and \(validation.tokens) validation tokens")
    }
    for source in survey.sources where source.isSpooled {
        FileSystem.removeIfPossible(source.path)
    }
    return try describe(
        survey, options, tokenizer: chosen, isText: isText, train: train, validation: validation,
        in: folder)
}

/// Returns the number of characters or bytes in the train split, or nil if the validation split has texts of its
/// own.
///
/// - Throws: `Failure` (bad data) if the texts are too short.
private func trainUnits(
    _ survey: TextSurvey, _ options: TokenizeOptions, isText: Bool
) throws(Failure) -> Int? {
    let units = survey.units
    guard units >= 4 else {
        let sources = survey.sources.map(\.name).joined(separator: ", ")
        throw tooShort(
            sources, "has \(units) \(isText ? "character" : "byte")\(units == 1 ? "" : "s")")
    }
    guard options.validationInputs.isEmpty else { return nil }
    return Int(Double(units) * (1 - options.validationFraction))
}

/// Describes the token files in `dataset.json`. Returns the description and the bigram model's loss.
private func describe(
    _ survey: TextSurvey, _ options: TokenizeOptions, tokenizer: any Tokenizer, isText: Bool,
    train: DatasetDescription.Split, validation: DatasetDescription.Split, in folder: String
) throws(Failure) -> (DatasetDescription, loss: Double?) {
    var (train, validation) = (train, validation)
    // Opening the files that were written also proves that they can be read.
    let trainTokens = try TokenDataset.open(folder: folder, split: .train)
    let validationTokens = try TokenDataset.open(folder: folder, split: .validation)
    train.fingerprint = try trainTokens.fingerprint
    validation.fingerprint = try validationTokens.fingerprint
    let hasValidation = !options.validationInputs.isEmpty
    let description = DatasetDescription(
        tokenizer: .init(tokenizer),
        format: TokenFileFormat(vocabularySize: tokenizer.vocabularySize),
        sources: survey.sources.filter { $0.split == .train }.map(\.name),
        validationSources: hasValidation
            ? survey.sources.filter { $0.split == .validation }.map(\.name) : nil,
        bytes: survey.bytes, characters: isText ? survey.units : nil,
        validationFraction: hasValidation ? 0 : options.validationFraction,
        separatesDocuments: options.beginsDocuments && tokenizer.endOfText != nil,
        separator: options.separator, train: train, validation: validation)
    try AtomicFile.write(description.text, to: "\(folder)/\(DatasetDescription.fileName)")
    let loss = try bigramLoss(
        train: trainTokens, validation: validationTokens, vocabularySize: tokenizer.vocabularySize)
    return (description, loss)
}

private func tooShort(_ text: String, _ size: String) -> Failure {
    .about(
        .badData, text, "\(size), but at least two tokens per split are needed",
        remedy: "use longer text or another validation fraction")
}

/// Checks that the tokenizer has a token for the separators that the options ask for.
///
/// - Throws: `Failure` (usage) if it has none.
private func checkSeparators(
    _ options: TokenizeOptions, _ tokenizer: (any Tokenizer)?
) throws(Failure) {
    guard options.separatesDocuments || options.separator != nil,
        options.tokenizer.endOfTextName(of: tokenizer) == nil
    else { return }
    throw .option(
        options.separator == nil ? "--separate-documents" : "--separator",
        "cannot separate documents, because the \(tokenizer?.kind ?? "characters") tokenizer has "
            + "no end-of-text token",
        remedy: "omit it, or use GPT-2's byte pairs")
}

extension TokenizerChoice {
    /// Whether the tokenizer's vocabulary consists of the characters of the text.
    fileprivate var collectsCharacters: Bool { if case .characters = self { true } else { false } }

    /// Returns the name of the end-of-text token of the tokenizer that was loaded or will be
    /// learned, or nil if it has none.
    fileprivate func endOfTextName(of tokenizer: (any Tokenizer)?) -> String? {
        if case .trained = self { return BytePairFiles.gpt2EndOfText }
        return tokenizer?.endOfTextName
    }

    /// Returns the tokenizer, or nil for one that depends on the text.
    ///
    /// - Throws: `Failure` (missing input, input/output, bad data) if its files cannot be used.
    fileprivate func load() throws(Failure) -> (any Tokenizer)? {
        switch self {
        case .characters, .trained: nil
        case .bytes: ByteTokenizer()
        case .bytePairs(let folder): try BytePairTokenizer(folder: folder)
        case .file(let path): try loadTokenizer(path: path)
        case .existing(let folder): try loadTokenizer(folder: folder)
        }
    }
}
