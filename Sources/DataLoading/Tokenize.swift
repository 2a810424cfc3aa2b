import Failures

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Turns texts into a data folder: token files of both splits, `tokenizer.json`, `dataset.json`.
///
/// The texts are one long text; its first `Int((1 - validationFraction) * n)` characters (bytes for
/// the byte tokenizer) are the train split, as in nanoGPT's `prepare.py`, and each split is encoded by
/// itself. Texts are read twice, and memory stays bounded by the longest word. The folder appears
/// only when it is complete; after a failure nothing is left of it.
///
/// - Throws: `Failure`: usage for impossible options or an output that exists; missing input;
///   bad data for invalid UTF-8 or fewer than two tokens in a split; input/output otherwise.
@discardableResult
package func tokenize(
    _ options: TokenizeOptions, progress: (TokenizeProgress) -> Void = { _ in }
) throws(Failure) -> TokenizeStatistics {
    let clock = ContinuousClock()
    let start = clock.now
    try options.validate()
    var target = options.output
    while target.hasSuffix("/") { target.removeLast() }
    _ = try options.totalSize()  // Missing texts are found before anything is made.
    let tokenizer = try options.tokenizer.load()
    try checkSeparator(options, tokenizer)

    let folder = try PartialFolder(target)
    let isText = !(tokenizer is ByteTokenizer)
    let survey = try TextSurvey(
        options, isText: isText, collectsCharacters: tokenizer == nil, spoolFolder: folder.path,
        progress: progress)
    let units = isText ? survey.scalars : survey.bytes
    guard units >= 4 else {
        let sources = survey.sources.map(\.name).joined(separator: ", ")
        throw tooShort(
            "\(sources) has \(units) \(isText ? "character" : "byte")\(units == 1 ? "" : "s")")
    }
    let chosen: any Tokenizer =
        if let tokenizer { tokenizer } else {
            try CharacterTokenizer(scalars: survey.characters)
        }
    let trainUnits = Int(Double(units) * (1 - options.validationFraction))
    var pass = EncodingPass(
        tokenizer: chosen, options: options, survey: survey, isText: isText,
        trainUnits: trainUnits, folder: folder.path)
    try pass.encodeAll(progress)
    let (train, validation) = try pass.finish()
    guard train.tokens >= 2, validation.tokens >= 2 else {
        throw tooShort(
            "the text gives \(train.tokens) train and \(validation.tokens) validation tokens")
    }
    for source in survey.sources where source.path.hasPrefix(folder.path) { unlink(source.path) }

    let description = DatasetDescription(
        tokenizer: .init(chosen), format: TokenFileFormat(vocabularySize: chosen.vocabularySize),
        sources: survey.sources.map(\.name), bytes: survey.bytes,
        characters: isText ? survey.scalars : nil, validationFraction: options.validationFraction,
        separatesDocuments: options.separatesDocuments, train: train, validation: validation)
    try chosen.save(folder: folder.path)
    try writeWholeFile("\(folder.path)/\(DatasetDescription.fileName)", text: description.json)
    // Opening what was written is also the proof that it can be read.
    let loss = bigramLoss(
        train: try TokenDataset.open(folder: folder.path, split: .train),
        validation: try TokenDataset.open(folder: folder.path, split: .validation),
        vocabularySize: chosen.vocabularySize)
    try folder.commit()
    return TokenizeStatistics(
        description: description, seconds: (clock.now - start) / .seconds(1), bigramLoss: loss)
}

private func tooShort(_ what: String) -> Failure {
    Failure(
        .badData,
        "\(what), but at least two tokens per split are needed; use a longer text or another "
            + "validation fraction.")
}

/// - Throws: `Failure` (usage) if separators are asked of a tokenizer that has none.
private func checkSeparator(
    _ options: TokenizeOptions, _ tokenizer: (any Tokenizer)?
) throws(Failure) {
    guard options.separatesDocuments, tokenizer?.endOfText == nil else { return }
    throw Failure(
        .usage,
        "documents cannot be separated, because a tokenizer by \(tokenizer?.kind ?? "characters") "
            + "without <|endoftext|> has no token for it; leave that out or use GPT-2's byte pairs."
    )
}

extension TokenizerChoice {
    /// The tokenizer, or nil for characters, which have to be collected first.
    ///
    /// - Throws: `Failure` (missing input, input/output, bad data) for its files.
    fileprivate func load() throws(Failure) -> (any Tokenizer)? {
        switch self {
        case .characters: nil
        case .bytes: ByteTokenizer()
        case .bytePairs(let folder): try BytePairTokenizer(folder: folder)
        case .existing(let folder): try loadTokenizer(folder: folder)
        }
    }
}

