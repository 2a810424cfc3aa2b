import Data
import FoundationEssentials
import TestSupport
import Testing

/// Any JSON value, for comparisons of files that ignore order and spacing.
private indirect enum JSON: Decodable, Equatable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case list([JSON])
    case table([String: JSON])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([JSON].self) {
            self = .list(list)
        } else {
            self = .table(try value.decode([String: JSON].self))
        }
    }

    subscript(key: String) -> JSON? {
        if case .table(let table) = self { table[key] } else { nil }
    }
}

@Suite struct TokenizerFileTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    @Test("saved tokenizers load unchanged")
    func savedTokenizersLoadUnchanged() throws {
        let tokenizers: [any Tokenizer] = [
            ByteTokenizer(),
            try CharacterTokenizer(
                scalars: "ab \n\"\\\u{0}\u{1F}é\u{301}🙂".unicodeScalars.map(\.value)),
            try BytePairTokenizer(folder: goldenPath("small")),
        ]
        for (index, tokenizer) in tokenizers.enumerated() {
            let folder = "\(scratch.path)/\(index)"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: false)
            try tokenizer.save(folder: folder)
            let loaded = try loadTokenizer(folder: folder)
            #expect(loaded.fingerprint == tokenizer.fingerprint)
            #expect(loaded.kind == tokenizer.kind)
            #expect(loaded.vocabularySize == tokenizer.vocabularySize)
            #expect(loaded.endOfText == tokenizer.endOfText)
            #expect(try loaded.encode("a b") == tokenizer.encode("a b"))
        }
        #expect(Set(tokenizers.map(\.fingerprint)).count == 3)
    }

    @Test("a Hugging Face file gives the same tokenizer")
    func huggingFaceFileGivesTheSameTokenizer() throws {
        let small = try BytePairTokenizer(folder: goldenPath("small"))
        #expect(try loadTokenizer(folder: goldenPath("")).fingerprint == small.fingerprint)
        #expect(try BytePairTokenizer(folder: goldenPath("")).fingerprint == small.fingerprint)

        let ours = try JSONDecoder().decode(JSON.self, from: Data(small.savedForm.utf8))
        let theirs = try JSONDecoder().decode(
            JSON.self, from: Data(contentsOf: URL(filePath: goldenPath("tokenizer.json"))))
        for key in ["version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor"] {
            #expect(ours[key] == theirs[key], "\(key)")
        }
        for key in ["type", "vocab", "unk_token", "dropout", "byte_fallback", "ignore_merges"] {
            #expect(ours["model"]?[key] == theirs["model"]?[key], "\(key)")
        }
        #expect(ours["decoder"]?["type"] == theirs["decoder"]?["type"])
    }

    @Test("characters are sorted by value")
    func charactersAreSortedByValue() throws {
        let tokenizer = try CharacterTokenizer(
            scalars: "hello, wörld\n".unicodeScalars.map(\.value))
        #expect(tokenizer.scalars.first == 10)
        #expect(tokenizer.scalars == tokenizer.scalars.sorted())
        #expect(tokenizer.vocabularySize == 11)
        let text = Array("wörld\n".utf8)
        for chunk in 1...8 {
            let ids = try encode(text, by: tokenizer, chunk: chunk)
            #expect(ids == [9, 10, 8, 6, 3, 0])
            #expect(try tokenizer.decode(ids) == text)
        }
        expectFailure(.badData, "\"x\" (U+0078)") { _ = try tokenizer.encode("hex") }
        expectFailure(.badData, "UTF-8", "byte 1") {
            _ = try encode([0x68, 0xC3], by: tokenizer, chunk: 1)
        }
        expectFailure(.badData, "token 11", "position 1") { _ = try tokenizer.decode([0, 11]) }
        expectFailure(.badData, "the vocabulary of characters: is empty") {
            _ = try CharacterTokenizer(scalars: [])
        }
    }

    @Test("bytes are their own ids")
    func bytesAreTheirOwnIds() throws {
        let all = Array(UInt8.min...UInt8.max)
        let ids = try encode(all, by: ByteTokenizer(), chunk: 7)
        #expect(ids == Array(0...255))
        #expect(try ByteTokenizer().decode(ids) == all)
        expectFailure(.badData, "token 256", "position 0") { _ = try ByteTokenizer().decode([256]) }
    }

    @Test("unusable tokenizer files are refused")
    func unusableFilesAreRefused() throws {
        let load = { _ = try loadTokenizer(folder: scratch.path) }
        expectFailure(.missingInput, "tokenizer.json", "does not exist", of: load)
        let bad: [(String, [String])] = [
            ("", ["not valid JSON"]), ("{\"type\":", ["not valid JSON"]),
            ("{}", ["has no object at model"]),
            ("{\"type\":\"bytes\"}", ["no version"]),
            ("{\"type\":\"bytes\",\"version\":2}", ["version 2"]),
            ("{\"type\":\"bytes\",\"version\":\"1\"}", ["no whole number at version"]),
            ("{\"type\":\"words\",\"version\":1}", ["\"words\""]),
            ("{\"type\":\"characters\",\"version\":1}", ["no \"characters\""]),
            ("{\"type\":\"characters\",\"version\":1,\"characters\":\"\"}", ["increasing"]),
            ("{\"type\":\"characters\",\"version\":1,\"characters\":\"ba\"}", ["increasing"]),
            ("{\"type\":\"characters\",\"version\":1,\"characters\":\"aa\"}", ["increasing"]),
            (
                "{\"model\":{\"type\":\"Unigram\",\"vocab\":{},\"merges\":[]}}",
                ["a model Unigram", "not supported"]
            ),
            (
                "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]},\"pre_tokenizer\":"
                    + "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}}",
                ["a pre_tokenizer with a prefix space", "not supported"]
            ),
        ]
        for (text, parts) in bad {
            try scratch.write("tokenizer.json", text)
            for part in parts { expectFailure(.badData, part, "tokenizer.json", of: load) }
        }
    }

    @Test("unusable vocabularies are refused")
    func unusableVocabulariesAreRefused() throws {
        let load = { _ = try BytePairTokenizer(folder: scratch.path) }
        expectFailure(.missingInput, "no byte-pair vocabulary", of: load)
        let vocabulary = try Data(
            contentsOf: URL(filePath: goldenPath("small/vocab.json")))
        let merges = try String(
            decoding: Data(contentsOf: URL(filePath: goldenPath("small/merges.txt"))),
            as: UTF8.self)
        let ids = try JSONDecoder().decode([String: Int].self, from: vocabulary)

        try scratch.write("merges.txt", merges)
        expectFailure(.missingInput, "has merges.txt but not vocab.json", of: load)
        try scratch.write("vocab.json", "{\"a\": 0")
        expectFailure(.badData, "vocab.json", "not valid JSON", of: load)
        try scratch.write("vocab.json", "[1, 2]")
        expectFailure(.badData, "vocab.json", of: load)
        try scratch.write("vocab.json", "{\"a\": \"b\"}")
        expectFailure(.badData, "vocab.json", "no whole number at a", of: load)

        func write(_ change: (inout [String: Int]) -> Void) throws {
            var changed = ids
            change(&changed)
            try scratch.write("vocab.json", JSONEncoder().encode(changed))
        }
        try write { $0["<|endoftext|>"] = 1257 }
        expectFailure(.badData, "id 1257", "0 to 1256", of: load)
        try write { $0["<|endoftext|>"] = -1 }
        expectFailure(.badData, "id -1", of: load)
        try write { $0["<|endoftext|>"] = 7 }
        expectFailure(.badData, "id 7", "each once", of: load)
        try write {
            $0["xyzzy"] = $0["!"]
            $0["!"] = nil
        }
        expectFailure(.badData, "no token for the byte 33", of: load)
        try write {
            $0["xyzzy"] = $0["Ġthe"]
            $0["Ġthe"] = nil
        }
        expectFailure(.badData, "Ġthe", "not in", of: load)

        try scratch.write("vocab.json", vocabulary)
        for (lines, part) in [
            ("Ġ quux", ": merge 2 "), ("Ġ quux", "\"quux\""), ("Ġ", "not two tokens"),
            ("a b c", "\"a b c\""), ("Ġ  t", "not two tokens"), ("Ġ t\nĠ t", ": merge 3 "),
            ("Ġ t\nĠ t", "repeats"), ("q q", "\"qq\""), ("Ġ t\n\nĠ a", ": merge 3 "),
        ] {
            try scratch.write("merges.txt", "#version: 0.2\n" + lines + "\n")
            expectFailure(.badData, part, "merges.txt", of: load)
        }
        try scratch.write("merges.txt", [0x61, 0x20, 0xFF])
        expectFailure(.badData, "merges.txt", "byte 2", of: load)

        // Line endings of another system and a missing header are allowed.
        try scratch.write(
            "merges.txt",
            merges.replacing("#version: 0.2\n", with: "").replacing("\n", with: "\r\n"))
        let small = try BytePairTokenizer(folder: goldenPath("small"))
        #expect(try BytePairTokenizer(folder: scratch.path).fingerprint == small.fingerprint)
    }
}
