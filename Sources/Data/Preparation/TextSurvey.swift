import Compute
import Support

/// The results of the first pass over the texts, which precedes splitting and encoding.
struct TextSurvey {
    private(set) var sources: [TextSource] = []

    /// Whether each code point occurs; empty unless characters are collected.
    private var occurs: [Bool]
    private let isText: Bool
    private var findings: TextFindings
    private let options: TokenizeOptions
    private let hasEndOfText: Bool
    private let team: ThreadTeam

    /// Prepares the pass.
    ///
    /// - Parameters:
    ///   - collectsCharacters: whether the characters that occur are the vocabulary.
    ///   - endOfText: the text of the tokenizer's end-of-text token, or nil.
    init(
        _ options: TokenizeOptions, isText: Bool, collectsCharacters: Bool, endOfText: String?
    ) {
        self.options = options
        self.isText = isText
        hasEndOfText = endOfText != nil
        team = ThreadTeam(threads: options.threads, yields: true)
        findings = TextFindings(options, endOfText: endOfText)
        occurs = [Bool](repeating: false, count: collectsCharacters ? 0x11_0000 : 0)
    }

    /// Reads every text that is still unread.
    ///
    /// - Parameters:
    ///   - spoolFolder: the folder for the copies of inputs that cannot be read twice.
    ///   - didRead: called after each text, and before the work stops.
    /// - Throws: `Failure` (missing input, input/output); (bad data) that names the place at fault;
    ///   (requeue) if the work must stop.
    mutating func readAll(
        spoolFolder: String, progress: (TokenizeProgress) -> Void,
        didRead: (TextSurvey) throws(Failure) -> Void
    ) throws(Failure) {
        let total = try options.totalSize()
        var done = fileBytes
        for (index, input) in options.allInputs.enumerated().dropFirst(sources.count) {
            let before = findings
            do throws(Failure) {
                let source = try TextSource(
                    input, split: index < options.inputs.count ? .train : .validation,
                    spoolPath: "\(spoolFolder)/input-\(index)", options: options)
                try read(source) {
                    progress(TokenizeProgress(phase: .reading, done: done + $0, total: total))
                }
                done += source.fileBytes
            } catch {
                // A later call reads the source again from its start.
                findings = before
                if error.code == .requeue { try didRead(self) }
                throw error
            }
            try didRead(self)
        }
    }

    private mutating func read(
        _ source: TextSource, progress: (Int) -> Void
    ) throws(Failure) {
        var source = source
        let reader = try reader(of: source)
        findings.beginText()
        while let block = try reader.next() {
            source.bytes += block.text.count
            source.scalars += block.scalars
            source.documents += block.documents.count
            if isText { findings.look(at: block) }
            if !occurs.isEmpty {
                occurs.withUnsafeMutableBufferPointer { occurs in
                    _ = UTF8Prefix(of: block.text) { occurs[Int($0)] = true }
                }
            }
            progress(reader.position)
            if options.stopRequested() { throw options.stopped }
        }
        progress(reader.position)
        sources.append(source)
    }

    /// Returns a reader of an input.
    func reader(of source: TextSource) throws(Failure) -> any TextReader {
        try options.reader(of: source, isText: isText, hasEndOfText: hasEndOfText, team: team)
    }

    /// The number of bytes of all texts.
    var bytes: Int { sources.reduce(0) { $0 + $1.bytes } }

    /// The number of bytes of the files of all texts.
    var fileBytes: Int { sources.reduce(0) { $0 + $1.fileBytes } }

    /// The largest possible number of documents.
    var mostDocuments: Int { sources.reduce(0) { $0 + max(1, $1.documents) } }

    /// The number of Unicode scalars of all texts, or of bytes if they are encoded as bytes.
    var units: Int { isText ? sources.reduce(0) { $0 + $1.scalars } : bytes }

    /// The findings in the texts; empty if they are encoded as bytes.
    var allFindings: [TextFinding] { isText ? findings.all() : [] }

    /// The scalars that occur, in increasing order.
    var characters: some Sequence<UInt32> {
        occurs.lazy.enumerated().filter(\.element).map { UInt32($0.offset) }
    }
}

// MARK: - Saving

extension TextSurvey {
    /// Whether there are results to save. Inputs that were copied have to be copied again.
    var hasResults: Bool { sources.first?.isSpooled == false }

    /// The results so far, except for inputs that were copied, as JSON.
    var saved: JSONValue {
        [
            "sources": .array(sources.prefix { !$0.isSpooled }.map(\.json)),
            "counts": .array(findings.counts.map(JSONValue.integer)),
            "characters": .array(characters.map { .integer(Int($0)) }),
        ]
    }

    /// Continues the pass that saved its results.
    ///
    /// - Throws: `JSONProblem` if they have another form.
    mutating func restore(_ saved: JSONValue) throws(JSONProblem) {
        sources = try saved.read("sources")
        findings.counts = try saved.read("counts")
        let characters: [Int] = try saved.read("characters")
        for character in characters where occurs.indices.contains(character) {
            occurs[character] = true
        }
    }
}
