import Data
import FoundationEssentials
import TestSupport
import Testing

private let separator = "<|endoftext|>"
private let endOfText: UInt32 = 1256

/// A text with separators and its ids from tiktoken, written by `make_separator_goldens.py`.
private struct SeparatedText: Decodable {
    let text: String
    let ids: [UInt32]

    static func load() throws -> [SeparatedText] {
        try golden("separators", as: [SeparatedText].self)
    }
}

@Suite struct SeparatorTests {
    let scratch: TemporaryFolder
    let small: BytePairTokenizer

    init() throws {
        scratch = try TemporaryFolder()
        small = try BytePairTokenizer(folder: goldenPath("small"))
    }

    /// Tokenizes texts and returns the ids of both splits and the findings. The first split ends
    /// `borderCharacters` before the end.
    private func tokenized(
        _ texts: [String], separator: String?, validationCharacters: Int, chunkBytes: Int = 1 << 20,
        separatesDocuments: Bool = false
    ) throws -> (train: [UInt32], validation: [UInt32], found: [TextFinding]) {
        let inputs = try texts.enumerated().map { try scratch.write("text-\($0)", $1) }
        let output = "\(scratch.path)/data-\(UUID().uuidString)"
        var options = TokenizeOptions(
            inputs: inputs, output: output, tokenizer: .bytePairs(folder: goldenPath("small")))
        options.separator = separator
        options.separatesDocuments = separatesDocuments
        options.chunkBytes = chunkBytes
        let characters = texts.reduce(0) { $0 + $1.unicodeScalars.count }
        options.validationFraction = (Double(validationCharacters) - 0.5) / Double(characters)
        var found: [TextFinding] = []
        try tokenize(options, progress: { _ in }, found: { found.append($0) })
        let folder = try DataFolder(output)
        #expect(folder.description?.separator == separator)
        return (try ids(folder.train), try ids(folder.validation), found)
    }

    /// The ids do not depend on the text around separators or on the borders of chunks.
    @Test("ids of separated text equal those of tiktoken", arguments: Array(16..<40) + [1 << 20])
    func idsEqualTiktokens(chunkBytes: Int) throws {
        let texts = try SeparatedText.load()
        #expect(texts.count > 200)
        let (train, validation, _) = try tokenized(
            [texts.map(\.text).joined(separator: separator) + "the rest"], separator: separator,
            validationCharacters: 8, chunkBytes: chunkBytes)
        let expected = Array(texts.map(\.ids).joined(separator: [endOfText]))
        let differs = zip(train, expected).enumerated().first { $1.0 != $1.1 }
        #expect(train.count == expected.count && differs == nil, "\(String(describing: differs))")
        #expect(try validation == small.encode("the rest"))
    }

    @Test("any string can be the separator")
    func anyTextCanSeparate() throws {
        for other in ["\n---\n", "a", "aab", "中", "🙂🙂", "---", "\n"] {
            let text = "one" + other + other + "two aaaab" + other + " three " + other
            let parts = text.split(separator: other, omittingEmptySubsequences: false)
            let expected = Array(
                try parts.map { try small.encode(String($0)) }.joined(separator: [endOfText]))
            for chunkBytes in [16, 17, 1 << 20] {
                let (train, validation, found) = try tokenized(
                    [text + "rest of it"], separator: other, validationCharacters: 10,
                    chunkBytes: chunkBytes)
                #expect(train == expected, "\(other.debugDescription)")
                #expect(validation.contains(endOfText) == "rest of it".contains(other))
                #expect(found.isEmpty)
            }
        }
    }

    @Test("a separator across the border of the splits belongs to the first")
    func separatorAcrossSplitsBelongsToTheFirst() throws {
        for cut in 1..<separator.count {
            let (train, validation, _) = try tokenized(
                ["one two" + separator + "three"], separator: separator,
                validationCharacters: "three".count + cut)
            #expect(try train == small.encode("one two") + [endOfText])
            #expect(try validation == small.encode("three"))
        }
        // The border is before the separator, then after it.
        for (characters, isFirst) in [(5 + separator.count, false), (5, true)] {
            let (train, validation, _) = try tokenized(
                ["one two" + separator + "three"], separator: separator,
                validationCharacters: characters)
            #expect(train.contains(endOfText) == isFirst)
            #expect(validation.contains(endOfText) == !isFirst)
        }
    }

