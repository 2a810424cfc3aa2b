import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    @Suite(.serialized) struct SweepTests {
        private static let specification = """
            recipe = "constant.toml"
            batches = [4, 8]
            learning_rates = [1e-3, 4e-3, 1.6e-2]
            seeds = [1, 2]
            tokens = [640]
            steps = [20]
            evaluations = 2
            extend = 0
            """

        private func bench() throws -> Workbench {
            let bench = try Workbench()
            try bench.write(
                Workbench.recipe + "\n[schedule]\nname = \"constant\"\n", to: "constant.toml")
            return bench
        }

        private func sweep(
            _ bench: Workbench, _ text: String, _ more: [String] = [], ranks: Int = 0
        ) throws -> Outcome {
            try bench.write(text, to: "sweep.toml")
            return try bench.lockstep(
                ["sweep", bench.path("sweep.toml"), "--data", bench.path("data"), "--out"]
                    + [bench.path("sweep")] + more, ranks: ranks)
        }

        /// Returns the objects of an analysis without its advice.
        private static func withoutNextRuns(_ json: Data) throws -> NSObject? {
            func stripped(_ value: Any) -> Any {
                if let object = value as? [String: Any] {
                    return object.filter { $0.key != "next_runs" }.mapValues(stripped)
                }
                return (value as? [Any])?.map(stripped) ?? value
            }
            return stripped(try JSONSerialization.jsonObject(with: json)) as? NSObject
        }

        @Test("a sweep with a mixture of relative paths is resumed from another folder")
        func mixtureOfRelativePaths() throws {
            let bench = try bench()
            _ = try bench.copyData(to: "other")
            try bench.write(
                Workbench.recipe + """

                    [schedule]
                    name = "constant"
                    [[data.mixture]]
                    path = "data"
                    weight = 1
                    [[data.mixture]]
                    path = "other"
                    weight = 2

                    """, to: "constant.toml")
            try bench.write(
                Self.specification.replacingOccurrences(of: "seeds = [1, 2]", with: "seeds = [1]"),
                to: "sweep.toml")
            func sweep(in folder: String, _ arguments: [String]) throws -> Outcome {
                try Launch.run(
                    "sh",
                    ["-ec", "cd \"$0\"; exec \"$@\"", folder, Workbench.lockstep, "sweep"]
                        + arguments + ["--out", bench.path("sweep")])
            }
            let first = try sweep(
                in: bench.folder, ["sweep.toml", "--data", "data"])
            try #require(first.status == 0, "\(first.errors)")
            for point in try bench.names(in: "sweep/points") {
                let recipe = String(
                    decoding: try bench.bytes(of: "sweep/points/\(point)/recipe.toml"),
                    as: UTF8.self)
                #expect(recipe.contains("\"\(bench.path("other"))\""))
            }
            // A point without a result is trained again.
            let ledger = try bench.bytes(of: "sweep/ledger.jsonl")
            let lines = ledger.split(separator: UInt8(ascii: "\n"))
            try bench.write(
                lines.dropLast().map { String(decoding: $0, as: UTF8.self) + "\n" }.joined(),
                to: "sweep/ledger.jsonl")
            let resumed = try sweep(in: "/", ["--resume"])
            #expect(resumed.status == 0, "\(resumed.errors)")
            let after = try bench.bytes(of: "sweep/ledger.jsonl")
            #expect(after.split(separator: UInt8(ascii: "\n")).count == lines.count)
        }

        @Test("a sweep over sizes has a verdict on the transfer of rates, the same on any layout")
        func sizes() throws {
            let bench = try bench()
            let text = """
                recipe = "constant.toml"
                widths = [16, 32]
                parametrizations = ["standard", "mup"]
                batches = [4]
                learning_rates = [1e-3, 4e-3, 1.6e-2]
                seeds = [1, 2]
                tokens = [640]
                steps = []
                evaluations = 1
                extend = 0
                """
            let outcome = try sweep(bench, text, ranks: 3)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(
                outcome.errors.contains("sweeping 3 models x 1 batch x 3 rates x 2 seeds, 18 runs"))
            for name in ["the standard parametrization", "muP"] {
                #expect(outcome.output.contains("With \(name) at batch 4, by equal tokens (640): "))
            }
            let names = ["results.csv", "analysis.json"]
            let files = try names.map { try bench.bytes(of: "sweep/\($0)") }
            let rows = String(decoding: files[0], as: UTF8.self).split(separator: "\n")
            #expect(rows[0].hasPrefix("parametrization,width,layers,parameters,rule,batch,"))
            #expect(
                rows.filter { $0.hasPrefix("mup,16,1,3312,grid,4,") && $0.contains(",20,640,") }
                    .count == 6)
            let report = try bench.lockstep("report", bench.path("sweep"))
            #expect(report.status == 0, "\(report.errors)")
            let page = String(decoding: try bench.bytes(of: "sweep/report.html"), as: UTF8.self)
            let hasChart = page.contains("Cost of keeping the smallest model")
            #expect(hasChart)

            let again = try bench.lockstep(
                ["sweep", bench.path("sweep.toml"), "--data", bench.path("data"), "--out"]
                    + [bench.path("again")])
            try #require(again.status == 0, "\(again.errors)")
            #expect(try bench.bytes(of: "again/results.csv") == files[0])
            // The durations of the next runs depend on the layout.
            #expect(
                try Self.withoutNextRuns(bench.bytes(of: "again/analysis.json"))
                    == Self.withoutNextRuns(files[1]))
            // A smaller size needs only its own runs.
            try bench.write(
                text.replacingOccurrences(of: "[16, 32]", with: "[8, 16, 32]"), to: "sweep.toml")
            let more = try bench.lockstep(
                [
                    "sweep", bench.path("sweep.toml"), "--resume", "--data", bench.path("data"),
                    "--out", bench.path("again"),
                ])
            try #require(more.status == 0, "\(more.errors)")
            #expect(more.errors.contains("30 runs, of which 18 have already ended"))
            let planned = try bench.lockstep(
                [
                    "sweep", bench.path("sweep.toml"), "--data", bench.path("data"), "--out",
                    bench.path("planned"), "--budget", "10 runs",
                ])
            #expect(planned.status == 64 && planned.errors.contains("remove --budget, or widths"))
        }

        @Test("a sweep ends with tables and an analysis")
        func endsWithTablesAndAnAnalysis() throws {
            let bench = try bench()
            let outcome = try sweep(bench, Self.specification, ranks: 2)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("By equal tokens (640)"))
            #expect(outcome.output.contains("By equal steps (20)"))
            let table = String(decoding: try bench.bytes(of: "sweep/results.csv"), as: UTF8.self)
            // There are two seeds and three rates, with evaluations after 0, 10, 14 and 20 steps of
            // batch 8.
            let rows = table.split(separator: "\n")
            #expect(rows.filter { $0.hasPrefix("grid,8,") && $0.contains(",20,1280,") }.count == 6)
            #expect(rows.filter { $0.hasPrefix("grid,4,") && $0.contains(",20,640,") }.count == 6)
            let point = "sweep/points/grid-b8-lr0.001-s1"
            #expect(bench.exists("\(point)/metrics.jsonl"))
            #expect(!bench.exists("\(point)/checkpoints"), "results are kept, not weights")
            #expect(try bench.names(in: "sweep/claims").isEmpty)
            let analysis = try JSONSerialization.jsonObject(
                with: bench.bytes(of: "sweep/analysis.json"))
            let members = analysis as? [String: Any]
            let designs = members?["designs"] as? [[String: Any]]
            #expect(designs?.compactMap { $0["mark"] as? Int } == [640, 20])

            let report = try bench.lockstep("report", bench.path("sweep"))
            #expect(report.status == 0, "\(report.errors)")
            let page = String(decoding: try bench.bytes(of: "sweep/report.html"), as: UTF8.self)
            let warnings = members?["warnings"] as? [[String: Any]]
            #expect(warnings?.contains { $0["confound"] as? String == "few steps" } == true)
            let warning = "By equal tokens (640), runs are compared after fewer than"
            #expect(outcome.errors.split(separator: "warning: \(warning)").count == 2, "once")
            #expect(outcome.output.contains("Warning: \(warning)") && page.contains(warning))
            #expect(page.contains("Best rate against batch"))
            // On the page each batch has its own row, so all are visible.
            #expect(
                page.contains(
                    "<caption>Regrets in nats</caption>\n<thead><tr>"
                        + "<th scope=\"col\" class=\"right\">B</th>"
                        + "<th scope=\"col\" class=\"right\">no scaling</th>"))
            let runs = try bench.lockstep(
                "report", bench.path("sweep/points/grid-b8-lr0.001-s1"),
                bench.path("sweep/points/grid-b8-lr0.004-s1"), "--out", bench.path("two.html"))
            #expect(runs.status == 0 && bench.exists("two.html"), "\(runs.errors)")
            let nowhere = try bench.lockstep("report", bench.path("data"))
            #expect(nowhere.status == 66 && nowhere.sentences.count == 1)

            let again = try bench.lockstep("analyze", bench.path("sweep"))
            #expect(again.status == 0 && again.output == outcome.output, "\(again.errors)")
            let resumed = try bench.lockstep(
                ["sweep", "--resume", "--out", bench.path("sweep")], ranks: 2)
            #expect(resumed.status == 0 && resumed.output == outcome.output)
            let estimate = try bench.lockstep(
                ["sweep", "--resume", "--estimate", "--out", bench.path("sweep")], ranks: 2)
            #expect(estimate.status == 0, "\(estimate.errors)")
            #expect(
                estimate.output.contains(
                    "The duration of a run is that of the finished runs at B = "),
                "\(estimate.output)")

            let refused = try sweep(bench, Self.specification)
            #expect(refused.status == 64)
            #expect(refused.sentences.count == 1)
        }

        @Test("an estimate trains nothing")
        func estimatesWithoutTraining() throws {
            let bench = try bench()
            let outcome = try sweep(bench, Self.specification, ["--estimate"], ranks: 2)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("12 runs on 2 groups: about"))
            #expect(outcome.errors.contains("warning: By equal tokens (640), "))
            #expect(!bench.exists("sweep"))
        }

        /// The refusal is the same as in training.
        @Test("bf16 is refused if it is slow")
        func slowBF16IsRefused() throws {
            let bench = try bench()
            let text = Self.specification + "\n[set]\n\"training.precision\" = \"bf16\"\n"
            let emulated = try sweep(bench, text, ["--estimate", "--emulate-bf16"])
            #expect(emulated.status == 0, "\(emulated.errors)")
            let outcome = try sweep(bench, text, ["--estimate"])
            let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
            if processor.contains("avx512_bf16") {
                #expect(outcome.status == 0, "\(outcome.errors)")
            } else {
                expectRefusal(outcome, 78, ["AVX512-BF16", "--emulate-bf16"])
            }
        }

        @Test("huge numbers are refused")
        func hugeNumbersAreRefused() throws {
            let bench = try bench()
            let text = Self.specification.replacing(
                "tokens = [640]", with: "tokens = [9223372036854775807]")
            expectRefusal(try sweep(bench, text, ["--estimate"]), 78, ["tokens"])
        }

        /// A specification with more seeds resumes a sweep. One whose runs would not be comparable
        /// is refused, and so is a changed recipe.
        @Test("a sweep can grow")
        func aSweepCanGrow() throws {
            let bench = try bench()
            let small = Self.specification.replacing("seeds = [1, 2]", with: "seeds = [2]")
            let first = try sweep(bench, small)
            try #require(first.status == 0, "\(first.errors)")
            let ledger = try bench.bytes(of: "sweep/ledger.jsonl")
            let resume = ["sweep", bench.path("sweep.toml"), "--resume"]
            let out = ["--out", bench.path("sweep")]

            try bench.write(
                Self.specification.replacing("steps = [20]", with: "steps = [10]"),
                to: "sweep.toml")
            let other = try bench.lockstep(resume + out)
            #expect(other.status == 78 && other.sentences.count == 1, "\(other.errors)")
            #expect(other.errors.contains("steps: differs from the sweep being resumed"))

            try bench.write(Self.specification, to: "sweep.toml")
            let more = try bench.lockstep(resume + out, ranks: 2)
            try #require(more.status == 0, "\(more.errors)")
            let grown = try bench.bytes(of: "sweep/ledger.jsonl")
            #expect(grown.starts(with: ledger), "runs that have ended are kept")
            #expect(grown.count { $0 == UInt8(ascii: "\n") } == 12)
            #expect(bench.exists("sweep/sweep.superseded-1.toml"))

            let recipe = String(
                decoding: try bench.bytes(of: "sweep/base-recipe.toml"), as: UTF8.self)
            try bench.write(recipe + "\n[reduction]\nlanes = 4\n", to: "sweep/base-recipe.toml")
            let changed = try bench.lockstep(["sweep", "--resume"] + out)
            #expect(changed.status == 78 && changed.sentences.count == 1, "\(changed.errors)")
        }

        @Test("a budget plans a sweep, and a grid can be resumed with one")
        func budgets() throws {
            let bench = try bench()
            let planned = try sweep(bench, Self.specification, ["--budget", "9 runs"], ranks: 2)
            try #require(planned.status == 0, "\(planned.errors)")
            #expect(planned.errors.contains("within a budget of 9 runs, on 2 ranks"))
            #expect(planned.errors.contains("the budget of 9 runs is spent"))
            #expect(planned.output.hasPrefix("After 9 runs, some rules are not settled"))
            func lines(_ file: String) throws -> Int {
                String(decoding: try bench.bytes(of: file), as: UTF8.self)
                    .split(separator: "\n").count
            }
            #expect(try lines("sweep/ledger.jsonl") == 9)
            let again = try bench.lockstep("analyze", bench.path("sweep"))
            #expect(again.output == planned.output, "\(again.errors)")
            let report = try bench.lockstep("report", bench.path("sweep"))
            #expect(report.status == 0, "\(report.errors)")
            let page = String(decoding: try bench.bytes(of: "sweep/report.html"), as: UTF8.self)
            #expect(page.contains("9 planned runs of") && !page.contains("Missing runs"))

            let resume = ["sweep", "--resume", "--out", bench.path("sweep")]
            expectRefusal(
                try bench.lockstep(resume + ["--budget", "9 runs"]), 64,
                ["must be more than the 9 runs that the sweep already has"])
            #expect(try bench.bytes(of: "sweep/budget.txt") == Data("9 runs\n".utf8))
            let larger = try bench.lockstep(resume + ["--budget", "10 runs"])
            try #require(larger.status == 0, "\(larger.errors)")
            #expect(try lines("sweep/ledger.jsonl") == 10)
            #expect(try bench.bytes(of: "sweep/budget.txt") == Data("10 runs\n".utf8))
            try bench.write("ten runs\n", to: "sweep/budget.txt")
            expectRefusal(
                try bench.lockstep(resume), 65,
                ["budget.txt: does not hold a budget; give --budget."])

            let other = try self.bench()
            try #require(try sweep(other, Self.specification).status == 0)
            let ledger = try other.bytes(of: "sweep/ledger.jsonl")
            let more = try other.lockstep(
                "sweep", "--resume", "--out", other.path("sweep"), "--budget", "16 runs")
            try #require(more.status == 0, "\(more.errors)")
            let grown = try other.bytes(of: "sweep/ledger.jsonl")
            #expect(grown.starts(with: ledger) && grown.count > ledger.count)
            #expect(grown.count { $0 == UInt8(ascii: "\n") } <= 16)
            #expect(other.exists("sweep/plan.jsonl"))

            expectRefusal(
                try sweep(try self.bench(), Self.specification, ["--budget", "soon"]), 64,
                ["--budget \"soon\"", "write one such as 20m"])
            expectRefusal(
                try sweep(
                    try self.bench(),
                    Self.specification + "\nrules = [\"linear\", \"adam-sde\"]\n",
                    ["--budget", "5 runs"]), 78, ["adam-sde", "needs a grid"])
            expectRefusal(
                try bench.lockstep(
                    "sweep", "--resume", "--out", bench.path("none"), "--budget", "5 runs"), 66,
                ["none: does not exist"])
        }

        /// Runs are missing before the first one has ended and while others are open.
        @Test("an unfinished sweep is reported as such")
        func unfinishedSweepIsReported() throws {
            let bench = try bench()
            let outcome = try sweep(bench, Self.specification)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let ledger = String(
                decoding: try bench.bytes(of: "sweep/ledger.jsonl"), as: UTF8.self)
            let lines = ledger.split(separator: "\n")
            try bench.write(
                lines.prefix(5).joined(separator: "\n") + "\n", to: "sweep/ledger.jsonl")
            let partial = try bench.lockstep("analyze", bench.path("sweep"))
            #expect(partial.status == 0, "\(partial.errors)")
            #expect(partial.output.hasPrefix("Only 5 of at least 12 runs have ended"))
            _ = try bench.lockstep("report", bench.path("sweep"))
            let page = String(decoding: try bench.bytes(of: "sweep/report.html"), as: UTF8.self)
            #expect(page.contains("Only 5 of at least 12 runs"))
            try bench.write("", to: "sweep/ledger.jsonl")
            let none = try bench.lockstep("analyze", bench.path("sweep"))
            #expect(none.status == 66 && none.sentences.count == 1, "\(none.errors)")
            #expect(none.errors.contains("--resume"))
        }

        /// Such a run ends with losses that are not numbers and is not stopped for it.
        @Test("runs without a loss are results")
        func runsWithoutALossAreResults() throws {
            let bench = try bench()
            let outcome = try sweep(
                bench,
                Self.specification.replacing("[1e-3, 4e-3, 1.6e-2]", with: "[1e-3, 1e28, 1e30]")
                    + "\n[set]\n\"training.max_skipped_steps\" = 1000\n")
            #expect(outcome.status == 0, "\(outcome.errors)")
            let ledger = String(
                decoding: try bench.bytes(of: "sweep/ledger.jsonl"), as: UTF8.self)
            let diverged = ledger.split(separator: "\n").filter { $0.contains("\"diverged\":true") }
            #expect(diverged.count == 8, "two rates, two batches, two seeds")
        }

        /// Changes of the specification and the words about them.
        private static let mistakes: [(from: String, to: String, says: String)] = [
            ("batches = [4, 8]", "batches = []", "batches = []: must not be empty"),
            ("batches = [4, 8]", "", "has no batches"),
            ("batches = [4, 8]", "batches = [8, 4]", "must be an ascending list"),
            ("batches = [4, 8]", "batches = [0, 4]", "is not a batch of 1 or more"),
            ("batches = [4, 8]", "batches = \"4\"", "must be a list"),
            ("[1e-3, 4e-3, 1.6e-2]", "[1e-3, 4e-3]", "must be at least 3 rates"),
            ("[1e-3, 4e-3, 1.6e-2]", "[-1e-3, 4e-3, 1]", "is not a rate above 0"),
            ("seeds = [1, 2]", "seeds = [1, 1]", "must be distinct"),
            (
                "seeds = [1, 2]", "seeds = [-1]",
                "seeds = [-1]: contains -1, which is not a whole number, 0 or more"
            ),
            ("tokens = [640]", "tokens = [650]", "use 640 or other batches"),
            ("extend = 0", "extend = 0\nbase_batch = 5", "must be one of batches"),
            ("extend = 0", "extend = 0\ntolerance = 0", "tolerance = 0.0: must be above 0"),
            ("extend = 0", "extend = 0\ntarget_losses = [nan]", "a list of losses above 0"),
            ("seeds = [1, 2]", "seeds = [\"a\"]", "must be a list of whole numbers"),
            ("batches = [4, 8]", "batches = [4, 4]", "batches = [4, 4]: must be an ascending list"),
            (
                "extend = 0",
                "extend = 0\nrules = [{ rule = \"power\", exponent = 1, base_batch = 8 }]",
                "but every rule uses the sweep's own"
            ),
            (
                "extend = 0", "extend = 0\n[set]\n\"optimizer.learning_rate\" = 3",
                "a key that all runs share"
            ),
            (
                "extend = 0", "extend = 0\n[set]\n\"scaling.weight_decay\" = \"timescale\"",
                "write it in rules"
            ),
            (
                "extend = 0", "extend = 0\n[set]\n\"reduction.lanes\" = 3", "does not divide"
            ),
            ("recipe = \"constant.toml\"", "recipe = \"data\"", "is a folder"),
            ("extend = 0", "extnd = 0", "did you mean \"extend\"?"),
            ("extend = 0", "extend = 0\nrules = [\"liner\"]", "did you mean \"linear\"?"),
            (
                "extend = 0", "extend = 0\nrules = [{ rule = \"formula\", formula = \"lr * (B\" }]",
                "rules: formula"
            ),
            (
                "extend = 0",
                "extend = 0\nrules = [{ rule = \"formula\", formula = \"lr * (1 - B)\" }]",
                "rules: formula"
            ),
            ("extend = 0", "extend = 0\n[set]\n\"model.layer\" = 2", "did you mean \"layers\"?"),
            ("recipe = \"constant.toml\"", "recipe = \"none.toml\"", "none.toml: cannot be opened"),
            ("recipe = \"constant.toml\"", "recipe = \"recipe.toml\"", "set schedule.name"),
            ("extend = 0", "extend = = 0", "is not valid TOML"),
        ]

        @Test("a mistake is reported in one sentence", arguments: mistakes.indices)
        func mistakesAreReportedInOneSentence(index: Int) throws {
            let mistake = Self.mistakes[index]
            let bench = try bench()
            let text = Self.specification.replacing(mistake.from, with: mistake.to)
            try #require(text != Self.specification)
            let outcome = try sweep(bench, text)
            #expect([64, 65, 66, 78].contains(outcome.status), "\(outcome.status)")
            #expect(outcome.sentences.count == 1, "\(outcome.errors)")
            #expect(outcome.errors.contains(mistake.says), "\(outcome.errors)")
            #expect(!bench.exists("sweep"))
        }
    }
}
