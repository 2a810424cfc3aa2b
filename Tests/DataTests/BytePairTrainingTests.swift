import Data
import Foundation
import Support
import TestSupport
import Testing

/// Tests that byte pairs are learned as by Hugging Face's library.
@Suite struct BytePairTrainingTests {
    /// The results of the library that `make_tokenizer_file_goldens.py` wrote.
    struct Learned: Decodable {
        let text: String
        let size: Int
        let merges: [String: [String]]
    }

    let scratch: TemporaryFolder
    let learned: Learned

    init() throws {
        scratch = try TemporaryFolder()
        learned = try golden("learned", as: Learned.self)
    }

    /// Learns from texts and returns the tokenizer's merges.
    private func merges(
        _ texts: [String], size: Int, pattern: SplitPattern = .gpt2, threads: Int = 1,
        chunk: Int = 1 << 20, separator: String? = nil, separates: Bool = false
    ) throws -> (tokenizer: any Tokenizer, merges: [String]) {
        var inputs: [String] = []
        for text in texts {
            inputs.append(try scratch.write("\(inputs.count).txt", Array(text.utf8)))
        }
        let output = "\(scratch.path)/data-\(UUID().uuidString)"
        var options = TokenizeOptions(
            inputs: inputs, output: output,
            tokenizer: .trained(
                BytePairTraining(vocabularySize: size, pattern: pattern)))
        options.threads = threads
        options.chunkBytes = chunk
        options.separator = separator
        options.separatesDocuments = separates
        try tokenize(options)
        let tokenizer = try loadTokenizer(folder: output)
        let file = try #require(
            try JSONSerialization.jsonObject(with: Data(tokenizer.savedForm.utf8))
                as? [String: Any])
        let model = try #require(file["model"] as? [String: Any])
        return (tokenizer, try #require(model["merges"] as? [String]))
    }

    @Test("merges equal those of the library", arguments: SplitPattern.allCases)
    func mergesEqualTheLibrarys(pattern: SplitPattern) throws {
        let expected = try #require(learned.merges[pattern.rawValue])
        for (threads, chunk) in [(1, 1 << 20), (3, 16)] {
            let (tokenizer, found) = try merges(
                [learned.text], size: learned.size, pattern: pattern, threads: threads,
                chunk: chunk)
            #expect(found == expected, "\(threads) threads")
            #expect(tokenizer.vocabularySize == learned.size)
            #expect(tokenizer.endOfTextName == "<|endoftext|>")
            #expect(tokenizer.endOfText == UInt32(learned.size - 1))
            let text = Array(learned.text.utf8)
            #expect(try tokenizer.decode(encode(text, by: tokenizer, chunk: 4096)) == text)
        }
    }

    @Test("the number of threads never changes the result")
    func threadsNeverChangeTheResult() throws {
        // Long enough for several pieces per thread, with and without letters at their borders.
        let text =
            String(repeating: learned.text, count: 60)
            + String(repeating: "1 2\n", count: 90_000)
        let one = try merges([text], size: 400).tokenizer.fingerprint
        for threads in [2, 5] {
            #expect(try merges([text], size: 400, threads: threads).tokenizer.fingerprint == one)
        }
    }

    @Test("documents and separators are kept apart")
    func documentsAreKeptApart() throws {
        // "ab" occurs only across borders; the validation split is the end.
        let end = (10..<60).map { " \($0)" }.joined()
        let joined = try merges(["xa", "bx" + end], size: 600).merges
        #expect(joined.contains { $0.hasPrefix("a b") || $0.contains("xa") && $0.contains("b") })
        let apart = try merges(["xa", "bx" + end], size: 600, separates: true).merges
        #expect(apart.contains("x a") && apart.contains("b x"))
        #expect(!apart.contains { $0.replacing(" ", with: "").contains("ab") })
        let separated = try merges(["xa###bx" + end], size: 600, separator: "###").merges
        #expect(separated.contains("x a") && !separated.contains { $0.contains("#") })
    }

    @Test("learning ends when no pair is left")
    func learningEndsWithoutPairs() throws {
        let (tokenizer, found) = try merges(["abababab!!!!!!!!!!!!pq rs"], size: 5000)
        #expect(tokenizer.vocabularySize == 256 + found.count + 1)
        #expect(found.count < 20)
        #expect(found.first == "! !")
    }

    @Test("sizes and threads out of range are refused")
    func badSizesAreRefused() throws {
        for size in [0, 257, 2_000_000] {
            expectFailure(.usage, "--train-bpe \(size): must be from 258 to") {
                _ = try merges(["some text"], size: size)
            }
        }
        expectFailure(.usage, "--threads 0") { _ = try merges(["text"], size: 300, threads: 0) }
    }

    @Test("a word that is too long to be counted is refused")
    func tooLongWordIsRefused() throws {
        // A counter of one thread counts when 2 MiB wait.
        let others = Array(String(repeating: " b", count: 1 << 20).utf8)
        for (longest, isRefused) in [(99, true), (100, false)] {
            let counter = WordCounter(pattern: .gpt2, threads: 1, longestWord: longest)
            var ids: [UInt32] = []
            try [UInt8](repeating: 0x61, count: 100).withUnsafeBytes {
                try counter.encode($0, into: &ids)
            }
            try counter.finish(into: &ids)
            let failure = others.withUnsafeBytes { others in
                caughtFailure { () throws(Failure) in try counter.encode(others, into: &ids) }
            }
            #expect((failure?.code == .badData) == isRefused)
            #expect(
                (failure?.sentence.contains("the text: has a word of more than") == true)
                    == isRefused)
        }
    }
}
