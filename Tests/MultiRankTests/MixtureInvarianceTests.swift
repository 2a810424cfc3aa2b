import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that a mixture of data folders gives the same bits on every layout and after a resume.
    @Suite(.serialized) struct MixtureInvarianceTests {
        private static let steps = 6

        private static func recipe(_ mixture: String) -> String {
            """
            \(Workbench.tinyModel)
            [training]
            steps = \(steps)
            global_batch = 16
            [optimizer]
            learning_rate = 1e-2
            [schedule]
            warmup_steps = 0
            decay_steps = 12
            [reduction]
            lanes = 8
            [evaluation]
            every = 3
            [checkpoint]
            every = 3
            \(mixture)
            """
        }

        /// A workbench with two more data folders, one of which is small.
        private static func bench() throws -> Workbench {
            let bench = try Workbench(text: Workbench.learnableText)
            for (name, text) in [
                ("other", String(Workbench.learnableText.reversed())),
                ("small", String(Workbench.learnableText.prefix(400))),
            ] {
                try bench.write(text, to: "\(name).txt")
                let outcome = try bench.lockstep(
                    "tokenize", bench.path("\(name).txt"), "--like", bench.data, "--out",
                    bench.path(name))
                try #require(outcome.status == 0, "\(outcome.errors)")
            }
            return bench
        }

        private static func mixture(_ bench: Workbench, _ parts: [(String, Double)]) -> String {
            parts.map {
                """
                [[data.mixture]]
                path = "\(bench.path($0.0))"
                weight = \($0.1)
                """
            }.joined(separator: "\n")
        }

        @Test("the layout does not change a bit, nor does a resume")
        func layoutsDoNotChangeABit() throws {
            let bench = try Self.bench()
            let parts = [("data", 0.25), ("other", 0.5), ("small", 0.25)]
            let recipe = try bench.recipe("recipe", Self.recipe(Self.mixture(bench, parts)))
            let start = [recipe, "--data", bench.data]
            var first = FirstRun()
            for layout in [Layout(1), Layout(2, threads: 2), Layout(3), Layout(4, perHost: 2)] {
                let run = bench.run("on \(layout)".replacing(",", with: ""))
                try bench.train(start, layout: layout, into: run)
                #expect(try run.rankCount(step: Self.steps) == layout.ranks)
                try first.expectSame(run, steps: [Self.steps], "\(layout)")
            }

            let longer = ["--set", "training.steps=12"]
            let whole = bench.run("whole")
            let outcome = try bench.train(start + longer, ranks: 1, into: whole)
            try #require(outcome.status == 0, "\(outcome.errors)")
            // 12 steps of 16 samples of 8 tokens.
            #expect(outcome.errors.contains("mixture"))
            let tokens = outcome.errors.matches(of: /: ([0-9,]+) tokens, [0-9.]+ epochs of/).map {
                Int($0.1.replacing(",", with: "")) ?? 0
            }
            #expect(tokens.count == 3 && tokens.reduce(0, +) == 12 * 16 * 8)

            let run = bench.run("resumed")
            try bench.train(start, layout: Layout(2), into: run)
            // The data may move, but not change.
            try FileManager.default.moveItem(
                atPath: bench.path("other"), toPath: bench.path("moved"))
            let lost = try bench.train(["--resume"] + longer, ranks: 2, into: run)
            #expect(lost.status == 66 && lost.errors.contains(bench.path("other")))
            let moved = try bench.recipe(
                "moved",
                Self.recipe(
                    Self.mixture(bench, [("data", 0.25), ("moved", 0.5), ("small", 0.25)])))
            let resumed = try bench.train([moved, "--resume"] + longer, ranks: 4, into: run)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(try run.state(step: 12) == whole.state(step: 12))
            #expect(try run.metrics() == whole.metrics())
        }

        @Test("weights and folders decide the samples, and unsuitable folders are refused")
        func weightsDecideAndUnsuitableFoldersAreRefused() throws {
            let bench = try Self.bench()
            func train(_ name: String, _ mixture: String) throws -> Outcome {
                let recipe = try bench.recipe(name, Self.recipe(mixture))
                return try bench.lockstep(
                    "train", recipe, "--data", bench.data, "--out", bench.path("run-\(name)"))
            }
            for (name, parts) in [
                ("even", [("data", 1.0), ("other", 1.0)]), ("uneven", [("data", 1), ("other", 9)]),
                ("single", [("other", 1)]),
            ] {
                let outcome = try train(name, Self.mixture(bench, parts))
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            let plain = try train("plain", "")
            #expect(plain.status == 0 && !plain.errors.contains("mixture"))
            let states = try ["even", "uneven", "single", "plain"].map {
                try bench.run("run-\($0)").state(step: Self.steps)[0]
            }
            #expect(Set(states).count == 4)

            try bench.write(String(Workbench.learnableText.uppercased()), to: "upper.txt")
            let upper = try bench.lockstep(
                "tokenize", bench.path("upper.txt"), "--out", bench.path("upper"))
            try #require(upper.status == 0)
            for (mixture, code, words) in [
                (Self.mixture(bench, [("upper", 1)]), 65, "another tokenizer"),
                (Self.mixture(bench, [("none", 1)]), 66, "no such data folder"),
                (Self.mixture(bench, [("data", 0)]), 78, "[[data.mixture]] 1: weight = 0.0"),
                (Self.mixture(bench, [("data", 1), ("data", 1)]), 78, "is listed twice"),
                (
                    Self.mixture(bench, [("data", 1e308), ("other", 1e308)]), 78,
                    "[[data.mixture]]: has weights whose sum is too large"
                ),
                ("[[data.mixture]]\nweight = 1", 78, "has no path"),
                ("[[data.mixture]]\npath = \"x\"\nshare = 1", 78, "unknown key \"share\""),
                ("[data]\nmixture = 3", 78, "a list of tables"),
            ] as [(String, Int32, String)] {
                expectRefusal(try train("bad", mixture), code, [words])
            }
        }
    }
}
