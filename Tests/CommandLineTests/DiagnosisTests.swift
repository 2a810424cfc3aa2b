import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that trainings that go wrong on purpose are reported once and that healthy ones are
    /// not.
    @Suite(.serialized) struct DiagnosisTests {
        /// Trains under mpirun and returns the diagnoses in metrics.jsonl and the run's warnings.
        private func diagnose(
            in bench: Workbench, into run: String = "run", data: String = "data", ranks: Int = 2,
            _ settings: String...
        ) throws -> (found: [[String: Any]], warnings: [Substring]) {
            let arguments =
                [
                    "train", bench.path("recipe.toml"), "--data", bench.path(data), "--out",
                    bench.path(run),
                ] + settings.flatMap { ["--set", $0] }
            let outcome = try bench.lockstep(arguments, ranks: ranks)
            // Numbers that are not finite may end a run.
            try #require([0, 78].contains(outcome.status), "\(outcome.errors)")
            return (
                try bench.metrics(of: run).filter { $0["diagnosis"] != nil },
                outcome.errors.split(separator: "\n").filter { $0.contains("warning: step") }
            )
        }

        private func names(_ found: [[String: Any]]) -> [String] {
            found.compactMap { $0["diagnosis"] as? String }
        }

        @Test("a tiny rate is reported once")
        func tinyRateIsReportedOnce() throws {
            let bench = try Workbench()
            let (found, warnings) = try diagnose(
                in: bench, "optimizer.learning_rate=1e-7", "training.steps=220")
            #expect(names(found) == ["loss not falling"])
            #expect((found.first?["step"] as? Int ?? 999) <= 110)
            #expect((found.first?["cause"] as? String)?.contains("far too small") == true)
            #expect((found.first?["remedy"] as? String)?.contains("find-lr") == true)
            #expect(warnings.count == 1 && warnings[0].contains("loss not falling"))
            let report = try bench.lockstep("report", bench.path("run"))
            try #require(report.status == 0, "\(report.errors)")
            let page = String(decoding: try bench.bytes(of: "run/report.html"), as: UTF8.self)
            #expect(page.contains("loss not falling: ") && page.contains("find-lr"))
            #expect(!page.contains("No sign of"))
        }

        @Test("a huge rate is reported once", arguments: [("adamw", "1.0"), ("sgd", "50")])
        func hugeRateIsReportedOnce(optimizer: String, rate: String) throws {
            let bench = try Workbench()
            let (found, warnings) = try diagnose(
                in: bench, "optimizer.name=\"\(optimizer)\"", "optimizer.learning_rate=\(rate)",
                "training.steps=120")
            let foundNames = names(found)
            #expect(
                foundNames.contains("strong oscillation") || foundNames.contains("not a number"))
            #expect(
                !foundNames.contains("loss not falling")
                    && Set(foundNames).count == foundNames.count)
            #expect((found.first?["step"] as? Int ?? 999) <= 40)
            #expect((found.first?["cause"] as? String)?.contains("too large") == true)
            #expect(warnings.count >= foundNames.count, "\(warnings)")
        }

        /// The words are in random order, so the model can learn the words but must memorize their
        /// order. The text and the batches are large enough for the rise to exceed the evaluations'
        /// noise with any seed.
        @Test("overfitting is reported once")
        func overfittingIsReportedOnce() throws {
            let bench = try Workbench()
            let words = Set(Workbench.text.split { " \n.,;".contains($0) }).sorted()
            var state: UInt64 = 1
            let text = (0..<100).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return String(words[Int(state >> 33) % words.count])
            }.joined(separator: " ")
            try bench.write(text, to: "words.txt")
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("words.txt"), "--out", bench.path("words"))
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            let (found, _) = try diagnose(
                in: bench, data: "words", "model.layers=2", "model.width=64",
                "model.context_length=16", "optimizer.learning_rate=2.5e-3", "training.steps=600",
                "training.global_batch=32", "evaluation.every=30", "checkpoint.every=0")
            #expect(names(found) == ["overfitting"])
        }

        /// The ranks change, and no line appears twice.
        @Test("a resumed run has the diagnoses of an uninterrupted one")
        func resumedRunHasTheSameDiagnoses() throws {
            let bench = try Workbench()
            let rate = "optimizer.learning_rate=1e-7"
            let warmup = "schedule.warmup_steps=2"
            let decay = "schedule.decay_steps=200"
            let whole = try diagnose(
                in: bench, into: "whole", ranks: 0, rate, warmup, decay, "training.steps=180")
            for steps in [60, 150] {
                let run = "run-\(steps)"
                let first = try diagnose(
                    in: bench, into: run, rate, warmup, decay, "training.steps=\(steps)")
                let second = try bench.lockstep(
                    "train", "--resume", "--out", bench.path(run), "--set", "training.steps=180",
                    ranks: 4)
                try #require(second.status == 0, "\(second.errors)")
                let lines = try bench.metrics(of: run).filter { $0["diagnosis"] != nil }
                #expect(lines as NSArray == whole.found as NSArray)
                #expect(names(lines) == ["loss not falling"])
                #expect(first.warnings.count == (steps == 60 ? 0 : 1))
                #expect(second.errors.contains("loss not falling") == (steps == 60))
            }
        }

        @Test("a healthy training has no diagnosis")
        func healthyTrainingHasNoDiagnosis() throws {
            let bench = try Workbench()
            let (found, warnings) = try diagnose(in: bench, "training.steps=300")
            #expect(found.isEmpty && warnings.isEmpty, "\(found)")
            let report = try bench.lockstep("report", bench.path("run"))
            try #require(report.status == 0, "\(report.errors)")
            let page = String(decoding: try bench.bytes(of: "run/report.html"), as: UTF8.self)
            #expect(page.contains("No sign of"))
        }
    }
}
