import Data
import TestSupport
import Testing

@Suite struct QuestionTests {
    private static let lines = """
        {"ind": 3, "ctx": "A man", "endings": ["sits.", "é"], "label": 1, "split": "val"}

        {"ctx": "B", "endings": ["x", "y", "z"], "label": "0"}

        """

    private static func read(
        _ bytes: some Sequence<UInt8>, name: String = "questions.jsonl",
        tokenizer: (any Tokenizer)? = ByteTokenizer(), vocabularySize: Int = 256
    ) throws -> [Question] {
        let folder = try TemporaryFolder()
        return try Question.read(
            try folder.write(name, bytes), tokenizer: tokenizer, vocabularySize: vocabularySize)
    }

    private static func ids(_ text: String) -> [UInt32] { text.utf8.map(UInt32.init) }

    @Test("lines of HellaSwag have their context, endings after a space, and label")
    func lines() throws {
        let questions = try Self.read(Self.lines.utf8)
        #expect(questions.map(\.context) == [Self.ids("A man"), Self.ids("B")])
        #expect(questions.map(\.label) == [1, 0])
        #expect(questions[0].endings.map(\.tokens) == [Self.ids(" sits."), Self.ids(" é")])
        #expect(questions[0].endings.map(\.bytes) == [5, 2])
        #expect(questions[1].endings.map(\.tokens) == [" x", " y", " z"].map(Self.ids))
    }

    @Test(
        "lines with mistakes are refused with their number",
        arguments: [
            ("{\"ctx\": \"A\"", "line 4: is not valid JSON"),
            ("[]", "line 4: has no object at its top level"),
            ("{\"endings\": [\"a\", \"b\"], \"label\": 0}", "line 4: has no string at ctx"),
            ("{\"ctx\": \"A\", \"label\": 0}", "line 4: has no array at endings"),
            ("{\"ctx\": \"A\", \"endings\": [], \"label\": 0}", "line 4: has 0 endings"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\"], \"label\": 0}", "line 4: has 1 ending,"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\", \"\"], \"label\": 0}", "an empty ending 1"),
            ("{\"ctx\": \"\", \"endings\": [\"a\", \"b\"], \"label\": 0}", "has an empty ctx"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\", \"b\"]}", "no whole number at label"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\", \"b\"], \"label\": \"\"}", "number at label"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\", \"b\"], \"label\": 2}", "has the label 2"),
            ("{\"ctx\": \"A\", \"endings\": [\"a\", \"b\"], \"label\": -1}", "has the label -1"),
        ])
    func badLines(line: String, words: String) {
        expectFailure(.badData, words, "give HellaSwag's JSON lines") {
            _ = try Self.read((Self.lines + line + "\n").utf8)
        }
    }

    @Test("files without questions, and tokens that the model does not know, are refused")
    func otherMistakes() {
        expectFailure(.badData, "has no questions") { _ = try Self.read("\n".utf8) }
        expectFailure(.badData, "has the token 195 in question 1", "vocabulary of 195") {
            _ = try Self.read(Self.lines.utf8, vocabularySize: 195)
        }
        expectFailure(.missingInput, "has no tokenizer.json") {
            _ = try Self.read(Self.lines.utf8, tokenizer: nil)
        }
    }

    // MARK: - llm.c's file

    /// A binary file with the questions of `lines`.
    private static var words: [UInt16] {
        func block(_ text: String) -> [UInt16] {
            [UInt16(text.utf8.count)] + text.utf8.map(UInt16.init)
        }
        func question(_ index: Int, _ label: Int, _ texts: [String]) -> [UInt16] {
            let blocks = texts.flatMap(block)
            let size = 2 * (5 + blocks.count)
            return [65535, UInt16(size), UInt16(index), UInt16(label), UInt16(texts.count - 1)]
                + blocks
        }
        return question(0, 1, ["A man", " sits.", " é"]) + question(1, 0, ["B", " x", " y", " z"])
    }

    private static func file(
        magic: Int32 = 20_240_522, version: Int32 = 1, count: Int32 = 2, _ words: [UInt16]
    ) -> [UInt8] {
        let header = [magic, version, count, 52] + [Int32](repeating: 0, count: 252)
        return header.flatMap { value in withUnsafeBytes(of: value.littleEndian, Array.init) }
            + words.flatMap { value in withUnsafeBytes(of: value.littleEndian, Array.init) }
    }

    @Test("llm.c's file has the same questions as the lines")
    func binary() throws {
        let bytes = Self.file(Self.words)
        let lines = try Self.read(Self.lines.utf8)
        #expect(try Self.read(bytes, name: "val.bin") == lines)
        #expect(try Self.read(bytes, name: "val") == lines)
        let plain = try Self.read(bytes, name: "val.bin", tokenizer: nil)
        #expect(plain.map(\.context) == lines.map(\.context))
        #expect(plain.allSatisfy { $0.endings.allSatisfy { $0.bytes == nil } })
    }

    @Test("every cut of llm.c's file is refused")
    func cuts() {
        let bytes = Self.file(Self.words)
        for count in 0..<bytes.count {
            let words = count < 1024 ? "less than the 1024" : "is cut off in question"
            expectFailure(.badData, words, "write the file again") {
                _ = try Self.read(bytes.prefix(count), name: "val.bin")
            }
        }
    }

    @Test("damaged files of llm.c are refused")
    func damages() {
        func refuse(_ bytes: [UInt8], _ words: String) {
            expectFailure(.badData, words) { _ = try Self.read(bytes, name: "val.bin") }
        }
        refuse(Self.file(magic: 20_240_520, Self.words), "the magic number 20240520")
        refuse(Self.file(version: 2, Self.words), "has version 2")
        refuse(Self.file(count: 1, Self.words), "bytes after the 1 question that")
        refuse(Self.file(count: 3, Self.words), "is cut off in question 3 of 3")
        refuse(Self.file(count: 0, []), "has no questions")
        for (place, value, words) in [
            (0, 7, "question 1: does not begin with 65535"),
            (1, 7, "question 1: has 44 bytes, but states 7"),
            (2, 7, "question 1: has another number"),
            (3, 2, "question 1: has the label 2, but its endings are 0 to 1"),
            (4, 1, "question 1: has 1 ending,"), (5, 0, "question 1: has an empty context"),
        ] as [(Int, UInt16, String)] {
            var damaged = Self.words
            damaged[place] = value
            refuse(Self.file(damaged), words)
        }
        var empty = Self.words
        empty[11] = 0
        refuse(Self.file(empty), "question 1: has an empty ending 0")
    }
}
