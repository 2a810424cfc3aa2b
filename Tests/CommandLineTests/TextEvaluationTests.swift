import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `evaluate --text` on runs and on folders of Transformers. The context is 8 characters.
    @Suite(.serialized) struct TextEvaluationTests {
        private static let text = "the rank and the lane make a tree, and a sum makes noise."

        /// Returns a bench with a run and a text.
        private func bench() throws -> Workbench {
            let bench = try Workbench()
            try bench.train()
            try bench.write(Self.text, to: "other.txt")
            return bench
        }

        /// Returns the numbers of an evaluation on a text.
        private func evaluate(
            _ bench: Workbench, text: String, _ options: String..., model: String = "run"
        ) throws -> [String: Double] {
            try bench.write(text, to: "part.txt")
            let outcome = try bench.lockstep(
                ["evaluate", bench.path(model), "--json", "--text", bench.path("part.txt")]
                    + options)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Double])
        }

        /// Returns the summed loss of all characters of a text after the first.
        private func total(
            _ bench: Workbench, _ text: some StringProtocol, _ options: String...
        ) throws -> Double {
            try bench.write(String(text), to: "part.txt")
            let outcome = try bench.lockstep(
                ["evaluate", bench.path("run"), "--json", "--text", bench.path("part.txt")]
                    + options)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let loss = try #require(outcome.output.firstMatch(of: /"loss":([-.0-9e]+)/)).1
            return try #require(Double(loss)) * Double(text.count - 1)
        }

        @Test("adjacent windows over the validation text give the validation loss")
        func validationText() throws {
            let bench = try bench()
            let start = Int(Double(Workbench.text.count) * 0.9)
            let numbers = try evaluate(bench, text: String(Workbench.text.dropFirst(start)))
            let expected = try bench.lastValidationLoss()
            let loss = try #require(numbers["loss"])
            #expect(abs(loss - expected) < 1e-12)
            #expect(numbers["stride"] == 8 && numbers["window"] == 8 && numbers["step"] == 6)
            // Every token is one byte.
            #expect(numbers["bits_per_byte"] == numbers["bits_per_character"])
            #expect(abs(try #require(numbers["bits_per_byte"]) - loss / log(2)) < 1e-12)
            #expect(abs(try #require(numbers["perplexity"]) - exp(loss)) < 1e-12)
        }

        @Test("the layout and the source of the text do not change a bit", arguments: [1, 5, 8])
        func layouts(stride: Int) throws {
            let bench = try bench()
            let text = bench.path("other.txt")
            let arguments = ["evaluate", bench.path("run"), "--json", "--stride", "\(stride)"]
            let expected = try bench.lockstep(arguments + ["--text", text])
            try #require(expected.status == 0, "\(expected.errors)")
            for (ranks, threads) in [(1, 1), (2, 1), (3, 1), (2, 2)] {
                let outcome = try bench.lockstep(
                    arguments + ["--text", text, "--threads-per-rank", "\(threads)"], ranks: ranks)
                #expect(outcome.output == expected.output, "\(ranks) ranks: \(outcome.errors)")
            }
            for launcher in ["", "\(Launch.root)/launch/mpirun --ranks 2 --oversubscribe -- "] {
                let piped = try Launch.run(
                    "bash",
                    ["-c", "cat \"$0\" | \(launcher)\"$@\"", text, Workbench.lockstep] + arguments
                        + ["--text", "-"])
                #expect(piped.output == expected.output, "\(piped.errors)")
            }
        }

        /// The loss of a character is the difference of the totals of texts with and without it.
        @Test("a stride of 1 predicts each token from the whole context before it")
        func strideOfOne() throws {
            let bench = try bench()
            let context = 8
            let text = Self.text.prefix(14)
            var expected = try total(bench, text.prefix(context + 1))
            for end in context + 2...14 {
                let window = text.prefix(end).suffix(context + 1)
                expected += try total(bench, window) - total(bench, window.dropLast())
            }
            #expect(abs(try total(bench, text, "--stride", "1") - expected) < 1e-5)
            // A shorter window sees less, and gives another loss.
            let shorter = try total(bench, text, "--stride", "1", "--window", "2")
            #expect(abs(shorter - expected) > 1e-3)
        }

        @Test("a run, its export and its checkpoint have the same loss")
        func models() throws {
            let bench = try bench()
            let exported = try bench.lockstep(
                "export", bench.path("run"), "--to", bench.path("model"))
            try #require(exported.status == 0, "\(exported.errors)")
            let own = try evaluate(bench, text: Self.text)
            var other = try evaluate(bench, text: Self.text, model: "model")
            #expect(other["step"] == nil)
            other["step"] = 6
            #expect(other == own)
            let earlier = try evaluate(bench, text: Self.text, "--checkpoint", "4")
            #expect(earlier["step"] == 4 && earlier["loss"] != own["loss"])
            let averaging = try bench.lockstep(
                bench.training(into: "averaged", set: "training.averaging_power=2"))
            try #require(averaging.status == 0, "\(averaging.errors)")
            let start = Int(Double(Workbench.text.count) * 0.9)
            let average = try evaluate(
                bench, text: String(Workbench.text.dropFirst(start)), model: "averaged")
            let expected = try bench.lastValidationLoss(of: "averaged")
            #expect(abs(try #require(average["loss"]) - expected) < 1e-12)
        }

        @Test("the report says what was measured")
        func report() throws {
            let bench = try bench()
            let outcome = try bench.lockstep(
                "evaluate", bench.path("run"), "--text", bench.path("other.txt"))
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(
                outcome.output.contains(
                    #/^loss \d\.\d{4} nats per token \(perplexity \d+\.\d\d\), \d\.\d{4} bits/#),
                "\(outcome.output)")
            #expect(
                outcome.output.hasSuffix(
                    " per character over \(Self.text.count - 1) targets at step 6\n"))
        }

        @Test("texts and windows that are impossible are refused", arguments: [0, 2])
        func refusals(ranks: Int) throws {
            let bench = try bench()
            let run = bench.path("run")
            func refuse(
                _ code: Int32, _ words: String, text: String = "other.txt", _ options: String...
            ) throws {
                let outcome = try bench.lockstep(
                    ["evaluate", run, "--text", bench.path(text)] + options, ranks: ranks)
                expectRefusal(outcome, code, [words])
            }
            try bench.write("", to: "empty.txt")
            try bench.write("a", to: "short.txt")
            try bench.write("a lane\u{E9}", to: "foreign.txt")
            try refuse(65, "empty.txt: is empty; give a text of at least", text: "empty.txt")
            try refuse(65, "short.txt: has only one token", text: "short.txt")
            try refuse(65, "has the character \"é\" (U+00E9)", text: "foreign.txt")
            try refuse(66, "none.txt: cannot be opened", text: "none.txt")
            try refuse(64, "--stride 9: must be from 1 to the window of 8", "--stride", "9")
            try refuse(64, "--stride 0: must be from 1", "--stride", "0")
            try refuse(64, "to the window of 4", "--window", "4", "--stride", "5")
            try refuse(64, "--window 9: must be from 1 to the model's", "--window", "9")
            try refuse(64, "--text: does not go with --data", "--data", bench.data)
            try refuse(66, "has no checkpoint of step 5", "--checkpoint", "5")
            try FileManager.default.removeItem(atPath: bench.path("run/tokenizer.json"))
            try refuse(66, "because the model's folder has no tokenizer.json; copy it there")
            let stride = try bench.lockstep(["evaluate", run, "--stride", "4"], ranks: ranks)
            expectRefusal(stride, 64, ["--stride: does nothing without --text"])
        }

        @Test("folders without a model, and vocabularies that do not fit, are refused")
        func otherFolders() throws {
            let bench = try bench()
            let text = ["--text", bench.path("other.txt")]
            expectRefusal(
                try bench.lockstep(["evaluate", bench.path("data")] + text), 66,
                ["holds neither a run nor a model with config.json; give the folder"])
            expectRefusal(
                try bench.lockstep(["evaluate", bench.path("none")] + text, ranks: 2), 66,
                ["none: does not exist"])
            _ = try bench.lockstep("export", bench.path("run"), "--to", bench.path("model"))
            expectRefusal(
                try bench.lockstep(
                    ["evaluate", bench.path("model"), "--checkpoint", "6"] + text, ranks: 2), 64,
                ["--checkpoint: chooses a checkpoint of a run"])
            // The bytes of the text are not ids of this model.
            try bench.write("{\"type\": \"bytes\", \"version\": 1}", to: "model/tokenizer.json")
            expectRefusal(
                try bench.lockstep(["evaluate", bench.path("model")] + text, ranks: 2), 65,
                ["has the token 116 at position 0, outside the model's vocabulary of 25"])
        }
    }
}
