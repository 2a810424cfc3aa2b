import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that a sweep has the same results on any number of ranks and groups, killed or not.
    @Suite(.serialized) struct SweepInvarianceTests {
        private static let recipe = """
            \(Workbench.tinyModel)
            [training]
            averaging_power = 3
            [schedule]
            name = "constant"
            warmup_steps = 4
            [checkpoint]
            every = 40
            """

        private static let specification = """
            recipe = "recipe.toml"
            batches = [4, 8, 16]
            learning_rates = [1e-3, 4e-3, 1.6e-2]
            seeds = [1, 2, 3]
            rules = ["none", "linear", "adam-sde"]
            tokens = [12800]
            steps = [100]
            evaluations = 3
            extend = 2
            """

        /// Returns the ledger's lines, sorted by point, and the bytes of the table.
        private func results(_ folder: URL) throws -> (ledger: [String], table: Data) {
            let text = try String(
                contentsOf: folder.appending(path: "ledger.jsonl"), encoding: .utf8)
            return (
                text.split(separator: "\n").map(String.init).sorted(),
                try Data(contentsOf: folder.appending(path: "results.csv"))
            )
        }

        private func arguments(
            _ bench: Workbench, _ specification: String, ranks: Int, groups: Int, out: URL
        ) -> [String] {
            [
                "--ranks", "\(ranks)", "--oversubscribe", "--", Workbench.lockstep, "sweep",
                specification, "--data", bench.data, "--out", out.path, "--groups", "\(groups)",
            ]
        }

        @Test("layouts and kills do not change a byte of a sweep")
        func layoutsAndKillsDoNotChangeAByte() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            _ = try bench.recipe("recipe", Self.recipe)
            let specification = try bench.recipe("sweep", Self.specification)
            let whole = URL(filePath: bench.path("whole"))
            let straight = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                arguments(bench, specification, ranks: 1, groups: 1, out: whole))
            try #require(straight.status == 0, "\(straight.errors)")
            let expected = try results(whole)
            // There are at least 3 batches x 3 rates x 3 seeds, and 3 x 3 runs of adam-sde.
            try #require(expected.ledger.count >= 36)
            #expect(expected.ledger.contains { $0.contains("\"rule\":\"adam-sde\"") })
            #expect(Set(expected.ledger).count == expected.ledger.count)

            for (ranks, groups) in [(3, 3), (4, 2)] {
                let folder = URL(filePath: bench.path("layout \(ranks) \(groups)"))
                let outcome = try Launch.run(
                    "\(Launch.root)/launch/mpirun",
                    arguments(
                        bench, specification, ranks: ranks, groups: groups, out: folder))
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(
                    outcome.errors.contains("on \(ranks) ranks in \(groups) groups"),
                    "the run used \(ranks) ranks")
                let found = try results(folder)
                #expect(found.ledger == expected.ledger, "\(ranks) ranks, \(groups) groups")
                #expect(found.table == expected.table)
            }
            try killAndResume(bench, specification, expected: expected)
        }

        /// The rates of a sweep that is planned in rounds.
        private static let planned = specification.replacing(", \"adam-sde\"", with: "")
            .replacing("learning_rates = [", with: "learning_rates = [2.5e-4, ")

        @Test("layouts, stops and budgets do not change a byte of a planned sweep")
        func planned() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            _ = try bench.recipe("recipe", Self.recipe)
            let specification = try bench.recipe("sweep", Self.planned)
            func sweep(
                _ name: String, ranks: Int, groups: Int, budget: Int, resumes: Bool = false
            ) throws -> (folder: URL, outcome: Outcome) {
                let folder = URL(filePath: bench.path(name))
                let more =
                    ["--budget", "\(budget) runs"] + (resumes ? ["--resume"] : [])
                let outcome = try Launch.run(
                    "\(Launch.root)/launch/mpirun",
                    arguments(
                        bench, specification, ranks: ranks, groups: groups, out: folder) + more)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.errors.contains("on \(ranks) rank"))
                return (folder, outcome)
            }
            let whole = try sweep("whole", ranks: 1, groups: 1, budget: 34)
            let expected = try results(whole.folder)
            try #require((20...34).contains(expected.ledger.count))
            let plan = try Data(contentsOf: whole.folder.appending(path: "plan.jsonl"))
            for (ranks, groups) in [(3, 3), (4, 2)] {
                let (folder, _) = try sweep(
                    "layout \(ranks)", ranks: ranks, groups: groups, budget: 34)
                let found = try results(folder)
                #expect(found.ledger == expected.ledger, "\(ranks) ranks, \(groups) groups")
                #expect(found.table == expected.table)
                let own = try Data(contentsOf: folder.appending(path: "plan.jsonl"))
                #expect(own == plan)
            }
            let part = try sweep("part", ranks: 2, groups: 2, budget: 9)
            #expect(try results(part.folder).ledger.count == 9)
            #expect(part.outcome.output.contains("After 9 runs, some rules are not settled"))
            let rest = try sweep("part", ranks: 3, groups: 3, budget: 34, resumes: true)
            #expect(try results(rest.folder).ledger == expected.ledger)
        }

        @Test("a killed sweep keeps its budget when it is resumed")
        func keptBudget() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            _ = try bench.recipe("recipe", Self.recipe)
            let specification = try bench.recipe("sweep", Self.planned)
            let whole = URL(filePath: bench.path("whole"))
            let budget = ["--budget", "14 runs"]
            let undisturbed = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                arguments(bench, specification, ranks: 1, groups: 1, out: whole) + budget)
            try #require(undisturbed.status == 0, "\(undisturbed.errors)")
            let expected = try results(whole)
            try #require(expected.ledger.count == 14)

            let folder = URL(filePath: bench.path("killed"))
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                arguments(bench, specification, ranks: 2, groups: 2, out: folder) + budget)
            let ledger = folder.appending(path: "ledger.jsonl").path
            try job.wait(
                until: { FileManager.default.fileExists(atPath: ledger) }, "a run that has ended")
            let processes = try Launch.ranks(of: folder.path)
            try #require(processes.count == 2, "the sweep used 2 ranks")
            kill(try #require(processes.values.randomElement()), SIGKILL)
            #expect(job.waitUntilExit() == 128 + SIGKILL)
            try #require(
                !FileManager.default.fileExists(atPath: folder.path + "/results.csv"),
                "it was killed before its end")

            let resume = [
                "--ranks", "3", "--oversubscribe", "--", Workbench.lockstep, "sweep", "--resume",
                "--out", folder.path,
            ]
            // The second resume finds that the budget is spent.
            for _ in 1...2 {
                let resumed = try Launch.run("\(Launch.root)/launch/mpirun", resume)
                try #require(resumed.status == 0, "\(resumed.errors)")
                #expect(resumed.errors.contains("within a budget of 14 runs, on 3 ranks"))
                #expect(resumed.errors.contains("the budget of 14 runs is spent"))
                #expect(try results(folder).ledger == expected.ledger)
            }
        }

        private func killAndResume(
            _ bench: Workbench, _ specification: String,
            expected: (ledger: [String], table: Data)
        ) throws {
            let folder = URL(filePath: bench.path("killed"))
            func lines() -> Int {
                let text = try? String(
                    contentsOf: folder.appending(path: "ledger.jsonl"), encoding: .utf8)
                return text?.split(separator: "\n").count ?? 0
            }
            var command = arguments(bench, specification, ranks: 2, groups: 2, out: folder)
            // The last start is stopped by a signal to one rank alone.
            for (ranks, signal, next) in [(2, SIGKILL, 3), (3, SIGKILL, 4), (4, SIGUSR1, 2)] {
                let job = try BackgroundCommand("\(Launch.root)/launch/mpirun", command)
                // The ranks are looked up first, because the sweep continues during the search.
                let first = lines()
                try job.wait(until: { lines() > first }, "a run that has ended")
                let processes = try Launch.ranks(of: folder.path)
                try #require(processes.count == ranks, "the run used \(ranks) ranks")
                let victim = try #require(processes.values.randomElement())
                let goal = first + Int.random(in: 2...4)
                try job.wait(until: { lines() >= goal }, "\(goal) runs that have ended")
                kill(victim, signal)
                #expect(job.waitUntilExit() == (signal == SIGKILL ? 128 + SIGKILL : 75))
                try #require(lines() < expected.ledger.count, "it was killed before its end")
                command = [
                    "--ranks", "\(next)", "--oversubscribe", "--", Workbench.lockstep, "sweep",
                    "--resume", "--out", folder.path, "--groups", "\(next == 3 ? 3 : 2)",
                ]
            }
            let resumed = try Launch.run("\(Launch.root)/launch/mpirun", command)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("have already ended"))
            let found = try results(folder)
            #expect(found.ledger == expected.ledger)
            #expect(found.table == expected.table)
        }
    }
}
