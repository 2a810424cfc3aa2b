import Data
import Foundation
import TestSupport
import Testing

/// Tests of tokenizers with the patterns of GPT-2, Llama 3 and Qwen 2 against the ids of Hugging
/// Face's library, which `make_tokenizer_file_goldens.py` wrote.
@Suite struct TokenizerPatternTests {
    /// A tokenizer of the library and the ids of the golden texts.
    struct Case {
        let name: String
        let file: [String: Any]
        let plain: [[UInt32]]
        let special: [[UInt32]]
    }

    static func load() throws -> (texts: [String], cases: [Case]) {
        let golden = try #require(
            try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(filePath: goldenPath("files.json")))) as? [String: Any])
        func ids(_ value: Any?) throws -> [[UInt32]] {
            try #require(value as? [[Int]]).map { $0.map(UInt32.init) }
        }
        let cases = try #require(golden["tokenizers"] as? [[String: Any]]).map { entry in
            Case(
                name: try #require(entry["name"] as? String),
                file: try #require(entry["file"] as? [String: Any]),
                plain: try ids(entry["plain"]), special: try ids(entry["special"]))
        }
        return (try #require(golden["texts"] as? [String]), cases)
    }

    /// Returns a tokenizer's file with a changed value in its model or at its top level.
    private func changed(
        _ file: [String: Any], _ key: String, in section: String? = nil, to value: Any
    ) throws -> Data {
        var file = file
        if let section {
            var part = try #require(file[section] as? [String: Any])
            part[key] = value
            file[section] = part
        } else {
            file[key] = value
        }
        return try JSONSerialization.data(withJSONObject: file)
    }

    @Test("ids equal those of the library for chunks of any size")
    func idsEqualTheLibrarys() throws {
        let (texts, cases) = try Self.load()
        #expect(cases.map(\.name) == ["GPT-2's pattern", "Llama 3's pattern", "Qwen 2's pattern"])
        for entry in cases {
            let scratch = try TemporaryFolder()
            try scratch.write(
                "tokenizer.json", JSONSerialization.data(withJSONObject: entry.file))
            let tokenizer = try loadTokenizer(path: "\(scratch.path)/tokenizer.json")
            let copy = try TemporaryFolder()
            try tokenizer.save(folder: copy.path)
            let saved = try loadTokenizer(folder: copy.path)
            #expect(saved.fingerprint == tokenizer.fingerprint)
            #expect(saved.endOfText == tokenizer.endOfText)
            for (index, text) in texts.enumerated() {
                let name: Comment = "\(entry.name), \(text.debugDescription)"
                let bytes = Array(text.utf8)
                for chunk in [1, 2, 7, max(1, bytes.count)] {
                    #expect(
                        try encode(bytes, by: tokenizer, chunk: chunk) == entry.plain[index], name)
                }
                #expect(try encode(bytes, by: saved, chunk: 5) == entry.plain[index], name)
                let special = try saved.encodeWithSpecialTokens(text, source: "the text")
                #expect(special == entry.special[index], name)
                #expect(
                    try tokenizer.decode(special) == tokenizer.decode(entry.plain[index]), name)
            }
        }
    }

    @Test("an encoder of added tokens encodes several texts")
    func encoderEncodesSeveralTexts() throws {
        let (texts, cases) = try Self.load()
        let entry = try #require(cases.last)
        let scratch = try TemporaryFolder()
        try scratch.write("tokenizer.json", JSONSerialization.data(withJSONObject: entry.file))
        var encoder = try loadTokenizer(folder: scratch.path).makeEncoder(source: "the text")
        for (index, text) in texts.enumerated() {
            var ids: [UInt32] = []
            try Array(text.utf8).withUnsafeBytes { try encoder.encode($0, into: &ids) }
            try encoder.finish(into: &ids)
            #expect(ids == entry.plain[index])
        }
    }

    @Test("the token that ends texts has a usual name or is the only special one")
    func endOfTextIsFound() throws {
        let (_, cases) = try Self.load()
        for (name, end) in [
            ("GPT-2's pattern", "<|endoftext|>"), ("Llama 3's pattern", "<|end_of_text|>"),
            ("Qwen 2's pattern", "<|endoftext|>"),
        ] {
            let entry = try #require(cases.first { $0.name == name })
            let scratch = try TemporaryFolder()
            try scratch.write(
                "tokenizer.json", JSONSerialization.data(withJSONObject: entry.file))
            let tokenizer = try loadTokenizer(folder: scratch.path)
            #expect(tokenizer.endOfTextName == end)
            #expect(try tokenizer.decode([#require(tokenizer.endOfText)]) == Array(end.utf8))
            #expect(try !tokenizer.encode(end).contains(#require(tokenizer.endOfText)))
            // The files of a vocabulary alone would describe GPT-2's tokenizer.
            #expect(tokenizer.vocabularyFiles.isEmpty == (name != "GPT-2's pattern"))
        }
    }

    @Test("the step that adds tokens is kept in the file")
    func postProcessorIsKept() throws {
        let (_, cases) = try Self.load()
        let entry = try #require(cases.first { $0.name == "Llama 3's pattern" })
        let scratch = try TemporaryFolder()
        try scratch.write("tokenizer.json", JSONSerialization.data(withJSONObject: entry.file))
        let saved = try loadTokenizer(folder: scratch.path).savedForm
        let file = try #require(
            try JSONSerialization.jsonObject(with: Data(saved.utf8)) as? [String: Any])
        let kept = try #require(file["post_processor"] as? NSDictionary)
        #expect(kept == entry.file["post_processor"] as? NSDictionary)
    }

    @Test("files that the library reads in another way are refused by name")
    func otherFilesAreRefused() throws {
        let (_, cases) = try Self.load()
        let file = try #require(cases.last).file
        let added = try #require(file["added_tokens"] as? [[String: Any]])
        func token(_ index: Int, _ key: String, _ value: Any) -> [[String: Any]] {
            var changed = added
            changed[index][key] = value
            return changed
        }
        let split: [String: Any] = [
            "type": "Split", "pattern": ["Regex": "\\p{N}"], "behavior": "Isolated",
            "invert": false,
        ]
        let level: [String: Any] = [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": false,
        ]
        func sequence(_ steps: [[String: Any]]) -> [String: Any] {
            ["type": "Sequence", "pretokenizers": steps]
        }
        let template = try #require(file["pre_tokenizer"] as? [String: Any])
        var inverted = try #require((template["pretokenizers"] as? [[String: Any]])?.first)
        inverted["invert"] = true
        let long = String(repeating: "a", count: 1025)
        let bad: [(Data, String)] = [
            (
                try changed(file, "added_tokens", to: token(0, "id", 7)),
                "the id 7, but its place is"
            ),
            (try changed(file, "added_tokens", to: added + [added[0]]), "twice"),
            (try changed(file, "added_tokens", to: token(3, "content", "")), "of 0 bytes"),
            (
                try changed(file, "added_tokens", to: token(3, "content", long)),
                "of 1025 bytes"
            ),
            (try changed(file, "added_tokens", to: token(3, "rstrip", true)), "rstrip = true"),
            (try changed(file, "added_tokens", to: token(4, "single_word", true)), "single_word"),
            (
                try changed(file, "pre_tokenizer", to: sequence([split, level])),
                "a pre_tokenizer Split with the pattern"
            ),
            (
                try changed(file, "pre_tokenizer", to: sequence([inverted, level])),
                "a pre_tokenizer Split that is inverted"
            ),
            (
                try changed(file, "pre_tokenizer", to: sequence([level, split])),
                "the pre_tokenizers ByteLevel, Split"
            ),
            (try changed(file, "pre_tokenizer", to: sequence([])), "no pre_tokenizer"),
            (
                try changed(file, "pre_tokenizer", to: sequence([template])),
                "a pre_tokenizer Sequence"
            ),
            (
                try changed(
                    file, "normalizer",
                    to: ["type": "Sequence", "normalizers": [["type": "NFC"], ["type": "NFKC"]]]),
                "a normalizer NFKC"
            ),
            (try changed(file, "dropout", in: "model", to: 0.1), "dropout = 0.1"),
            (try changed(file, "type", in: "model", to: "WordPiece"), "a model WordPiece"),
            (try changed(file, "merges", in: "model", to: [["a", "\u{1}"]]), "refers to"),
        ]
        for (data, part) in bad {
            let scratch = try TemporaryFolder()
            try scratch.write("tokenizer.json", data)
            expectFailure(.badData, part, "tokenizer.json: ") {
                _ = try loadTokenizer(folder: scratch.path)
                Issue.record("a file was accepted that should have failed with: \(part)")
            }
        }
        expectFailure(.missingInput, "does not exist", "--tokenizer") {
            _ = try loadTokenizer(path: "\(goldenPath(""))/nothing.json")
        }
    }
}
