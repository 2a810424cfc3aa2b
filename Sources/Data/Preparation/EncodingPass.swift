import Support

/// A pass over the texts that encodes each part of them into its split.
struct EncodingPass: ~Copyable {
    private let options: TokenizeOptions
    private let survey: TextSurvey
    private let isText: Bool
    /// The token to write before every document, or nil if texts are joined.
    private let documentToken: UInt32?
    /// The token that replaces separators.
    private let endOfText: UInt32?
    private var scanner: SeparatorScanner?

    private var batch: EncodingBatch
    /// The writers of the splits, or nil if only the encoder needs the text.
    private var train: SplitWriter?
    private var validation: SplitWriter?
    private let phase: TokenizeProgress.Phase
    /// The number of characters or bytes that the train split still needs.
    private var trainUnitsLeft: Int
    private var isTraining = true
    private var boundary = Boundary.none
    /// The place at which a saved pass continues.
    private var start = Place(source: 0, blocks: 0)

    /// The token between two documents, if the current split ends with one.
    enum Boundary: String, JSONReadable { case none, document, separator }

    /// A place between two blocks of text.
    struct Place {
        /// The index of the input.
        var source: Int
        /// The number of its blocks before the place.
        var blocks: Int
    }

    /// Creates a pass that encodes all texts into the token files of a folder.
    ///
    /// - Parameters:
    ///   - trainUnits: the number of characters or bytes in the train split; nil if the validation split has
    ///     texts of its own.
    ///   - saved: the state of the pass to continue, or nil for a new one.
    /// - Throws: `Failure` (input/output) if the token files of the saved pass have changed.
    init(
        tokenizer: any Tokenizer, options: TokenizeOptions, survey: TextSurvey, isText: Bool,
        trainUnits: Int?, folder: String, saved: Saved?
    ) throws(Failure) {
        self.options = options
        self.survey = survey
        self.isText = isText
        endOfText = tokenizer.endOfText
        documentToken = options.beginsDocuments ? tokenizer.endOfText : nil
        scanner = options.separator.map {
            SeparatorScanner($0.utf8, matched: saved?.matched ?? 0)
        }
        batch = EncodingBatch(
            tokenizer, threads: options.threads, pieceBytes: max(1, options.chunkBytes / 4))
        phase = .encoding
        // Separators are tokens too.
        let mostTokens = tokenizer.mostTokensPerByte * survey.bytes + survey.mostDocuments
        let shardTokens =
            options.shardTokens ?? (mostTokens > TokenFileFormat.largestCount ? 1 << 30 : nil)
        func writer(_ split: DataSplit, _ saved: SplitWriter.Saved?) throws(Failure) -> SplitWriter
        {
            try SplitWriter(
                folder: folder, split: split, vocabularySize: tokenizer.vocabularySize,
                shardTokens: shardTokens,
                saved: saved ?? SplitWriter.Saved(finished: [], openTokens: nil))
        }
        train = try writer(.train, saved?.train)
        validation = try writer(.validation, saved?.validation)
        trainUnitsLeft = trainUnits ?? .max
        if let saved { restore(saved) }
    }

    /// Creates a pass that gives the text of the train split to an encoder and writes nothing.
    ///
    /// - Parameter endOfText: the token that will separate documents.
    init(
        counting encoder: any TokenEncoder, options: TokenizeOptions, survey: TextSurvey,
        trainUnits: Int?, endOfText: UInt32
    ) {
        self.options = options
        self.survey = survey
        isText = true
        self.endOfText = endOfText
        documentToken = options.beginsDocuments ? endOfText : nil
        scanner = options.separator.map { SeparatorScanner($0.utf8) }
        batch = EncodingBatch(encoder, pieceBytes: options.chunkBytes)
        phase = .counting
        trainUnitsLeft = trainUnits ?? .max
    }

