import Support

/// The results of the first pass over the texts, which precedes splitting and encoding.
struct TextSurvey {
    /// An input that can be read again.
    struct Source {
        /// The user's name for the input.
        let name: String
        /// The path to read. Standard input and pipes are copied to files to be read twice.
        let path: String
        let isSpooled: Bool
        var bytes = 0
    }

    private(set) var sources: [Source] = []
    /// The number of bytes of all texts.
    private(set) var bytes = 0
    /// The number of Unicode scalars of all texts, or 0 if they are encoded as bytes.
    private(set) var scalars = 0

    /// Whether each code point occurs; empty unless characters are collected.
    private var occurs: [Bool]
    private let isText: Bool
    private var findings: TextFindings

    /// Reads every text once.
    ///
    /// - Throws: `Failure` (missing input, input/output, or bad data with the offset of bytes that
    ///   are not UTF-8).
    init(
        _ options: TokenizeOptions, isText: Bool, collectsCharacters: Bool, endOfText: String?,
        spoolFolder: String, progress: (TokenizeProgress) -> Void
    ) throws(Failure) {
        self.isText = isText
        findings = TextFindings(options, endOfText: endOfText)
        occurs = [Bool](repeating: false, count: collectsCharacters ? 0x11_0000 : 0)
        let total = try options.totalSize()
        for (index, input) in options.inputs.enumerated() {
            try survey(
                input, spoolPath: "\(spoolFolder)/input-\(index)", chunkBytes: options.chunkBytes
            ) { progress(TokenizeProgress(phase: .reading, done: $0, total: total)) }
        }
    }

    /// The findings in the texts; empty if they are encoded as bytes.
    var allFindings: [TextFinding] { isText ? findings.all() : [] }

    /// The scalars that occur, in increasing order.
    var characters: some Sequence<UInt32> {
        occurs.lazy.enumerated().filter(\.element).map { UInt32($0.offset) }
    }

    private mutating func survey(
        _ input: String, spoolPath: String, chunkBytes: Int, progress: (Int) -> Void
    ) throws(Failure) {
        let file = try Descriptor(text: input)
        let isSpooled = try file.regularSize() == nil || input == "-"
        var source = Source(
            name: file.path, path: isSpooled ? spoolPath : input, isSpooled: isSpooled)
        var spool = isSpooled ? try OutputFile(creating: spoolPath) : nil
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(16, chunkBytes), alignment: 64)
        defer { buffer.deallocate() }
        findings.beginText()
        var carried = 0
        while true {
            let count = try file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[carried...]))
            let read = UnsafeRawBufferPointer(rebasing: buffer[carried..<carried + count])
            try spool?.write(read)
            if isText { findings.look(at: read) }
            source.bytes += count
            bytes += count
            let held = UnsafeRawBufferPointer(rebasing: buffer[..<(carried + count)])
            let used = isText ? scan(held) : held.count
            carried = held.count - used
            // The remaining bytes are either invalid or the beginning of a scalar.
            guard carried < 4, count > 0 || carried == 0 else {
                throw invalidUTF8(source.name, offset: source.bytes - carried)
            }
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: held[used...]))
            progress(bytes)
            if count == 0 { break }
        }
        sources.append(source)
        guard let spool else { return }
        try spool.finish()
    }

    /// Scans the whole scalars at the front and returns their size in bytes.
    private mutating func scan(_ text: UnsafeRawBufferPointer) -> Int {
        let prefix: UTF8Prefix
        if occurs.isEmpty {
            prefix = UTF8Prefix(of: text)
        } else {
            prefix = occurs.withUnsafeMutableBufferPointer { occurs in
                UTF8Prefix(of: text) { occurs[Int($0)] = true }
            }
        }
        scalars += prefix.scalars
        return prefix.bytes
    }
}
