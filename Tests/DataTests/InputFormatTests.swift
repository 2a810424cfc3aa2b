import Data
import FoundationEssentials
import TestSupport
import Testing

private let endOfText: UInt32 = 1256

/// Documents with characters of every length in UTF-8, quotes, line endings, and one without text.
private let documents =
    [
        "one \"two\"\nthree", "", "naïve — 中文 🙂🙂 \\ \t end",
        "It's the lane's rank.\r\nSum\r\r\nend\r",
        "<|endoftext|> spelled",
    ] + (0..<40).map { "Document \($0): don't stop, \($0 * 7919 % 1000) words\n\n of naïve text. " }

/// Tests that compressed files and JSON lines give the tokens of their texts.
@Suite struct InputFormatTests {
    let scratch: TemporaryFolder
    let small: BytePairTokenizer

    init() throws {
        scratch = try TemporaryFolder()
        small = try BytePairTokenizer(folder: goldenPath("small"))
    }

    /// Writes documents as JSON lines by Foundation, with a blank line after the second.
    private func write(_ documents: [String], to name: String, field: String = "text") throws
        -> String
    {
        var lines = try documents.enumerated().map { index, text in
            let object = Line(fields: [field: .text(text), "id": .number(index)])
            return String(decoding: try JSONEncoder().encode(object), as: UTF8.self)
        }
        if lines.count > 2 { lines.insert(" \t", at: 2) }
        return try scratch.write(name, lines.joined(separator: "\n"))
    }

    private struct Line: Encodable {
        enum Value: Encodable {
            case text(String)
            case number(Int)

            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                switch self {
                case .text(let text): try container.encode(text)
                case .number(let number): try container.encode(number)
                }
            }
        }
        let fields: [String: Value]

