import Support

/// A reader of llm.c's binary file of questions (`write_evalfile` in `dev/data/data_common.py`).
///
/// 256 little-endian Int32 come first: 20240522, the version 1, the number of questions, the size of
/// the longest one in bytes, and zeros. Each question is a sequence of UInt16: 65535, its size in
/// bytes, its index, its label, the number of endings, and the context and each ending, with the
/// number of tokens before the tokens.
struct QuestionFile {
    private let bytes: [UInt8]
    private let path: String
    private let tokenizer: (any Tokenizer)?
    private let count: Int
    private var place = headerBytes

    private static let magic = 20_240_522
    private static let headerBytes = 1024
    private static let start = 65_535

    /// Returns whether a file begins like a binary file of questions.
    static func isBinary(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 4 && word(bytes, 0) == magic
    }

    /// Checks the header of a file.
    ///
    /// - Throws: `Failure` (bad data) if it is cut off or of another format.
    init(_ bytes: [UInt8], path: String, tokenizer: (any Tokenizer)?) throws(Failure) {
        self.bytes = bytes
        self.path = path
        self.tokenizer = tokenizer
        guard bytes.count >= Self.headerBytes else {
            throw Self.invalid(
                path,
                "has \(bytes.count) bytes, less than the \(Self.headerBytes) of llm.c's header")
        }
        guard Self.isBinary(bytes) else {
            throw Self.invalid(
                path,
                "begins with the magic number \(Self.word(bytes, 0)), but llm.c's questions begin "
                    + "with \(Self.magic)")
        }
        guard Self.word(bytes, 1) == 1 else {
            throw Self.invalid(
                path, "has version \(Self.word(bytes, 1)), but only version 1 is supported")
        }
        count = Self.word(bytes, 2)
    }

    /// Returns the questions.
    ///
    /// - Throws: `Failure` (bad data) that names the question at fault.
    mutating func questions() throws(Failure) -> [Question] {
        var questions: [Question] = []
        while questions.count < count { questions.append(try question(questions.count)) }
        guard place == bytes.count else {
            throw Self.invalid(
                path,
                "has \(bytes.count - place) bytes after the \(Format.counted(count, "question")) "
                    + "that its header states")
        }
        return questions
    }

    private mutating func question(_ index: Int) throws(Failure) -> Question {
        let begin = place
        func problem(_ predicate: String) -> Failure {
            Self.invalid("\(path), question \(index + 1)", predicate)
        }
        guard try number(index) == Self.start else {
            throw problem("does not begin with \(Self.start)")
        }
        let size = try number(index)
        guard try number(index) == index else { throw problem("has another number") }
        let label = try number(index)
        let endingCount = try number(index)
        guard endingCount >= 2 else {
            throw problem("has \(Format.counted(endingCount, "ending")), but a choice needs two")
        }
        guard label < endingCount else {
            throw problem("has the label \(label), but its endings are 0 to \(endingCount - 1)")
        }
        let context = try tokens(index)
        guard !context.isEmpty else { throw problem("has an empty context") }
        var endings: [Question.Ending] = []
        for place in 0..<endingCount {
            let tokens = try tokens(index)
            guard !tokens.isEmpty else { throw problem("has an empty ending \(place)") }
            endings.append(Question.Ending(tokens: tokens, bytes: length(of: tokens)))
        }
        guard place - begin == size else {
            throw problem("has \(place - begin) bytes, but states \(size)")
        }
        return Question(context: context, endings: endings, label: label)
    }

    /// Returns the length of an ending's text without its leading space, or nil if it is unknown.
    private func length(of tokens: [UInt32]) -> Int? {
        guard let tokenizer, let text = try? tokenizer.decode(tokens) else { return nil }
        let length = text.count - (text.first == UInt8(ascii: " ") ? 1 : 0)
        return length > 0 ? length : nil
    }

    private mutating func tokens(_ index: Int) throws(Failure) -> [UInt32] {
        let count = try number(index)
        var tokens: [UInt32] = []
        for _ in 0..<count { tokens.append(UInt32(try number(index))) }
        return tokens
    }

    /// Returns the next UInt16.
    ///
    /// - Throws: `Failure` (bad data) if the file ends before it.
    private mutating func number(_ index: Int) throws(Failure) -> Int {
        guard place + 2 <= bytes.count else {
            throw Self.invalid(path, "is cut off in question \(index + 1) of \(count)")
        }
        defer { place += 2 }
        return Int(bytes[place]) | Int(bytes[place + 1]) << 8
    }

    /// Returns a little-endian Int32 of the header.
    private static func word(_ bytes: [UInt8], _ index: Int) -> Int {
        let parts = bytes[4 * index..<4 * index + 4].reversed()
        return Int(Int32(bitPattern: parts.reduce(0) { $0 << 8 | UInt32($1) }))
    }

    private static func invalid(_ name: String, _ problem: String) -> Failure {
        .file(
            .badData, name, problem,
            remedy: "write the file again with llm.c's dev/data/hellaswag.py")
    }
}
