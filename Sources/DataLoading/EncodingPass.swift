import Failures

/// The second pass: every text is encoded into the split that it belongs to.
struct EncodingPass: ~Copyable {
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
