import Glibc
import Support

/// Turns texts into a data folder: token files of both splits, `tokenizer.json`, `dataset.json`.
///
/// The texts are joined. The first `Int((1 - validationFraction) * n)` characters (bytes for the
/// byte tokenizer) are the train split, as in nanoGPT's `prepare.py`, and each split is encoded
/// separately. nanoGPT's Python reads the line endings CR LF and CR as LF, while this function
/// keeps every byte. Texts are read twice, and memory is bounded by the longest word. The folder
/// appears only when it is complete; after a failure nothing is left of it.
///
/// - Parameter found: called with each finding that deserves a warning.
/// - Throws: `Failure`: usage for impossible options or an output that exists; missing input;
///   bad data for invalid UTF-8 or fewer than two tokens in a split; input/output otherwise.
@discardableResult
package func tokenize(
    _ options: TokenizeOptions, progress: (TokenizeProgress) -> Void = { _ in },
    found: (TextFinding) -> Void = { _ in }
) throws(Failure) -> TokenizeStatistics {
    let clock = ContinuousClock()
    let start = clock.now
    try options.validate()
    var target = options.output
    while target.hasSuffix("/") { target.removeLast() }
    _ = try options.totalSize()  // Missing texts are found before anything is written.
    let tokenizer = try options.tokenizer.load()
    try checkSeparators(options, tokenizer)

    try requireFree(target)
    let (description, loss) = try AtomicFolder.create(
        at: target, marker: DatasetDescription.fileName
    ) { (folder) throws(Failure) in
        try write(options, tokenizer, into: folder, progress: progress, found: found)
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
        throw .systemCall("created", partial, error: EEXIST)
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
    let survey = try TextSurvey(
        options, isText: isText, collectsCharacters: options.tokenizer.collectsCharacters,
        endOfText: options.tokenizer.endOfTextName(of: tokenizer), spoolFolder: folder,
        progress: progress)
    let units = isText ? survey.scalars : survey.bytes
    guard units >= 4 else {
        let sources = survey.sources.map(\.name).joined(separator: ", ")
        throw tooShort(
            sources, "has \(units) \(isText ? "character" : "byte")\(units == 1 ? "" : "s")")
    }
    for finding in survey.allFindings { found(finding) }
    let trainUnits = Int(Double(units) * (1 - options.validationFraction))
    let chosen: any Tokenizer =
        if let tokenizer { tokenizer } else if case .trained(let training) = options.tokenizer {
            try trainedTokenizer(
                training, options: options, survey: survey, trainUnits: trainUnits,
                progress: progress)
        } else {
            try CharacterTokenizer(scalars: survey.characters)
        }
    var pass = EncodingPass(
        tokenizer: chosen, options: options, survey: survey, isText: isText,
        trainUnits: trainUnits, folder: folder)
    try pass.encodeAll(progress)
    var (train, validation) = try pass.finish()
    guard train.tokens >= 2, validation.tokens >= 2 else {
        throw tooShort(
            "the text",
            "gives \(train.tokens) train and \(validation.tokens) validation tokens")
    }
    for source in survey.sources where source.isSpooled {
        FileSystem.removeIfPossible(source.path)
    }

    // Opening the files that were written also proves that they can be read.
    let trainTokens = try TokenDataset.open(folder: folder, split: .train)
    let validationTokens = try TokenDataset.open(folder: folder, split: .validation)
    train.fingerprint = try trainTokens.fingerprint
    validation.fingerprint = try validationTokens.fingerprint
    let description = DatasetDescription(
        tokenizer: .init(chosen), format: TokenFileFormat(vocabularySize: chosen.vocabularySize),
        sources: survey.sources.map(\.name), bytes: survey.bytes,
        characters: isText ? survey.scalars : nil, validationFraction: options.validationFraction,
        separatesDocuments: options.separatesDocuments, separator: options.separator, train: train,
        validation: validation)
    try chosen.save(folder: folder)
    try AtomicFile.write(description.text, to: "\(folder)/\(DatasetDescription.fileName)")
    let loss = try bigramLoss(
        train: trainTokens, validation: validationTokens, vocabularySize: chosen.vocabularySize)
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