        func encode(to encoder: any Encoder) throws { try fields.encode(to: encoder) }
    }

    /// Compresses a file with the programs gzip and zstd, in two members each.
    private func compress(_ path: String, to name: String, by command: String) throws -> String {
        let script = """
            half=$(( $(stat -c %s "$1") / 2 ))
            { head -c "$half" "$1" | \(command) -c; tail -c +"$((half + 1))" "$1" | \(command) -c; } >"$2"
            """
        let target = "\(scratch.path)/\(name)"
        let outcome = try Launch.run("bash", ["-ec", script, "bash", path, target])
        try #require(outcome.status == 0, "\(outcome.errors)")
        return target
    }

    private func options(
        _ inputs: [String], _ tokenizer: TokenizerChoice? = nil
    ) -> TokenizeOptions {
        TokenizeOptions(
            inputs: inputs, output: "\(scratch.path)/data-\(UUID().uuidString)",
            tokenizer: tokenizer ?? .bytePairs(folder: goldenPath("small")))
    }

    /// Tokenizes, and returns the ids of both splits.
    private func tokens(_ options: TokenizeOptions) throws -> [UInt32] {
        try tokenize(options)
        let folder = try DataFolder(options.output)
        return try ids(folder.train) + ids(folder.validation)
    }

    @Test(
        "compressed texts have the tokens of the texts",
        arguments: [("gzip", "gz"), ("zstd -q", "zst"), ("zstd -q --long=30", "zst")])
    func compressedTextsHaveTheTokensOfTexts(command: String, suffix: String) throws {
        let text = String(repeating: documents.joined(), count: 30)
        let plain = try scratch.write("a.txt", text)
        let expected = try tokens(options([plain]))
        #expect(try small.decode(expected) == Array(text.utf8))
        for name in ["a.txt.\(suffix)", "unnamed"] {
            let packed = try compress(plain, to: name, by: command)
            for chunk in [17, 1000, 1 << 20] {
                var options = options([packed])
                options.chunkBytes = chunk
                #expect(try tokens(options) == expected)
                #expect(
                    try DatasetDescription.load(folder: options.output)?.bytes == text.utf8.count)
            }
        }
    }

    @Test("compressed texts that are cut off or damaged are refused", arguments: ["gz", "zst"])
    func damagedTextsAreRefused(suffix: String) throws {
        let plain = try scratch.write("a.txt", documents.joined())
        let packed = try compress(
            plain, to: "a.txt.\(suffix)", by: suffix == "gz" ? "gzip" : "zstd -q")
        let bytes = try scratch.bytes(of: "a.txt.\(suffix)")
        let names = try scratch.names()
        for count in [0, 1, 5, bytes.count / 4, bytes.count - 9, bytes.count - 1] {
            try scratch.write("a.txt.\(suffix)", bytes.prefix(count))
            expectFailure(.badData, packed, "is cut off") { try tokenize(options([packed])) }
        }
        for place in [0, bytes.count / 4, bytes.count - 6] {
            var damaged = bytes
            damaged[place] ^= 0x10
            try scratch.write("a.txt.\(suffix)", damaged)
            #expect(throws: (any Error).self, "byte \(place)") {
                try tokenize(options([packed]))
            }
        }
        #expect(try scratch.names() == names)
    }

    /// The ids of each document are those of its text, after the token that separates documents.
    @Test(
        "every line of JSON is a document",
        arguments: [("a.jsonl", nil, "text"), ("a.ndjson", "body", "body"), ("a", "text", "text")])
    func everyLineIsADocument(name: String, option: String?, field: String) throws {
        let path = try write(documents, to: name, field: field)
        var expected: [UInt32] = []
        for document in documents { expected += [endOfText] + (try small.encode(document)) }
        for (threads, chunk) in [(1, 1 << 20), (1, 16), (3, 16), (3, 1000), (2, 1 << 20)] {
            var options = options([path])
            options.field = option
            options.threads = threads
            options.chunkBytes = chunk
            // The border of the splits lies in the last document, before " text. ".
            let characters = documents.reduce(0) { $0 + $1.unicodeScalars.count }
            options.validationFraction = 6.5 / Double(characters)
            #expect(try tokens(options) == expected, "\(threads) threads, chunks of \(chunk)")
            let description = try #require(try DatasetDescription.load(folder: options.output))
            #expect(description.separatesDocuments)
            #expect(description.characters == characters)
        }
    }

    @Test("documents end with a line feed if no token separates them")
    func documentsEndWithALineFeed() throws {
        let path = try write(documents, to: "a.jsonl")
        let text = try scratch.write("a.txt", documents.map { $0 + "\n" }.joined())
        for tokenizer in [TokenizerChoice.characters, .bytes] {
            #expect(
                try tokens(options([path], tokenizer)) == tokens(options([text], tokenizer)))
        }
    }

    @Test("JSON lines, text and compressed files can be mixed")
    func formatsCanBeMixed() throws {
        let lines = try write(Array(documents[5..<8]), to: "a.jsonl")
        let packed = try compress(lines, to: "a.jsonl.gz", by: "gzip")
        let plain = try scratch.write("b.txt", documents[8] + documents[9])
        var expected: [UInt32] = []
        for _ in 0..<2 {
            for index in 5..<8 { expected += [endOfText] + (try small.encode(documents[index])) }
        }
        expected += [endOfText] + (try small.encode(documents[8] + documents[9]))
        var options = options([lines, packed, plain])
        let characters = (documents[5..<8] + documents[5..<8] + documents[8...9])
            .reduce(0) { $0 + $1.unicodeScalars.count }
        options.validationFraction = 6.5 / Double(characters)
        #expect(try tokens(options) == expected)
    }

    @Test("bad lines of JSON are named", arguments: [1, 3])
    func badLinesAreNamed(threads: Int) throws {
        let good = (0..<2000).map { "{\"text\": \"line \($0)\", \"other\": [1, {}]}" }
        for (line, words, remedy) in [
            ("{\"text\": \"cut", "is not valid JSON", "correct the line"),
            ("plain words", "is not valid JSON", "correct the line"),
            ("{\"text\": \"half \\ud83d\"}", "surrogate", "correct the line"),
            ("{\"title\": \"x\"}", "has no string at text", "--field"),
            ("{\"text\": 7}", "has no string at text", "--field"),
            ("[\"x\"]", "has no object", "--field"),
        ] {
            for place in [0, 1, 1500, 2000] {
                var lines = good
                lines.insert(line, at: place)
                let path = try scratch.write("a.jsonl", lines.joined(separator: "\n"))
                var options = options([path])
                options.threads = threads
                options.chunkBytes = 1000
                expectFailure(.badData, "\(path), line \(place + 1):", words, remedy) {
                    try tokenize(options)
                }
            }
        }
        #expect(try scratch.names() == ["a.jsonl"])
    }

    @Test("Parquet files are refused with the remedy")
    func parquetFilesAreRefused() throws {
        // The last eight bytes are the length of the metadata and the magic number.
        for (name, content) in [
            ("a.parquet", "PAR1 data PAR1"), ("a.bin", "PAR1 data\u{5}\0\0\0PAR1"),
            ("b.parquet", ""),
        ] {
            let path = try scratch.write(name, content)
            expectFailure(.badData, path, "Parquet", "JSON lines") {
                try tokenize(options([path]))
            }
        }
        for text in ["PAR1", "PAR1 is the first lap of PAR1", "PAR1\u{20}\0\0\0PAR1"] {
            let path = try scratch.write("text", text)
            var options = options([path], .bytes)
            options.validationFraction = 0.5
            #expect(try tokens(options) == text.utf8.map(UInt32.init))
        }
    }

    @Test("line endings are read as Python's text mode reads them", arguments: [16, 17, 1 << 20])
    func lineEndingsAreReadAsByPython(chunk: Int) throws {
        let text = String(repeating: "a\r\nb\rc\n\rd\r\r\n\n\r\n", count: 40) + "\r"
        // Python replaces CR LF first.
        let expected = text.unicodeScalars.split(separator: "\r", omittingEmptySubsequences: false)
            .enumerated().map { index, part in
                index > 0 && part.first == "\n"
                    ? String(String.UnicodeScalarView(part.dropFirst())) : String(part)
            }.joined(separator: "\n")
        let plain = try scratch.write("a.txt", text)
        let lines = try write([text, text], to: "a.jsonl")
        for (path, expected) in [(plain, expected), (lines, "\(expected)\n\(expected)\n")] {
            var options = options([path], .bytes)
            options.hasUniversalNewlines = true
            options.chunkBytes = chunk
            var found: [TextFinding] = []
            try tokenize(options, found: { found.append($0) })
            let folder = try DataFolder(options.output)
            let bytes = try ids(folder.train) + ids(folder.validation)
            #expect(bytes == expected.utf8.map(UInt32.init))
            #expect(found.isEmpty)
        }
    }

    @Test("the validation set can have files of its own")
    func validationCanHaveFilesOfItsOwn() throws {
        let first = try scratch.write("a.txt", documents[0] + " one tw")
        let second = try scratch.write("b.txt", "o three")
        let third = try scratch.write("c.txt", "ee " + documents[2])
        let lines = try write(Array(documents[5...7]), to: "d.jsonl")
        var options = options([first, second])
        options.validationInputs = [third]
        try tokenize(options)
        var folder = try DataFolder(options.output)
        #expect(try ids(folder.train) == small.encode(documents[0] + " one two three"))
        #expect(try ids(folder.validation) == small.encode("ee " + documents[2]))
        #expect(folder.description?.sources == [first, second])
        #expect(folder.description?.validationSources == [third])
        #expect(folder.description?.validationFraction == 0)

        options = self.options([lines])
        options.validationInputs = [lines, third]
        options.separator = "stop, "
        try tokenize(options)
        folder = try DataFolder(options.output)
        let train = try ids(folder.train)
        #expect(train.count { $0 == endOfText } == 6)
        #expect(
            try ids(folder.validation) == train + [endOfText] + small.encode("ee " + documents[2]))
    }

    @Test("a byte order mark is ignored before JSON lines, and kept in text")
    func byteOrderMarks() throws {
        let plain = try write(documents, to: "a.jsonl")
        let marked = try scratch.write(
            "b.jsonl",
            "\u{FEFF}" + String(decoding: try scratch.bytes(of: "a.jsonl"), as: UTF8.self))
        #expect(try tokens(options([marked])) == tokens(options([plain])))
        expectFailure(.badData, "line 1: is not valid JSON") {
            try tokenize(
                options([try scratch.write("c.jsonl", "\u{FEFF}\u{FEFF}{\"text\": \"a\"}")]))
        }
        let text = try scratch.write("a.txt", "\u{FEFF}" + documents[3])
        #expect(
            try tokens(options([text], .bytes)) == ("\u{FEFF}" + documents[3]).utf8.map(UInt32.init)
        )

        let question = "{\"ctx\": \"A\", \"endings\": [\"b\", \"c\"], \"label\": 1}\n"
        let questions = try ["", "\u{FEFF}"].map { mark in
            try Question.read(
                scratch.write("q.jsonl", mark + question), tokenizer: small, vocabularySize: 2000)
        }
        #expect(questions[0] == questions[1])
    }

    @Test("zeros after compressed text are ignored, but other bytes are not")
    func paddingIsIgnored() throws {
        let text = String(repeating: documents[3], count: 20)
        let packed = try compress(
            scratch.write("a.txt", text), to: "a.gz", by: "gzip")
        let bytes = Array(try scratch.bytes(of: "a.gz"))
        for zeros in [1, 511, 1 << 20] {
            let padded = try scratch.write("b.gz", bytes + [UInt8](repeating: 0, count: zeros))
            #expect(try tokens(options([padded])) == tokens(options([packed])))
        }
        let joined = try scratch.write("c.gz", bytes + [0, 0] + bytes)
        #expect(
            try tokens(options([joined], .bytes)) == (text + text).utf8.map(UInt32.init))
        expectFailure(.badData, "damaged gzip data") {
            try tokenize(options([try scratch.write("d.gz", bytes + [0, 0, 7, 7])]))
        }
        expectFailure(.badData, "damaged gzip data") {
            try tokenize(options([try scratch.write("e.gz", [0, 0] + bytes)]))
        }
    }

    @Test("models are evaluated on compressed texts and questions", arguments: ["gzip", "zstd -q"])
    func evaluationReadsCompressedFiles(command: String) throws {
        let text = try scratch.write("a.txt", documents.joined())
        let question = "{\"ctx\": \"A\", \"endings\": [\"b\", \"c\"], \"label\": 1}\n"
        let lines = try scratch.write("q.jsonl", String(repeating: question, count: 9))
        func evaluated(_ path: String) throws -> EvaluationText {
            try EvaluationText(path: path, tokenizer: small, vocabularySize: 2000)
        }
        func questions(_ path: String) throws -> [Question] {
            try Question.read(path, tokenizer: small, vocabularySize: 2000)
        }
        let packed = try evaluated(compress(text, to: "packed", by: command))
        #expect(try packed.tokens == evaluated(text).tokens)
        #expect(try packed.bytes == evaluated(text).bytes)
        #expect(
            try questions(compress(lines, to: "questions", by: command)) == questions(lines))
    }
}