    /// Encodes all texts.
    ///
    /// - Parameter save: called every `secondsBetweenSaves` and before the work stops, with the state from which
    ///   a later pass can continue.
    /// - Throws: `Failure` (requeue) if the work must stop; (input/output, bad data) otherwise.
    mutating func encodeAll(
        _ progress: (TokenizeProgress) -> Void, save: (Saved) throws(Failure) -> Void = { _ in }
    ) throws(Failure) {
        var filesDone = survey.sources[..<start.source].reduce(0) { $0 + $1.fileBytes }
        let total = survey.fileBytes
        var lastSave = ContinuousClock.now
        for (index, source) in survey.sources.enumerated().dropFirst(start.source) {
            var place = Place(source: index, blocks: 0)
            let skipped = index == start.source ? start.blocks : 0
            if skipped == 0 { try begin(source) }
            let reader = try survey.reader(of: source)
            var bytes = 0
            while let block = try reader.next() {
                bytes += block.text.count
                place.blocks += 1
                guard place.blocks > skipped else { continue }
                try encode(block)
                if batch.isFull { try encodeBatch() }
                progress(
                    TokenizeProgress(
                        phase: phase, done: filesDone + reader.position, total: total))
                let isDue =
                    ContinuousClock.now - lastSave >= .seconds(options.secondsBetweenSaves)
                let stops = options.stopRequested()
                if phase == .encoding, isDue || stops {
                    if let saved = try self.save(at: place) { try save(saved) }
                    lastSave = .now
                }
                if stops { throw options.stopped }
            }
            guard bytes == source.bytes else {
                throw .file(
                    .inputOutput, source.name,
                    "changed from \(source.bytes) to \(bytes) bytes while it was being read",
                    remedy: "run again when nothing writes to it")
            }
            filesDone += source.fileBytes
        }
        try encodeHeldBack()
        batch.endText()
        try encodeBatch()
    }

    consuming func finish() throws(Failure) -> (
        train: DatasetDescription.Split, validation: DatasetDescription.Split
    ) {
        guard let train, let validation else { preconditionFailure("the pass writes nothing") }
        return (try train.finish(), try validation.finish())
    }

    // MARK: - Documents

    /// Begins an input.
    private mutating func begin(_ source: TextSource) throws(Failure) {
        if isTraining, source.split == .validation {
            try encodeHeldBack()
            try endTrain()
        }
        // Each line of JSON begins a document of its own.
        guard let documentToken, !options.isJSONLines(source.input) else { return }
        try beginDocument(documentToken)
    }

    /// Encodes a block, with a token before each document that begins in it.
    private mutating func encode(_ block: TextBlock) throws(Failure) {
        guard let documentToken, !block.documents.isEmpty else { return try separate(block.text) }
        var start = 0
        for document in block.documents {
            try separate(UnsafeRawBufferPointer(rebasing: block.text[start..<document]))
            try beginDocument(documentToken)
            start = document
        }
        try separate(UnsafeRawBufferPointer(rebasing: block.text[start...]))
    }

    /// Writes a token before a document, unless a separator has just written one.
    private mutating func beginDocument(_ token: UInt32) throws(Failure) {
        try encodeHeldBack()
        if trainUnitsLeft == 0 { try endTrain() }
        guard boundary != .separator else { return }
        batch.endText()
        write(token)
        if scanner != nil { boundary = .document }
    }

    /// Encodes the next bytes, with every separator replaced by a token.
    private mutating func separate(_ chunk: UnsafeRawBufferPointer) throws(Failure) {
        guard let separator = scanner?.separator else { return try encode(chunk) }
        var heldBack = scanner?.matched ?? 0
        var start = 0
        while let end = scanner?.end(in: chunk, from: start) {
            try encode(
                heldBack: heldBack, chunk, from: start,
                count: heldBack + end - start - separator.count)
            try encodeSeparator()
            heldBack = 0
            start = end
        }
        let stillHeldBack = scanner?.matched ?? 0
        try encode(
            heldBack: heldBack, chunk, from: start,
            count: heldBack + chunk.count - start - stillHeldBack)
    }

    /// Encodes `count` bytes: first the separator's bytes that were held back, then bytes of a
    /// chunk.
    private mutating func encode(
        heldBack: Int, _ chunk: UnsafeRawBufferPointer, from start: Int, count: Int
    ) throws(Failure) {
        let before = min(heldBack, count)
        try encodeBeginOfSeparator(before)
        let rest = chunk[start..<start + count - before]
        if !rest.isEmpty { try encode(UnsafeRawBufferPointer(rebasing: rest)) }
    }

    /// Encodes the bytes that were held back because they could have begun a separator.
    private mutating func encodeHeldBack() throws(Failure) {
        try encodeBeginOfSeparator(scanner?.matched ?? 0)
        scanner?.restart()
    }

