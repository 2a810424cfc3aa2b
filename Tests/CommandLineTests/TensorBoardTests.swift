import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the event files for TensorBoard and of the schema of the metrics, on real runs.
    @Suite(.serialized) struct TensorBoardTests {
        private static let settings = [
            "telemetry.tensorboard=true", "telemetry.histogram_every=2", "telemetry.sample_every=3",
        ]

        private func train(
            _ bench: Workbench, into run: String, _ settings: [String], ranks: Int = 0,
            environment: [String: String] = [:]
        ) throws -> Outcome {
            let outcome = try bench.lockstep(
                bench.training(into: run) + settings.flatMap { ["--set", $0] }, ranks: ranks,
                environment: environment)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome
        }

        /// Returns the events of all files of a run, in the order in which TensorBoard reads them.
        private func events(_ bench: Workbench, _ run: String) throws -> [ReadEvent] {
            try bench.names(in: "\(run)/tensorboard").flatMap { name in
                try EventReader.events(Array(try bench.bytes(of: "\(run)/tensorboard/\(name)")))
            }
        }

        /// Returns the values of a tag by step after the purges that TensorBoard makes.
        private func scalars(_ events: [ReadEvent], _ tag: String) -> [Int: Float] {
            var values: [Int: Float] = [:]
            for event in events {
                if event.isStart { values = values.filter { $0.key < event.step } }
                values[event.step] = event.scalars[tag] ?? values[event.step]
            }
            return values
        }

        /// Returns the numbers of a field of metrics.jsonl by step.
        private func numbers(_ bench: Workbench, _ run: String, _ field: String) throws
            -> [Int: Float]
        {
            var numbers: [Int: Float] = [:]
            for line in try bench.metrics(of: run) {
                guard let step = line["step"] as? Int, let value = line[field] as? Double else {
                    continue
                }
                numbers[step] = Float(value)
            }
            return numbers
        }

        private static let tags = [
            "train/loss": "loss", "train/learning_rate": "learning_rate",
            "train/gradient_norm": "gradient_norm", "validation/loss": "validation_loss",
            "speed/tokens_per_second": "tokens_per_second", "noise/scale": "noise_scale",
        ]

        private func expectScalars(_ bench: Workbench, _ run: String) throws {
            let events = try events(bench, run)
            for (tag, field) in Self.tags {
                #expect(
                    try scalars(events, tag) == numbers(bench, run, field), "\(tag) of \(run)")
            }
            #expect(scalars(events, "train/loss").count >= 6)
        }

        @Test("event files have the metrics, and change no bit of the run")
        func scalarsAreTheMetrics() throws {
            let bench = try Workbench()
            try bench.train(into: "plain")
            #expect(!bench.exists("plain/tensorboard"))
            _ = try train(bench, into: "run", Self.settings)
            #expect(try bench.state(6, of: "run") == bench.state(6, of: "plain"))
            #expect(try bench.names(in: "run/tensorboard").count == 1)
            try expectScalars(bench, "run")
            // The key does not change what a resume may do.
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set", "training.steps=8",
                "--set", "telemetry.tensorboard=false", "--set", "telemetry.histogram_every=0",
                "--set", "telemetry.sample_every=0")
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try bench.names(in: "run/tensorboard").count == 1)
        }

        /// A layout of ranks, threads and emulated hosts.
        private struct Layout {
            var ranks = 0
            var threads = 1
            var isSharded = false
            var ranksPerHost = 0

            var environment: [String: String] {
                var environment = ["LOCKSTEP_THREADS": "\(threads)"]
                if ranksPerHost > 0 { environment["LOCKSTEP_RANKS_PER_NODE"] = "\(ranksPerHost)" }
                return environment
            }
        }

        @Test("histograms do not depend on ranks, threads, hosts and sharding")
        func histogramsAreInvariant() throws {
            let bench = try Workbench()
            let layouts = [
                Layout(), Layout(ranks: 2, threads: 2), Layout(ranks: 2, isSharded: true),
                Layout(ranks: 3, isSharded: true, ranksPerHost: 1),
                Layout(ranks: 4, isSharded: true, ranksPerHost: 2),
            ]
            var expected: [[String: ReadHistogram]] = []
            for (index, layout) in layouts.enumerated() {
                let run = "run\(index)"
                _ = try train(
                    bench, into: run, Self.settings + ["optimizer.sharded=\(layout.isSharded)"],
                    ranks: layout.ranks, environment: layout.environment)
                let found = try events(bench, run).map(\.histograms).filter { !$0.isEmpty }
                if index == 0 { expected = found }
                #expect(found == expected, "\(layout)")
            }
            #expect(expected.count == 3)
            for histograms in expected {
                #expect(histograms.count == 32)
                #expect(histograms["gradients/wte.weight"] != nil)
                #expect(histograms["weights/h.0.mlp.c_fc.bias"] != nil)
            }
        }

        /// The bytes of a checkpoint's tensors are read without the program's own reader.
        @Test("histograms of weights are those of the checkpoint")
        func weightsAreThoseOfTheCheckpoint() throws {
            let bench = try Workbench()
            _ = try train(bench, into: "run", Self.settings)
            let file = Array(try bench.bytes(of: "\(Workbench.checkpoint(6))/model.safetensors"))
            let headerSize = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
            let header = try #require(
                try JSONSerialization.jsonObject(with: Data(file[8..<8 + headerSize]))
                    as? [String: [String: Any]])
            let last = try #require(try events(bench, "run").last { !$0.histograms.isEmpty })
            #expect(last.step == 6)
            var count = 0
            for (name, entry) in header where name != "__metadata__" {
                let offsets = try #require(entry["data_offsets"] as? [Int])
                let start = 8 + headerSize
                let values = stride(from: start + offsets[0], to: start + offsets[1], by: 4).map {
                    Self.single(file[$0..<$0 + 4])
                }
                let histogram = try #require(last.histograms["weights/\(name)"])
                #expect(histogram.minimum == values.min() && histogram.maximum == values.max())
                #expect(histogram.count == Double(values.count))
                #expect(abs(histogram.sum - values.reduce(0, +)) < 1e-9)
                let squares = values.reduce(0) { $0 + $1 * $1 }
                #expect(abs(histogram.sumOfSquares - squares) <= 1e-8 * squares)
                let limits = [-Double.infinity] + histogram.limits
                let counts = zip(limits, limits.dropFirst()).map { low, high in
                    Double(values.count { $0 >= low && $0 < high })
                }
                #expect(counts == histogram.counts, "\(name)")
                count += 1
            }
            #expect(count == 16)
        }

        /// Returns the fp32 number in four bytes, of which the first is the lowest.
        private static func single(_ bytes: ArraySlice<UInt8>) -> Double {
            let bits = bytes.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return Double(Float(bitPattern: bits))
        }

        @Test("texts are those that sample generates from the checkpoint")
        func textsAreSamples() throws {
            let bench = try Workbench()
            _ = try train(bench, into: "run", Self.settings, ranks: 2)
            let texts = try events(bench, "run").compactMap { event in
                event.texts["sample/text_summary"].map { (event.step, $0) }
            }
            #expect(texts.map(\.0) == [3, 6])
            let sample = try bench.lockstep(
                "sample", bench.path("run"), "--tokens", "128", "--checkpoint", "6")
            let expected = sample.output.split(
                separator: "\n", omittingEmptySubsequences: false
            ).map { "    \($0)" }.joined(separator: "\n")
            #expect(texts.last?.1 == expected)
        }

        @Test("a run that is killed and resumed has each step once", arguments: [0, 2])
        func resumedRun(ranks: Int) throws {
            let bench = try Workbench()
            _ = try train(bench, into: "run", ["telemetry.tensorboard=true"], ranks: ranks)
            // The run is as if it had been killed after step 6, before its last checkpoint.
            try FileManager.default.removeItem(atPath: bench.path(Workbench.checkpoint(6)))
            let before = try bench.names(in: "run/tensorboard")
            let content = try bench.bytes(of: "run/tensorboard/\(before[0])")
            let resumed = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("run"), "--set", "training.steps=9"],
                ranks: ranks)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let after = try bench.names(in: "run/tensorboard")
            #expect(after.count == 2 && after.first == before.first)
            #expect(try bench.bytes(of: "run/tensorboard/\(after[0])") == content, "unchanged")
            let events = try events(bench, "run")
            #expect(events.filter(\.isStart).map(\.step) == [5])
            try expectScalars(bench, "run")
        }

        @Test("event files that cannot be written do not end the run, which warns once")
        func unwritableFiles() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.write("", to: "run/tensorboard")
            let outcome = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set", "training.steps=12",
                "--set", "telemetry.tensorboard=true")
            #expect(outcome.status == 0, "\(outcome.errors)")
            let warnings = outcome.sentences.filter { $0.contains("TensorBoard") }
            #expect(warnings.count == 1, "\(outcome.errors)")
            #expect(warnings.first?.contains("run/tensorboard: cannot be created") == true)
            #expect(try bench.metrics().compactMap { $0["step"] as? Int }.max() == 12)
        }

        @Test("texts without a tokenizer are refused", arguments: [0, 2])
        func textsNeedATokenizer(ranks: Int) throws {
            let bench = try Workbench()
            // Only the token files remain, as other programs write them.
            for file in ["tokenizer.json", "dataset.json"] {
                try FileManager.default.removeItem(atPath: bench.path("data/\(file)"))
            }
            let outcome = try bench.lockstep(
                bench.training(set: "model.vocabulary_size=64")
                    + Self.settings.flatMap { ["--set", $0] }, ranks: ranks)
            expectRefusal(
                outcome, 78,
                ["[telemetry] sample_every = 3: needs a tokenizer", "set it to 0"])
            #expect(!bench.exists("run"))
        }

        @Test("every line of metrics.jsonl satisfies the schema", arguments: [0, 2])
        func linesSatisfyTheSchema(ranks: Int) throws {
            let bench = try Workbench()
            let schema = try bench.lockstep("train", "--schema")
            #expect(schema.status == 0)
            let validator = try SchemaValidator(Data(schema.output.utf8))
            try bench.train(ranks: ranks)
            // A run with diagnoses and skipped steps.
            let diverged = try bench.lockstep(
                bench.training(
                    into: "diverged", set: "optimizer.learning_rate=1e30", "training.steps=60",
                    "schedule.warmup_steps=0", "training.max_skipped_steps=4"), ranks: ranks)
            #expect(diverged.status == 78)
            let lines = try bench.metrics() + bench.metrics(of: "diverged")
            #expect(lines.contains { $0["diagnosis"] != nil })
            #expect(lines.contains { $0["skipped"] != nil })
            #expect(lines.contains { $0["validation_loss"] != nil })
            #expect(lines.contains { $0["slowest_rank"] != nil } == (ranks > 0))
            for line in lines {
                #expect(try validator.problems(of: line).isEmpty, "\(line)")
            }
        }
    }
}
