import Data
import FoundationEssentials
import Support
import TestSupport
import Testing

/// The results of tiktoken that `make_tokenizer_goldens.py` wrote.
struct BytePairGoldens: Decodable {
    struct Vocabulary: Decodable {
        let ids: [[UInt32]]
        let pseudoRandom: String
        let longWord: String
        let tokenTexts: String
        let codePoints: [String]
    }

    let texts: [String]
    let pool: String
    let small: Vocabulary
    let full: Vocabulary
    let pairs: Vocabulary

    static func load() throws -> BytePairGoldens {
        try golden("bytepairs", as: BytePairGoldens.self)
    }

    /// The same text as the script's `pseudo_random_text`.
    var pseudoRandomText: [UInt8] {
        let pool = Array(pool.unicodeScalars)
        var state: UInt64 = 1
        var text = String.UnicodeScalarView()
        for _ in 0..<100_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            text.append(pool[Int((state >> 33) % UInt64(pool.count))])
        }
        return Array(String(text).utf8)
    }
}

/// Returns the same text as the script's `code_point_text`: each code point between every kind of
/// neighbor.
private func codePointText(block: Int) -> [UInt8] {
    var text: [UInt8] = []
    for value in block * 0x4000..<(block + 1) * 0x4000 {
        guard let scalar = Unicode.Scalar(UInt32(value)), let c = UTF8.encode(scalar) else {
            continue
        }
        for part in ["x", "", "x ", "1", "  ", "\n", "!"] {
            text += part.utf8
            text += c
        }
    }
    return text
}

private func digest(_ ids: [UInt32]) -> String {
    ids.withUnsafeBytes { SHA256.hash($0) }
}

/// Writes a folder with the script's vocabulary in which any two bytes merge.
private func writePairs(into scratch: TemporaryFolder) throws {
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    var letters = [UInt32](repeating: 0, count: 256)
    for byte in printable { letters[byte] = UInt32(byte) }
    var next: UInt32 = 256
    for byte in 0..<256 where letters[byte] == 0 {
        letters[byte] = next
        next += 1
    }
    let names = letters.map { Unicode.Scalar($0).map { String($0) } ?? "" }
    var vocabulary = Dictionary(uniqueKeysWithValues: zip(names, 0...))
    var merges = [String](repeating: "", count: 65536)
    for a in 0..<256 {
        for b in 0..<256 {
            let rank = (a * 256 + b) * 40503 % 65536
            vocabulary[names[a] + names[b]] = 256 + rank
            merges[rank] = names[a] + " " + names[b]
        }
    }
    let json = try JSONEncoder().encode(vocabulary)
    try scratch.write("vocab.json", json)
    try scratch.write("merges.txt", merges.joined(separator: "\n"))
}

@Suite struct BytePairTests {
    let goldens: BytePairGoldens
    let small: BytePairTokenizer

    init() throws {
        goldens = try BytePairGoldens.load()
        small = try BytePairTokenizer(folder: goldenPath("small"))
    }

    @Test("ids equal those of tiktoken")
    func idsEqualTiktokens() throws {
        for (text, ids) in zip(goldens.texts, goldens.small.ids) {
            #expect(try small.encode(text) == ids, "\(text.debugDescription)")
            #expect(try small.decode(ids) == Array(text.utf8))
        }
        #expect(small.vocabularySize == 1257)
        #expect(small.endOfText == 1256)
    }

    @Test("ids of pseudorandom text equal those of tiktoken")
    func idsOfPseudoRandomTextEqualTiktokens() throws {
        let text = goldens.pseudoRandomText
        let ids = try encode(text, by: small, chunk: 1 << 16)
        #expect(digest(ids) == goldens.small.pseudoRandom)
        #expect(try small.decode(ids) == text)
    }

