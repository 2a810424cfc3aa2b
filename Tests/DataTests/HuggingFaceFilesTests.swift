import Data
import FoundationEssentials
import Support
import TestSupport
import Testing

/// Tests that the files for Transformers read back as the same tokenizer. `Tests/Peers/hugging-face`
/// compares the ids with those of Transformers.
@Suite struct HuggingFaceFilesTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func read(_ tokenizer: any Tokenizer) throws -> any Tokenizer {
        try scratch.write("tokenizer.json", tokenizer.huggingFaceForm)
        return try loadTokenizer(folder: scratch.path)
    }

    @Test("characters, bytes and byte pairs read back")
    func roundTrip() throws {
        let tokenizers: [any Tokenizer] = [
            ByteTokenizer(), try BytePairTokenizer(folder: goldenPath("small")),
            try CharacterTokenizer(scalars: "a".unicodeScalars.map(\.value)),
            // The last two are one letter for Swift's strings, but two scalars.
            try CharacterTokenizer(
                scalars: "ab \n\"\\\u{0}\u{1F}\u{301}🙂\u{C5}\u{212B}".unicodeScalars.map(\.value)),
        ]
        for tokenizer in tokenizers {
            let again = try read(tokenizer)
            #expect(again.fingerprint == tokenizer.fingerprint)
            #expect(again.kind == tokenizer.kind)
            #expect(again.savedForm == tokenizer.savedForm)
        }
    }

    @Test("a vocabulary of words, or another order of characters, is refused")
    func otherWords() throws {
        let form = try CharacterTokenizer(scalars: "abc".unicodeScalars.map(\.value))
            .huggingFaceForm
        for (text, other) in [
            ("\"a\": 0", "\"ab\": 0"), ("\"a\": 0", "\"a\": 3"), ("\"a\": 0", "\"a\": 1"),
            ("\"a\": 0", "\"d\": 0"), ("\"a\": 0", "\"\": 0"), ("Isolated", "Removed"),
            ("\"invert\": false", "\"invert\": true"), ("[\\\\s\\\\S]", "\\\\w"),
            ("\"normalizer\": null", "\"normalizer\": {\"type\": \"Lowercase\"}"),
            ("\"added_tokens\": []", "\"added_tokens\": [{\"id\": 3, \"content\": \"x\"}]"),
        ] {
            let changed = form.replacingOccurrences(of: text, with: other)
            try #require(changed != form, "\(text)")
            try scratch.write("tokenizer.json", changed)
            expectFailure(.badData, "tokenizer.json") {
                _ = try loadTokenizer(folder: scratch.path)
            }
        }
    }

    @Test("a byte-pair vocabulary also has its two files, which read back")
    func vocabularyFiles() throws {
        let small = try BytePairTokenizer(folder: goldenPath("small"))
        let files = small.huggingFaceFiles(contextLength: 77)
        #expect(
            files.map(\.name)
                == ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"])
        for file in files where file.name != "tokenizer.json" {
            try scratch.write(file.name, file.text)
        }
        #expect(
            try BytePairTokenizer(folder: scratch.path).fingerprint == small.fingerprint)
        let settings = try JSONValue(parsing: files[1].text.utf8)
        #expect(try (settings.read("model_max_length") as Int) == 77)
        #expect(try (settings.read("eos_token") as String) == "<|endoftext|>")
        #expect(try (settings.read("clean_up_tokenization_spaces") as Bool) == false)
        let characters = try CharacterTokenizer(scalars: [97]).huggingFaceFiles(contextLength: 8)
        #expect(characters.map(\.name) == ["tokenizer.json", "tokenizer_config.json"])
        #expect(!characters[1].text.contains("eos_token"))
    }
}
