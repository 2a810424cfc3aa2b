import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of texts with separators between documents and with the line endings of other systems.
    @Suite(.serialized) struct SeparatedTextTests {
        /// The vocabulary after GPT-2's first thousand merges.
        private static let vocabulary = "\(Launch.root)/Tests/DataTests/Golden/small"

        private func tokenize(
            _ bench: Workbench, _ text: String, into name: String, _ more: [String]
        ) throws -> Outcome {
            try bench.write(text, to: "\(name).txt")
            return try bench.lockstep(
                ["tokenize", bench.path("\(name).txt"), "--out", bench.path(name)] + more)
        }

        /// Returns the warnings of an outcome.
        private func warnings(_ outcome: Outcome) -> [String] {
            outcome.sentences.filter { $0.hasPrefix("lockstep: warning: ") }
        }

        @Test("a model trained on separated documents ends its samples")
        func modelOfSeparatedDocumentsEndsItsSamples() throws {
            let bench = try Workbench()
            let gpt2 = ["--tokenizer", "gpt2", "--vocabulary", Self.vocabulary]
            let text = String(repeating: "up and down<|endoftext|>", count: 60)
            let plain = try tokenize(bench, text, into: "plain", gpt2)
            #expect(plain.status == 0, "\(plain.errors)")
            #expect(warnings(plain).count == 1, "\(plain.errors)")
            #expect(warnings(plain).first?.contains("contains <|endoftext|> 60 times") == true)
            #expect(warnings(plain).first?.contains("add --separator '<|endoftext|>'") == true)

            let separated = try tokenize(
                bench, text, into: "separated", gpt2 + ["--separator", "<|endoftext|>"])
            #expect(separated.status == 0 && warnings(separated).isEmpty, "\(separated.errors)")
            // The name of an option can be a separator too.
            let dashed = try tokenize(
                bench, text.replacing("<|endoftext|>", with: "--out"), into: "dashed",
                gpt2 + ["--separator", "--out"])
            #expect(dashed.status == 0 && warnings(dashed).isEmpty, "\(dashed.errors)")
            #expect(
                try bench.bytes(of: "dashed/train.bin").prefix(1200)
                    == bench.bytes(of: "separated/train.bin").prefix(1200))

            for (data, ends) in [("separated", true), ("plain", false)] {
                let trained = try bench.lockstep(
                    bench.training(
                        into: "run-\(data)", data: bench.path(data), set: "training.steps=200",
                        "evaluation.every=0", "checkpoint.every=0"))
                try #require(trained.status == 0, "\(trained.errors)")
                let sampled = try bench.lockstep(
                    "sample", bench.path("run-\(data)"), "--prompt", "<|endoftext|>up and",
                    "--temperature", "0", "--tokens", "30")
                #expect(sampled.status == 0, "\(sampled.errors)")
                #expect(
                    (sampled.output == "<|endoftext|>up and down\n") == ends, "\(sampled.output)")
            }
        }

        @Test("tokenizers without the end-of-text token are refused")
        func tokenizersWithoutTheTokenAreRefused() throws {
            let bench = try Workbench()
            for tokenizer in [[], ["--tokenizer", "bytes"], ["--like", bench.path("data")]] {
                expectRefusal(
                    try tokenize(
                        bench, Workbench.text, into: "new", tokenizer + ["--separator", "sum"]), 64,
                    ["has no end-of-text token; "])
            }
            expectRefusal(
                try tokenize(bench, Workbench.text, into: "new", ["--separator", ""]), 64,
                ["--separator \"\": is empty"])
            let missing = try tokenize(
                bench, Workbench.text, into: "missing",
                ["--tokenizer", "gpt2", "--vocabulary", Self.vocabulary, "--separator", "###"])
            #expect(missing.status == 0)
            #expect(warnings(missing).count == 1)
            #expect(warnings(missing).first?.contains("not contain the separator '###'") == true)
            #expect(!bench.exists("new"))
        }

        @Test(
            "line endings of another system are kept and reported",
            arguments: [
                ("\r\n", "21 CR LF line endings"), ("\r", "21 CR line endings,"),
            ])
        func otherLineEndingsAreKeptAndReported(end: String, words: String) throws {
            let bench = try Workbench()
            let text = String(repeating: "one line" + end, count: 21)
            for (name, tokenizer, isTold) in [
                ("characters", [], true),
                ("gpt2", ["--tokenizer", "gpt2", "--vocabulary", Self.vocabulary], true),
                ("bytes", ["--tokenizer", "bytes"], false),
            ] {
                let outcome = try tokenize(bench, text, into: name, tokenizer)
                #expect(outcome.status == 0, "\(outcome.errors)")
                #expect(warnings(outcome).count == (isTold ? 1 : 0), "\(outcome.errors)")
                guard isTold else { continue }
                #expect(warnings(outcome).first?.contains(words) == true, "\(outcome.errors)")
                #expect(warnings(outcome).first?.contains("add --universal-newlines") == true)
            }
            // The remedy gives the text that nanoGPT reads.
            let unix = text.replacing(end, with: "\n")
            _ = try tokenize(bench, unix, into: "unix", [])
            let read = try tokenize(bench, text, into: "read", ["--universal-newlines"])
            #expect(read.status == 0 && warnings(read).isEmpty, "\(read.errors)")
            #expect(try bench.bytes(of: "read/train.bin") == bench.bytes(of: "unix/train.bin"))
        }

        @Test("tokenizers with other ids are refused")
        func tokenizersWithOtherIdsAreRefused() throws {
            let bench = try Workbench()
            let file = try String(
                contentsOfFile: "\(Launch.root)/Tests/DataTests/Golden/tokenizer.json",
                encoding: .utf8)
            try FileManager.default.createDirectory(
                atPath: bench.path("other"), withIntermediateDirectories: false)
            for (key, value) in [
                ("continuing_subword_prefix", "\"##\""), ("end_of_word_suffix", "\"</w>\""),
                ("dropout", "0.1"),
            ] {
                let changed = file.replacing(
                    try Regex("\"\(key)\":[^,]*,"), with: "\"\(key)\":\(value),")
                try #require(changed != file)
                try bench.write(changed, to: "other/tokenizer.json")
                expectRefusal(
                    try tokenize(
                        bench, Workbench.text, into: "new",
                        ["--tokenizer", "gpt2", "--vocabulary", bench.path("other")]), 65,
                    [bench.path("other/tokenizer.json"), "\(key) = ", "pattern of GPT-2"])
            }
            #expect(!bench.exists("new"))
        }
    }
}