    @Test("every code point is split as tiktoken splits it")
    func everyCodePointIsSplitAsByTiktoken() throws {
        let scratch = try TemporaryFolder()
        try writePairs(into: scratch)
        let pairs = try BytePairTokenizer(folder: scratch.path)
        #expect(
            digest(try encode(goldens.pseudoRandomText, by: pairs, chunk: 1 << 16))
                == goldens.pairs.pseudoRandom)
        for block in 0..<0x11_0000 / 0x4000 {
            let text = codePointText(block: block)
            let ids = try encode(text, by: pairs, chunk: 1 << 16)
            #expect(digest(ids).prefix(16) == goldens.pairs.codePoints[block], "block \(block)")
            let smallIds = try encode(text, by: small, chunk: 1 << 16)
            #expect(digest(smallIds).prefix(16) == goldens.small.codePoints[block])
            #expect(try small.decode(smallIds) == text)
        }
    }

    @Test("the division into chunks never changes ids", arguments: [1, 2, 3, 5, 7, 64, 1000, 4099])
    func chunksNeverChangeIds(chunk: Int) throws {
        let text = Array(goldens.pseudoRandomText.prefix(30_000))
        let whole = Array(text[..<(text.lastIndex(of: 0x20) ?? 0)])
        #expect(
            try encode(whole, by: small, chunk: chunk)
                == encode(whole, by: small, chunk: whole.count))
        for (text, ids) in zip(goldens.texts, goldens.small.ids) {
            #expect(try encode(Array(text.utf8), by: small, chunk: chunk) == ids)
        }
    }

    @Test("a megabyte of one letter is one word")
    func aMegabyteOfOneLetterIsOneWord() throws {
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(digest(try encode(text, by: small, chunk: 4096)) == goldens.small.longWord)
    }

    @Test("an encoder can encode several texts")
    func encoderEncodesSeveralTexts() throws {
        var encoder = small.makeEncoder(source: "the text")
        for text in goldens.texts {
            var ids: [UInt32] = []
            let bytes = Array(text.utf8)
            try bytes.withUnsafeBytes { try encoder.encode($0, into: &ids) }
            try encoder.finish(into: &ids)
            #expect(ids == (try small.encode(text)))
        }
    }

    @Test(
        "ids of GPT-2's vocabulary equal those of tiktoken",
        .enabled(if: gpt2Folder != nil, "needs GPT-2's vocabulary in $LOCKSTEP_DATA/gpt2"))
    func idsOfGPT2EqualTiktokens() throws {
        let gpt2 = try BytePairTokenizer(folder: #require(gpt2Folder))
        #expect(gpt2.vocabularySize == 50257)
        #expect(gpt2.endOfText == 50256)
        for (text, ids) in zip(goldens.texts, goldens.full.ids) {
            #expect(try gpt2.encode(text) == ids, "\(text.debugDescription)")
        }
        let text = goldens.pseudoRandomText
        let ids = try encode(text, by: gpt2, chunk: 1 << 16)
        #expect(digest(ids) == goldens.full.pseudoRandom)
        #expect(try gpt2.decode(ids) == text)
        let long = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(digest(try encode(long, by: gpt2, chunk: 4096)) == goldens.full.longWord)
        #expect(digest(try encodeTokenTexts(of: gpt2)) == goldens.full.tokenTexts)
    }

    @Test("ids of the text of every token equal those of tiktoken")
    func idsOfEveryTokensTextEqualTiktokens() throws {
        #expect(digest(try encodeTokenTexts(of: small)) == goldens.small.tokenTexts)
    }

    /// Returns the ids of each token's text by itself if it is UTF-8.
    private func encodeTokenTexts(of tokenizer: BytePairTokenizer) throws -> [UInt32] {
        var ids: [UInt32] = []
        for id in 0..<UInt32(tokenizer.vocabularySize - 1) {
            guard let text = String(validating: try tokenizer.decode([id]), as: UTF8.self) else {
                continue
            }
            ids += try tokenizer.encode(text)
        }
        return ids
    }

    @Test("text never encodes to the end-of-text token")
    func endOfTextNeverComesFromText() throws {
        let ids = try small.encode("a<|endoftext|>b")
        #expect(!ids.contains(1256))
        #expect(try small.decode([1256]) == Array("<|endoftext|>".utf8))
    }

    @Test("invalid UTF-8 is refused with its offset")
    func invalidUTF8IsRefusedWithItsOffset() throws {
        let bad: [([UInt8], Int)] = [
            ([0x61, 0xFF], 1), ([0x61, 0x62, 0xC3], 2), ([0xC0, 0x80], 0), ([0xED, 0xA0, 0x80], 0),
            ([0xF4, 0x90, 0x80, 0x80], 0), ([0x61, 0xE2, 0x82, 0x61], 1), ([0x80], 0),
        ]
        for (bytes, offset) in bad {
            for chunk in [1, 2, 100] {
                expectFailure(.badData, "UTF-8", "byte \(offset)") {
                    _ = try encode(bytes, by: small, chunk: chunk)
                }
            }
        }
    }

    @Test("ids outside the vocabulary are refused")
    func idsOutsideTheVocabularyAreRefused() {
        expectFailure(.badData, "token 1257", "position 2") { _ = try small.decode([1, 2, 1257]) }
    }
}
