import Data
import Foundation
import TestSupport
import Testing

/// Tests that a tokenizer.json either gives the ids of Hugging Face's `tokenizers` or is refused.
@Suite struct TokenizerSettingTests {
    /// A changed setting and the library's ids for the golden texts.
    struct Case: CustomTestStringConvertible {
        let name: String
        let file: Data
        let ids: [[UInt32]]?

        var testDescription: String { name }
    }

    /// Settings that change the ids of other texts, but not of the golden ones.
    static let refusedThoughEqual = ["added_tokens lstrip"]
    /// Settings that change the ids of the golden texts in the same way as in the library.
    static let supported = [
        "model.ignore_merges = true", "normalizer NFC", "added_tokens a word",
        "added_tokens a special word", "added_tokens a word alone", "added_tokens a new part",
        templateName,
    ]
    /// A setting that adds a token before each text, which lockstep does not.
    static let templateName = "post_processor Template"

    static func load() throws -> (texts: [String], cases: [Case]) {
        let golden = try #require(
            try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(filePath: goldenPath("settings.json"))))
                as? [String: Any])
        let base = try #require(golden["base"] as? [String: Any])
        let cases = try #require(golden["cases"] as? [[String: Any]]).map { entry in
            var file = base
            let value = try #require((entry["value"] as? [Any])?.first)
            let keys = try #require(entry["keys"] as? [String])
            switch keys.count {
            case 0: break
            case 1: file[keys[0]] = value
            default:
                var part = try #require(file[keys[0]] as? [String: Any])
                part[keys[1]] = value
                file[keys[0]] = part
            }
            return Case(
                name: try #require(entry["name"] as? String),
                file: try JSONSerialization.data(withJSONObject: file),
                ids: (entry["ids"] as? [[Int]]).map { $0.map { $0.map(UInt32.init) } })
        }
        return (try #require(golden["texts"] as? [String]), cases)
    }

    @Test("a tokenizer with any setting gives the library's ids or is refused")
    func settingsGiveTheLibrarysIdsOrAreRefused() throws {
        let (texts, cases) = try Self.load()
        let usual = try #require(cases.first { $0.name == "nothing" }?.ids)
        #expect(cases.count >= 40)
        for name in Self.refusedThoughEqual + Self.supported {
            #expect(cases.contains { $0.name == name }, "\(name)")
        }
        for entry in cases {
            let scratch = try TemporaryFolder()
            try scratch.write("tokenizer.json", entry.file)
            let isUsual = entry.ids == usual && !Self.refusedThoughEqual.contains(entry.name)
            guard isUsual || Self.supported.contains(entry.name) else {
                for load in [loadTokenizer(folder:), { try BytePairTokenizer(folder: $0) }]
                    as [(String) throws -> any Tokenizer]
                {
                    expectFailure(.badData, "\(scratch.path)/tokenizer.json: has", "; ") {
                        _ = try load(scratch.path)
                        Issue.record("\(entry.name) was accepted")
                    }
                }
                continue
            }
            let tokenizer = try BytePairTokenizer(folder: scratch.path)
            let expected = try #require(entry.ids).map {
                entry.name == Self.templateName ? Array($0.dropFirst()) : $0
            }
            let ids = try texts.map {
                try tokenizer.encodeWithSpecialTokens($0, source: "the text")
            }
            #expect(ids == expected, "\(entry.name)")
            // The form that is saved in data folders and runs gives the same ids.
            let copy = try TemporaryFolder()
            try tokenizer.save(folder: copy.path)
            let loaded = try loadTokenizer(folder: copy.path)
            #expect(loaded.fingerprint == tokenizer.fingerprint, "\(entry.name)")
            #expect(
                try texts.map { try loaded.encodeWithSpecialTokens($0, source: "the text") }
                    == expected, "\(entry.name)")
        }
    }

    @Test("refusals name the setting")
    func refusalsNameTheSetting() throws {
        let (_, cases) = try Self.load()
        for (name, part) in [
            ("model.dropout = 1.0", "dropout = 1.0"),
            ("model.end_of_word_suffix = \"</w>\"", "end_of_word_suffix = \"</w>\""),
            ("model.continuing_subword_prefix = \"##\"", "continuing_subword_prefix = \"##\""),
            ("normalizer Lowercase", "a normalizer Lowercase"),
            ("pre_tokenizer null", "no pre_tokenizer"),
            ("pre_tokenizer with a prefix space", "prefix space"),
            ("pre_tokenizer Whitespace", "a pre_tokenizer Whitespace"),
            ("post_processor Roberta", "a post_processor"), ("truncation", "a truncation"),
            ("padding", "a padding"), ("added_tokens lstrip", "lstrip = true"),
            ("post_processor Roberta", "a post_processor RobertaProcessing"),
            ("pre_tokenizer Sequence with Digits", "a pre_tokenizer Digits"),
            ("pre_tokenizer Split and ByteLevel", "the pattern \"\\\\p{L}+|\\\\s|.\""),
            ("pre_tokenizer without its pattern", "a pre_tokenizer without its pattern"),
        ] {
            let scratch = try TemporaryFolder()
            let file = try #require(cases.first { $0.name == name }?.file, "\(name)")
            try scratch.write("tokenizer.json", file)
            expectFailure(.badData, part, scratch.path) {
                _ = try loadTokenizer(folder: scratch.path)
            }
        }
    }

    /// The end-of-text token of a model may have any name.
    @Test("the only special token ends texts")
    func onlySpecialTokenEndsTexts() throws {
        let (_, cases) = try Self.load()
        let file = try #require(cases.first?.file)
        let scratch = try TemporaryFolder()
        try scratch.write(
            "tokenizer.json",
            String(decoding: file, as: UTF8.self).replacing("<|endoftext|>", with: "<|end|>"))
        let tokenizer = try loadTokenizer(folder: scratch.path)
        let end = try #require(tokenizer.endOfText)
        #expect(tokenizer.endOfTextName == "<|end|>")
        #expect(try tokenizer.decode([end]) == Array("<|end|>".utf8))
        #expect(try !tokenizer.encode("<|end|>").contains(end))
        #expect(try tokenizer.encodeWithSpecialTokens("<|end|>", source: "the text") == [end])
        let copy = try TemporaryFolder()
        try tokenizer.save(folder: copy.path)
        let loaded = try loadTokenizer(folder: copy.path)
        #expect(loaded.endOfText == end)
        #expect(loaded.fingerprint == tokenizer.fingerprint)
    }
}
