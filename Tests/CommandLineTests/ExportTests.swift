import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep export`. `Tests/Peers/hugging-face` loads exports with Transformers.
    @Suite(.serialized) struct ExportTests {
        private func export(
            _ bench: Workbench, _ run: String = "run", to folder: String, _ more: String...
        ) throws -> Outcome {
            try bench.lockstep(
                ["export", bench.path(run), "--to", bench.path(folder)] + more)
        }

        private func object(_ bench: Workbench, _ name: String) throws -> [String: Any] {
            try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: name)) as? [String: Any])
        }

        /// Returns the names in the header of a safetensors file, and the data after it.
        private func tensors(
            _ bench: Workbench, _ name: String
        ) throws -> (names: Set<String>, data: Data) {
            let bytes = try bench.bytes(of: name)
            let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            let header = try #require(
                try JSONSerialization.jsonObject(with: bytes[8..<8 + length]) as? [String: Any])
            return (Set(header.keys).subtracting(["__metadata__"]), bytes[(8 + length)...])
        }

        @Test("an export has the checkpoint's bytes under the names of a model with a head")
        func bytes() throws {
            let bench = try Workbench()
            try bench.train()
            let outcome = try export(bench, to: "deep/er/model/")
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.hasPrefix("the model of step 6 with "))
            #expect(
                try bench.names(in: "deep/er/model")
                    == [
                        "config.json", "generation_config.json", "model.safetensors",
                        "tokenizer.json", "tokenizer_config.json",
                    ])
            let own = try tensors(bench, "\(Workbench.checkpoint(6))/model.safetensors")
            let written = try tensors(bench, "deep/er/model/model.safetensors")
            #expect(written.names == Set(own.names.map { "transformer.\($0)" }))
            #expect(written.data == own.data)
            let configuration = try object(bench, "deep/er/model/config.json")
            #expect(configuration["vocab_size"] as? Int == 25)
            #expect(configuration["n_positions"] as? Int == 8)
            let again = try export(bench, to: "deep/er/model")
            expectRefusal(again, 64, ["already exists; give --to a new folder"])
        }

        @Test("--checkpoint chooses a step or the best")
        func checkpoint() throws {
            let bench = try Workbench()
            try bench.train()
            #expect(try export(bench, to: "four", "--checkpoint", "4").status == 0)
            #expect(
                try tensors(bench, "four/model.safetensors").data
                    == tensors(bench, "\(Workbench.checkpoint(4))/model.safetensors").data)
            #expect(
                try export(bench, to: "best", "--checkpoint", "best").output
                    .contains("the model of step 6"))
            expectRefusal(
                try export(bench, to: "none", "--checkpoint", "5"), 66,
                ["has no checkpoint of step 5"])
            expectRefusal(try export(bench, "data", to: "none"), 66, ["holds no run"])
            #expect(!bench.exists("none"))
        }

        @Test("an export reports what differs from the run")
        func notes() throws {
            let bench = try Workbench()
            let training = bench.training(
                set: "model.bias=false", "model.dropout=0.1", "training.averaging_power=3",
                "model.vocabulary_size=32")
            try #require(try bench.lockstep(training).status == 0)
            let outcome = try export(bench, to: "model")
            for words in [
                "its parameters are the run's average", "so 7 biases of zeros were added",
                "config.json has the dropout 0.1",
                "the token embedding has 7 rows more than the tokenizer has tokens",
            ] { #expect(outcome.output.contains(words), "\(outcome.output)") }
            let names = try tensors(bench, "model/model.safetensors").names
            #expect(names.contains("transformer.h.0.attn.c_attn.bias"))
            let configuration = try object(bench, "model/config.json")
            #expect(configuration["vocab_size"] as? Int == 32)
            #expect(configuration["attn_pdrop"] as? Double == 0.1)
            #expect(try export(bench, to: "narrow", "--drop-padding").status == 0)
            #expect(try object(bench, "narrow/config.json")["vocab_size"] as? Int == 25)
        }

        /// Transformers has no prefix before the head's name.
        @Test("a head with a weight of its own keeps its name")
        func untiedHead() throws {
            let bench = try Workbench()
            let training = bench.training(set: "model.tied_head=false")
            try #require(try bench.lockstep(training).status == 0)
            #expect(try export(bench, to: "model").status == 0)
            let names = try tensors(bench, "model/model.safetensors").names
            #expect(names.contains("lm_head.weight"))
            #expect(!names.contains("transformer.lm_head.weight"))
            let configuration = try object(bench, "model/config.json")
            #expect(configuration["tie_word_embeddings"] as? Bool == false)
        }

        @Test("a run without a tokenizer is exported without one")
        func withoutTokenizer() throws {
            let bench = try Workbench()
            try bench.train()
            try FileManager.default.removeItem(atPath: bench.path("run/tokenizer.json"))
            let outcome = try export(bench, to: "model")
            #expect(
                outcome.output.contains("has no tokenizer.json, so the folder has no tokenizer"))
            #expect(
                try bench.names(in: "model")
                    == ["config.json", "generation_config.json", "model.safetensors"])
            expectRefusal(
                try export(bench, to: "other", "--drop-padding"), 64, ["--drop-padding: needs"])
        }
    }
}
