import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of runs, range tests and sweeps that start from a trained model.
    @Suite(.serialized) struct InitialModelTests {
        /// A recipe that takes the model's shape.
        private static let tune = """
            [training]
            steps = 6
            global_batch = 4
            [optimizer]
            learning_rate = 1e-2
            [reduction]
            lanes = 4
            [evaluation]
            every = 3
            at = [0]
            [checkpoint]
            every = 2
            keep = 0
            """

        /// Returns a bench with the run "run" and the recipe "tune.toml".
        private func bench() throws -> Workbench {
            let bench = try Workbench()
            try bench.train()
            try bench.write(Self.tune, to: "tune.toml")
            return bench
        }

        private func tuning(
            _ bench: Workbench, from source: String, into out: String, _ more: String...
        ) -> [String] {
            ["train", bench.path("tune.toml"), "--data", bench.data, "--out", bench.path(out)]
                + ["--init-from", bench.path(source)] + more
        }

        private func succeed(
            _ bench: Workbench, _ arguments: [String], ranks: Int = 0
        ) throws -> Outcome {
            let outcome = try bench.lockstep(arguments, ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome
        }

        private func export(_ bench: Workbench, _ run: String, to folder: String) throws {
            _ = try succeed(bench, ["export", bench.path(run), "--to", bench.path(folder)])
        }

        private func validationLosses(_ bench: Workbench, of run: String) throws -> [Double] {
            Workbench.validationLosses(
                in: String(decoding: try bench.bytes(of: "\(run)/metrics.jsonl"), as: UTF8.self))
        }

        @Test("a run starts from a run, its export and its checkpoint's folder with the same bits")
        func sources() throws {
            let bench = try bench()
            try export(bench, "run", to: "model")
            let checkpoint = Workbench.checkpoint(6)
            for (source, out) in [("run", "a"), ("model", "b"), (checkpoint, "c")] {
                let outcome = try succeed(bench, tuning(bench, from: source, into: out))
                #expect(outcome.errors.contains("  start "))
                #expect(
                    try bench.bytes(of: "\(Workbench.checkpoint(0, of: out))/model.safetensors")
                        == bench.bytes(of: "\(checkpoint)/model.safetensors"))
                #expect(try bench.state(6, of: out) == bench.state(6, of: "a"))
                // The first evaluation is that of the model.
                #expect(
                    try validationLosses(bench, of: out).first == bench.lastValidationLoss())
            }
            let record = String(
                decoding: try bench.bytes(of: "a/initial-model.json"), as: UTF8.self)
            #expect(record.contains("\"step\":6,"))
            let manifest = "\(Workbench.checkpoint(6, of: "a"))/manifest.json"
            #expect(
                String(decoding: try bench.bytes(of: manifest), as: UTF8.self)
                    .contains("\"initial_model\""))
            // A run from new parameters has neither.
            #expect(!bench.exists("run/initial-model.json"))
            #expect(!bench.exists(Workbench.checkpoint(0)))
        }

        @Test("--init-checkpoint chooses the checkpoint")
        func checkpoints() throws {
            let bench = try bench()
            _ = try succeed(
                bench, tuning(bench, from: "run", into: "a", "--init-checkpoint", "4"))
            #expect(
                try bench.bytes(of: "\(Workbench.checkpoint(0, of: "a"))/model.safetensors")
                    == bench.bytes(of: "\(Workbench.checkpoint(4))/model.safetensors"))
            _ = try succeed(
                bench, tuning(bench, from: "run", into: "b", "--init-checkpoint", "best"))
            expectRefusal(
                try bench.lockstep(
                    tuning(bench, from: "run", into: "c", "--init-checkpoint", "5")), 66,
                ["has no checkpoint of step 5"])
        }

        @Test(
            "the layout does not change the bits",
            arguments: [[], ["--set", "optimizer.sharded=true"], ["--set", "model.bias=true"]])
        func layouts(options: [String]) throws {
            let bench = try bench()
            _ = try succeed(bench, tuning(bench, from: "run", into: "one") + options)
            _ = try succeed(bench, tuning(bench, from: "run", into: "two") + options, ranks: 2)
            for step in [0, 6] {
                #expect(try bench.state(step, of: "one") == bench.state(step, of: "two"))
            }
            #expect(
                try validationLosses(bench, of: "one") == validationLosses(bench, of: "two"))
        }

        @Test("a run resumes from the checkpoint before its first step without the source")
        func resumeWithoutTheSource() throws {
            let bench = try bench()
            try export(bench, "run", to: "model")
            _ = try succeed(bench, tuning(bench, from: "model", into: "whole"))
            _ = try succeed(bench, tuning(bench, from: "model", into: "killed"))
            try FileManager.default.removeItem(atPath: bench.path("model"))
            // A kill in the first steps leaves metrics of steps that no checkpoint has.
            for name in try bench.names(in: "killed/checkpoints").dropFirst() {
                try FileManager.default.removeItem(
                    atPath: bench.path("killed/checkpoints/\(name)"))
            }
            #expect(try bench.names(in: "killed/checkpoints") == ["step-00000000"])
            let outcome = try succeed(
                bench, ["train", "--resume", "--out", bench.path("killed")], ranks: 2)
            #expect(outcome.errors.contains("resumed from the checkpoint of step 0"))
            #expect(try bench.state(6, of: "killed") == bench.state(6, of: "whole"))
            #expect(
                try validationLosses(bench, of: "killed") == validationLosses(bench, of: "whole"))
        }

        @Test("a run without a checkpoint reads the source again, if it is unchanged")
        func resumeFromTheSource() throws {
            let bench = try bench()
            try export(bench, "run", to: "model")
            _ = try succeed(bench, tuning(bench, from: "model", into: "whole"))
            _ = try succeed(bench, tuning(bench, from: "model", into: "killed"))
            let resume = ["train", "--resume", "--out", bench.path("killed")]
            let checkpoints = bench.path("killed/checkpoints")
            try FileManager.default.removeItem(atPath: checkpoints)
            try FileManager.default.moveItem(
                atPath: bench.path("model"), toPath: bench.path("moved"))
            expectRefusal(try bench.lockstep(resume), 66, [bench.path("model"), "does not exist"])
            _ = try succeed(
                bench,
                ["export", bench.path("run"), "--to", bench.path("model"), "--checkpoint", "4"])
            expectRefusal(
                try bench.lockstep(resume), 65,
                [bench.path("model"), "has changed since the training started from it"])
            try FileManager.default.removeItem(atPath: bench.path("model"))
            try FileManager.default.moveItem(
                atPath: bench.path("moved"), toPath: bench.path("model"))
            let outcome = try succeed(bench, resume, ranks: 2)
            #expect(outcome.errors.contains("no checkpoint was written yet"))
            #expect(try bench.state(6, of: "killed") == bench.state(6, of: "whole"))
            #expect(bench.exists(Workbench.checkpoint(0, of: "killed")))
            #expect(
                try validationLosses(bench, of: "killed") == validationLosses(bench, of: "whole"))
        }

        @Test("a resume may name the same model, but no other")
        func resumeNamesTheModel() throws {
            let bench = try bench()
            _ = try succeed(bench, tuning(bench, from: "run", into: "a"))
            let more = ["--resume", "--set", "training.steps=8"]
            _ = try succeed(bench, tuning(bench, from: "run", into: "a") + more)
            for arguments in [
                tuning(bench, from: "data", into: "a"),
                tuning(bench, from: "run", into: "a", "--init-checkpoint", "4"),
            ] {
                expectRefusal(
                    try bench.lockstep(arguments + ["--resume"]), 64,
                    ["cannot change midway", "started from the checkpoint of step 6 in"])
            }
            expectRefusal(
                try bench.lockstep(tuning(bench, from: "a", into: "run") + ["--resume"]), 64,
                ["cannot change midway", "started from new parameters"])
            // The best checkpoint is that of step 6.
            let best = ["--init-checkpoint", "best", "--resume", "--set", "training.steps=10"]
            _ = try succeed(bench, tuning(bench, from: "run", into: "a") + best)
            _ = try succeed(
                bench, tuning(bench, from: "run", into: "b", "--init-checkpoint", "4"))
            expectRefusal(
                try bench.lockstep(tuning(bench, from: "run", into: "b") + best), 64,
                [
                    "--init-from \(bench.path("run")) --init-checkpoint best: cannot change midway",
                    "started from the checkpoint of step 4 in",
                ])
        }

        @Test("data without a tokenizer take the model's vocabulary in every command")
        func dataWithoutTokenizer() throws {
            let bench = try bench()
            let data = try bench.copyData(to: "bare")
            // Only token files, as other tools write them, are left.
            for name in ["tokenizer.json", "dataset.json"] {
                try FileManager.default.removeItem(atPath: "\(data)/\(name)")
            }
            try bench.write(
                """
                recipe = "tune.toml"
                batches = [4]
                learning_rates = [1e-3, 4e-3, 1.6e-2]
                seeds = [1]
                steps = [3]
                evaluations = 1
                extend = 0
                [set]
                schedule.name = "constant"
                """, to: "sweep.toml")
            let model = ["--data", data, "--init-from", bench.path("run")]
            for command in [
                ["train", bench.path("tune.toml"), "--out", bench.path("new")],
                ["find-lr", bench.path("tune.toml"), "--steps", "20", "--probe-steps", "20"],
                ["sweep", bench.path("sweep.toml"), "--out", bench.path("sweep")],
                ["sweep", "--resume", "--out", bench.path("sweep")],
            ] {
                _ = try succeed(bench, command + model)
            }
            for point in try bench.names(in: "sweep/points") {
                let recipe = try bench.bytes(of: "sweep/points/\(point)/recipe.toml")
                #expect(String(decoding: recipe, as: UTF8.self).contains("vocabulary_size = 25\n"))
            }
        }

        @Test("data from another tokenizer are refused")
        func otherTokenizer() throws {
            let bench = try bench()
            try export(bench, "run", to: "model")
            _ = try succeed(
                bench,
                ["tokenize", bench.path("text.txt"), "--tokenizer", "bytes", "--out"]
                    + [bench.path("bytes")])
            for source in ["run", "model"] {
                let outcome = try bench.lockstep(
                    ["train", bench.path("tune.toml"), "--data", bench.path("bytes")]
                        + ["--out", bench.path("new"), "--init-from", bench.path(source)])
                expectRefusal(
                    outcome, 65, ["was made with another tokenizer than", "--like"])
            }
            #expect(!bench.exists("new"))
            // The remedy makes data with the model's ids.
            _ = try succeed(
                bench,
                ["tokenize", bench.path("text.txt"), "--like", bench.path("model"), "--out"]
                    + [bench.path("like")])
            #expect(try bench.bytes(of: "like/train.bin") == bench.bytes(of: "data/train.bin"))
        }

        @Test("a vocabulary can be padded, and its padding dropped")
        func padding() throws {
            let bench = try bench()
            let wide = try succeed(
                bench,
                tuning(bench, from: "run", into: "wide", "--set", "model.vocabulary_size=40"))
            #expect(wide.errors.contains("of new token embeddings to the model's 25"))
            try export(bench, "wide", to: "padded")
            let narrow = try succeed(bench, tuning(bench, from: "padded", into: "narrow"))
            #expect(
                narrow.errors.contains("drops the last 15 rows of the model's 40 token embeddings"))
            // The rows that are kept have the same bits.
            let outcome = try succeed(
                bench,
                ["export", bench.path("wide"), "--to", bench.path("dropped"), "--drop-padding"])
            #expect(outcome.output.contains("the 15 rows of the token embedding after the"))
            _ = try succeed(bench, tuning(bench, from: "dropped", into: "again"))
            #expect(try bench.state(6, of: "narrow") == bench.state(6, of: "again"))
        }

        @Test("find-lr starts from a model and records it")
        func findLR() throws {
            let bench = try bench()
            let outcome = try succeed(
                bench,
                ["find-lr", bench.path("tune.toml"), "--data", bench.data, "--steps", "20"]
                    + ["--probe-steps", "20", "--init-from", bench.path("run")]
                    + ["--out", bench.path("rates"), "--write", bench.path("found.toml")], ranks: 2)
            #expect(outcome.errors.contains("from the checkpoint of step 6 in"))
            let json = try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: "rates/find-lr.json"))
                    as? [String: Any])
            let model = try #require(json["initial_model"] as? [String: Any])
            #expect(model["step"] as? Int == 6)
            #expect((model["sha256"] as? String)?.count == 64)
            let curve = String(decoding: try bench.bytes(of: "rates/curve.csv"), as: UTF8.self)
            let row = curve.split(separator: "\n")[1].split(separator: ",")
            let first = try #require(Double(row[2]))
            // The loss of the trained model, not that of a new one.
            let last = try bench.lastValidationLoss()
            #expect(abs(first - last) < 0.3 && first < 2.95, "\(first) and \(last)")
            #expect(bench.exists("found.toml"))
        }

        @Test("a sweep starts every run from a model, and resumes only with it")
        func sweep() throws {
            let bench = try bench()
            try export(bench, "run", to: "model")
            try bench.write(
                """
                recipe = "tune.toml"
                batches = [2, 4]
                learning_rates = [1e-3, 4e-3, 1.6e-2]
                seeds = [1]
                steps = [3]
                evaluations = 1
                extend = 0
                [set]
                schedule.name = "constant"
                reduction.lanes = 2
                """, to: "sweep.toml")
            func sweep(_ more: String...) throws -> Outcome {
                try bench.lockstep(
                    ["sweep", bench.path("sweep.toml"), "--out", bench.path("sweep")] + more,
                    ranks: 2)
            }
            let data = ["--data", bench.data]
            let model = ["--init-from", bench.path("model")]
            let outcome = try sweep(data[0], data[1], model[0], model[1])
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains("every run starts from the model in"))
            let ledger = String(decoding: try bench.bytes(of: "sweep/ledger.jsonl"), as: UTF8.self)
            let lines = ledger.split(separator: "\n")
            #expect(lines.count == 6)
            let loss = try bench.lastValidationLoss()
            #expect(
                lines.allSatisfy {
                    $0.contains("\"curve\":[[0,0,\(loss)]") && $0.contains("\"initial_model\":\"")
                })
            for name in try bench.names(in: "sweep/points") {
                #expect(bench.exists("sweep/points/\(name)/initial-model.json"))
            }
            // The analysis needs no model.
            try FileManager.default.moveItem(
                atPath: bench.path("model"), toPath: bench.path("moved"))
            #expect(try bench.lockstep("analyze", bench.path("sweep")).status == 0)
            #expect(try sweep("--resume").status == 66)
            #expect(try sweep("--resume", "--init-from", bench.path("moved")).status == 0)
            let other = try sweep("--resume", "--init-from", bench.path("run"))
            #expect(other.status == 0, "it holds the same parameters: \(other.errors)")
            let earlier = try sweep(
                "--resume", "--init-from", bench.path("run"), "--init-checkpoint", "4")
            #expect(earlier.status == 64)
            #expect(earlier.errors.contains("cannot change midway, because the sweep in"))
        }

        @Test("a sweep over sizes cannot start from one model")
        func sizes() throws {
            let bench = try bench()
            try bench.write(
                """
                recipe = "tune.toml"
                batches = [4]
                learning_rates = [1e-3, 4e-3, 1.6e-2]
                seeds = [1]
                steps = [4]
                widths = [16, 32]
                [set]
                schedule.name = "constant"
                """, to: "sizes.toml")
            let outcome = try bench.lockstep(
                ["sweep", bench.path("sizes.toml"), "--data", bench.data, "--out"]
                    + [bench.path("sizes"), "--init-from", bench.path("run")])
            expectRefusal(outcome, 64, ["--init-from", "remove widths and layers"])
        }
    }
}