    private mutating func encodeBeginOfSeparator(_ count: Int) throws(Failure) {
        guard count > 0, let bytes = scanner?.separator.prefix(count) else { return }
        try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try encode(UnsafeRawBufferPointer(bytes))
        }
    }

    /// Ends an input and writes the token. A separator across the border of the splits belongs to
    /// the first split.
    private mutating func encodeSeparator() throws(Failure) {
        guard let endOfText, let scanner else { return }
        if trainUnitsLeft == 0 { try endTrain() }
        if isTraining {
            let units = scanner.separator.count { $0 & 0xC0 != 0x80 }
            trainUnitsLeft = max(0, trainUnitsLeft - units)
        }
        batch.endText()
        // At the start of a document, its own token has already been written.
        if boundary != .document { write(endOfText) }
        boundary = .separator
    }

    /// Encodes the next bytes, into both splits if they contain the border.
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

    /// Returns the number of bytes of a chunk that belong to the train split, and subtracts their
    /// units from `trainUnitsLeft`.
    private mutating func border(in chunk: UnsafeRawBufferPointer) -> Int {
        guard isText else {
            let border = min(trainUnitsLeft, chunk.count)
            trainUnitsLeft -= border
            return border
        }
        // Every scalar has exactly one byte that is not a continuation byte.
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
        // Only the train split is counted.
        guard isTraining || phase == .encoding else { return }
        boundary = .none
        batch.append(bytes)
    }

    private mutating func write(_ token: UInt32) {
        // Only the train split is counted.
        if isTraining || phase == .encoding { batch.append(token: token) }
    }

    private mutating func endTrain() throws(Failure) {
        guard isTraining else { return }
        batch.endText()
        try encodeBatch()
        isTraining = false
        boundary = .none
    }

    /// Encodes the waiting text, and writes the ids.
    private mutating func encodeBatch() throws(Failure) {
        let isTraining = isTraining
        var train = self.train.take()
        var validation = self.validation.take()
        try batch.encode { (ids) throws(Failure) in
            if isTraining { try train?.append(ids) } else { try validation?.append(ids) }
        }
        self.train = train.take()
        self.validation = validation.take()
    }
}

// MARK: - Saving

extension EncodingPass {
    /// The state from which a later pass can continue, as JSON.
    struct Saved: JSONReadable {
        let place: Place
        let trainUnitsLeft: Int
        let isTraining: Bool
        let boundary: Boundary
        /// The number of bytes of a separator that were held back.
        let matched: Int
        /// The text that was read but not encoded.
        let openText: [Int]
        let train: SplitWriter.Saved
        let validation: SplitWriter.Saved
    }

    /// Encodes the waiting text, brings the ids to the disk, and returns the state; nil if an encoder holds the
    /// beginning of the open text.
    private mutating func save(at place: Place) throws(Failure) -> Saved? {
        try encodeBatch()
        guard let openText = batch.openText, let train = try train?.save(),
            let validation = try validation?.save()
        else { return nil }
        return Saved(
            place: place, trainUnitsLeft: trainUnitsLeft, isTraining: isTraining,
            boundary: boundary, matched: scanner?.matched ?? 0, openText: openText.map(Int.init),
            train: train, validation: validation)
    }

    private mutating func restore(_ saved: Saved) {
        start = saved.place
        trainUnitsLeft = saved.trainUnitsLeft
        isTraining = saved.isTraining
        boundary = saved.boundary
        saved.openText.map(UInt8.init(truncatingIfNeeded:)).withUnsafeBytes { batch.append($0) }
    }
}

extension EncodingPass.Saved {
    init(json: JSONValue) throws(JSONProblem) {
        place = .init(source: try json.read("source"), blocks: try json.read("blocks"))
        trainUnitsLeft = try json.read("train_units_left")
        isTraining = try json.read("is_training")
        boundary = try json.read("boundary")
        matched = try json.read("matched")
        openText = try json.read("open_text")
        train = try json.read("train")
        validation = try json.read("validation")
    }

    var json: JSONValue {
        [
            "source": .integer(place.source), "blocks": .integer(place.blocks),
            "train_units_left": .integer(trainUnitsLeft), "is_training": .bool(isTraining),
            "boundary": .string(boundary.rawValue), "matched": .integer(matched),
            "open_text": .array(openText.map(JSONValue.integer)), "train": train.json,
            "validation": validation.json,
        ]
    }
}