    /// If files are documents too, each border between documents has exactly one token.
    @Test("separated files have one token at each border")
    func separatedFilesHaveOneTokenAtEachBorder() throws {
        let texts = [
            "one", separator + "two" + separator, "three<|endof", "text|>four", "and the rest",
        ]
        let (train, validation, _) = try tokenized(
            texts, separator: separator, validationCharacters: 8, separatesDocuments: true)
        let end = [endOfText]
        let expected: [[UInt32]] = [
            end, try small.encode("one"), end, try small.encode("two"), end,
            try small.encode("three<|endof"), end, try small.encode("text|>four"), end,
            try small.encode("and "),
        ]
        #expect(train == Array(expected.joined()))
        #expect(try validation == small.encode("the rest"))
        // If files are joined, a separator can span two of them.
        let (joined, _, _) = try tokenized(texts, separator: separator, validationCharacters: 8)
        let parts = ["one", "two", "three", "fourand "]
        #expect(try joined == Array(parts.map(small.encode).joined(separator: end)))
    }

    @Test("end-of-text names in the text are counted and stay text")
    func endOfTextNamesAreCountedAndStayText() throws {
        let text = "one\(separator)two\(separator) and the rest of it"
        for chunkBytes in [16, 1 << 20] {
            let (train, _, found) = try tokenized(
                [text], separator: nil, validationCharacters: 11, chunkBytes: chunkBytes)
            #expect(found == [.spelledEndOfText(separator, count: 2)])
            #expect(!train.contains(endOfText))
        }
        let other = try tokenized([text], separator: "rest", validationCharacters: 11)
        #expect(other.found == [.spelledEndOfText(separator, count: 2)])
        let missing = try tokenized([text], separator: "###", validationCharacters: 11)
        #expect(
            missing.found == [
                .spelledEndOfText(separator, count: 2), .missingSeparator("###"),
            ])
    }

    @Test("carriage returns are counted and kept")
    func carriageReturnsAreCountedAndKept() throws {
        let text = "one\r\ntwo\r\n\rthree\r\r\nfour\r"
        for chunkBytes in [16, 17, 18, 1 << 20] {
            let (train, validation, found) = try tokenized(
                [text + "\nand the rest"], separator: nil, validationCharacters: 8,
                chunkBytes: chunkBytes)
            #expect(found == [.carriageReturns(beforeLineFeed: 4, alone: 2)])
            let bytes = try small.decode(train + validation)
            #expect(String(decoding: bytes, as: UTF8.self) == text + "\nand the rest")
        }
        let (_, _, found) = try tokenized(["one two\r"], separator: nil, validationCharacters: 4)
        #expect(found == [.carriageReturns(beforeLineFeed: 0, alone: 1)])
    }

    @Test("impossible separators are refused")
    func impossibleSeparatorsAreRefused() throws {
        let path = try scratch.write("a.txt", "one two three")
        var options = TokenizeOptions(
            inputs: [path], output: scratch.path + "/data", tokenizer: .characters)
        for tokenizer in [TokenizerChoice.characters, .bytes] {
            options.tokenizer = tokenizer
            options.separator = separator
            expectFailure(.usage, "no end-of-text token") { try tokenize(options) }
        }
        options.tokenizer = .bytePairs(folder: goldenPath("small"))
        options.separator = ""
        expectFailure(.usage, "--separator \"\": is empty") { try tokenize(options) }
        #expect(try scratch.names() == ["a.txt"])
    }

    @Test("a prompt may name the end-of-text token")
    func aPromptMayNameTheToken() throws {
        for text in try SeparatedText.load() {
            #expect(
                try small.encodeWithSpecialTokens(text.text, source: "the text") == text.ids)
        }
        #expect(
            try ByteTokenizer().encodeWithSpecialTokens(separator, source: "the text").count
                == separator.count)
    }
}