/// The second pass: every text is encoded into the split that it belongs to.
private struct EncodingPass: ~Copyable {
    private let options: TokenizeOptions
    private let survey: TextSurvey
    private let isText: Bool
    private let separator: UInt32?

    private var encoder: any TokenEncoder
    private var train: SplitWriter
    private var validation: SplitWriter
    /// Characters or bytes still to come of the train split.
    private var trainUnitsLeft: Int
    private var isTraining = true
    private var bytesDone = 0
    private var ids: [UInt32] = []

    init(
        tokenizer: any Tokenizer, options: TokenizeOptions, survey: TextSurvey, isText: Bool,
        trainUnits: Int, folder: String
    ) {
        self.options = options
        self.survey = survey
        self.isText = isText
        separator = options.separatesDocuments ? tokenizer.endOfText : nil
        encoder = tokenizer.makeEncoder(source: "the text")
        // No tokenizer makes more tokens than there are bytes, save for the separators.
        let mostTokens = survey.bytes + survey.sources.count
        let shardTokens =
            options.shardTokens ?? (mostTokens > TokenFileFormat.largestCount ? 1 << 30 : nil)
        func writer(_ split: DataSplit) -> SplitWriter {
            SplitWriter(
                folder: folder, split: split, vocabularySize: tokenizer.vocabularySize,
                shardTokens: shardTokens)
        }
        train = writer(.train)
        validation = writer(.validation)
        trainUnitsLeft = trainUnits
    }

    mutating func encodeAll(_ progress: (TokenizeProgress) -> Void) throws(Failure) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(16, options.chunkBytes), alignment: 64)
        defer { buffer.deallocate() }
        for source in survey.sources {
            if trainUnitsLeft == 0 { try endTrain() }
            if let separator {
                try endText()
                try write([separator])
            }
            let file = try InputFile(source.path)
            var read = 0
            while true {
                let count = try file.read(into: buffer)
                if count == 0 { break }
                read += count
                try encode(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                bytesDone += count
                progress(
                    TokenizeProgress(
                        phase: .encoding, bytes: bytesDone, totalBytes: survey.bytes))
            }
            guard read == source.bytes else {
                throw Failure(
                    .inputOutput,
                    "\(source.name) has changed from \(source.bytes) to \(read) bytes while it was "
                        + "being read; run again when nothing writes to it.")
            }
        }
        try endText()
    }

    consuming func finish() throws(Failure) -> (
        train: DatasetDescription.Split, validation: DatasetDescription.Split
    ) {
        (try train.finish(), try validation.finish())
    }

    /// Encodes the next bytes, into both splits if their border is among them.
    private mutating func encode(_ chunk: UnsafeRawBufferPointer) throws(Failure) {
        var rest = chunk
        if isTraining {
            let border = self.border(in: chunk)
            try encodeWithinSplit(UnsafeRawBufferPointer(rebasing: chunk[..<border]))
            rest = UnsafeRawBufferPointer(rebasing: chunk[border...])
            if !rest.isEmpty { try endTrain() }
        }
        try encodeWithinSplit(rest)
    }

    /// The bytes of a chunk that belong to the train split, of which it takes note.
    private mutating func border(in chunk: UnsafeRawBufferPointer) -> Int {
        guard isText else {
            let border = min(trainUnitsLeft, chunk.count)
            trainUnitsLeft -= border
            return border
        }
        // Every scalar has one byte that does not continue another.
        let scalars = chunk.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        if scalars <= trainUnitsLeft {
            trainUnitsLeft -= scalars
            return chunk.count
        }
        var position = 0
        while trainUnitsLeft > 0 || chunk[position] & 0xC0 == 0x80 {
            if chunk[position] & 0xC0 != 0x80 { trainUnitsLeft -= 1 }
            position += 1
        }
        return position
    }

    private mutating func encodeWithinSplit(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard !bytes.isEmpty else { return }
        ids.removeAll(keepingCapacity: true)
        try encoder.encode(bytes, into: &ids)
        try write(ids)
    }

    private mutating func endText() throws(Failure) {
        ids.removeAll(keepingCapacity: true)
        try encoder.finish(into: &ids)
        try write(ids)
    }

    private mutating func endTrain() throws(Failure) {
        guard isTraining else { return }
        try endText()
        isTraining = false
    }

    private mutating func write(_ ids: [UInt32]) throws(Failure) {
        if isTraining { try train.append(ids) } else { try validation.append(ids) }
    }
}
