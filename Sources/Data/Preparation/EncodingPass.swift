import Support

/// A pass over the texts that encodes each part of them into its split.
struct EncodingPass: ~Copyable {
    private let options: TokenizeOptions
    private let survey: TextSurvey
    private let isText: Bool
    /// The token to write before every text, or nil if texts are joined.
    private let documentToken: UInt32?
    /// The token that replaces separators.
    private let endOfText: UInt32?
    private var scanner: SeparatorScanner?

    private var encoder: any TokenEncoder
    /// The writers of the splits, or nil if only the encoder needs the text.
    private var train: SplitWriter?
    private var validation: SplitWriter?
    private let phase: TokenizeProgress.Phase
    /// The number of characters or bytes that the train split still needs.
    private var trainUnitsLeft: Int
    private var isTraining = true
    private var boundary = Boundary.none
    private var bytesDone = 0
    private var ids: [UInt32] = []

    /// The token between two documents, if the current split ends with one.
    private enum Boundary { case none, document, separator }

    init(
        tokenizer: any Tokenizer, options: TokenizeOptions, survey: TextSurvey, isText: Bool,
        trainUnits: Int, folder: String
    ) {
        self.options = options
        self.survey = survey
        self.isText = isText
        endOfText = tokenizer.endOfText
        documentToken = options.separatesDocuments ? tokenizer.endOfText : nil
        scanner = options.separator.map { SeparatorScanner($0.utf8) }
        encoder = tokenizer.makeEncoder(source: "the text")
        phase = .encoding
        // Separators are tokens too.
        let mostTokens = tokenizer.mostTokensPerByte * survey.bytes + survey.sources.count
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

    /// Creates a pass that gives the text of the train split to an encoder and writes nothing.
    ///
    /// - Parameter endOfText: the token that will separate documents.
    init(
        counting encoder: any TokenEncoder, options: TokenizeOptions, survey: TextSurvey,
        trainUnits: Int, endOfText: UInt32
    ) {
        self.options = options
        self.survey = survey
        isText = true
        self.endOfText = endOfText
        documentToken = options.separatesDocuments ? endOfText : nil
        scanner = options.separator.map { SeparatorScanner($0.utf8) }
        self.encoder = encoder
        phase = .counting
        trainUnitsLeft = trainUnits
    }

    mutating func encodeAll(_ progress: (TokenizeProgress) -> Void) throws(Failure) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(16, options.chunkBytes), alignment: 64)
        defer { buffer.deallocate() }
        for source in survey.sources {
            if let documentToken { try beginDocument(documentToken) }
            let file = try Descriptor(text: source.path)
            var read = 0
            while true {
                let count = try file.read(into: buffer)
                if count == 0 { break }
                read += count
                try separate(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                bytesDone += count
                progress(
                    TokenizeProgress(
                        phase: phase, done: bytesDone, total: survey.bytes))
            }
            guard read == source.bytes else {
                throw .file(
                    .inputOutput, source.name,
                    "changed from \(source.bytes) to \(read) bytes while it was being read",
                    remedy: "run again when nothing writes to it")
            }
        }
        try encodeHeldBack()
        try endText()
    }

    consuming func finish() throws(Failure) -> (
        train: DatasetDescription.Split, validation: DatasetDescription.Split
    ) {
        guard let train, let validation else { preconditionFailure("the pass writes nothing") }
        return (try train.finish(), try validation.finish())
    }

    /// Writes a token before an input, unless a separator has just written one.
    private mutating func beginDocument(_ token: UInt32) throws(Failure) {
        try encodeHeldBack()
        if trainUnitsLeft == 0 { try endTrain() }
        guard boundary != .separator else { return }
        try endText()
        try write([token])
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
        try endText()
        // At the start of an input, its own token has already been written.
        if boundary != .document { try write([endOfText]) }
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
        boundary = .none
    }

    private mutating func write(_ ids: [UInt32]) throws(Failure) {
        if isTraining { try train?.append(ids) } else { try validation?.append(ids) }
    }
}
