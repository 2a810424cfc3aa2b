import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that compare the planned memory with the peak of resident memory.
    @Suite(.serialized) struct MemoryPlanTests {
        private func expectClose(planned: Double, resident: Double, _ what: String) {
            #expect(
                abs(planned - resident) <= 0.05 * resident,
                "\(what): planned \(planned) MiB, resident \(resident) MiB")
        }

        /// Expects that a training's peak of resident memory is close to its plan, and returns it
        /// in MiB.
        private func residentCloseToPlan(_ outcome: Outcome, _ what: String) throws -> Double {
            let logged = try #require(
                outcome.errors.firstMatch(
                    of: /peak memory ([0-9.]+) MiB per rank; the plan expected ([0-9.]+) MiB/))
            let resident = try #require(Double(logged.1))
            let planned = try #require(Double(logged.2))
            expectClose(planned: planned, resident: resident, what)
            return resident
        }

        /// A model of 16 million parameters, nearly all of them in its token table.
        private static let wideTable = [
            "model.layers=1", "model.width=256", "model.vocabulary_size=60000",
        ]
        private static func lanes(_ lanes: Int, batch: Int) -> [String] {
            ["reduction.lanes=\(lanes)", "training.global_batch=\(batch)"]
        }

        struct Case: Sendable, CustomTestStringConvertible {
            let ranks: Int
            var settings: [String] = []
            var options: [String] = []
            /// The least resident memory in MiB. It ensures that there is more than the program.
            var least = 60.0

            var testDescription: String { "\(ranks) \(settings) \(options)" }
        }

        private static let cases = [
            Case(ranks: 1), Case(ranks: 2),
            Case(ranks: 1, options: ["--threads-per-rank", "2"]),
            Case(ranks: 1, settings: ["training.recompute=true", "model.layers=8"]),
            Case(ranks: 1, options: ["--precision", "bf16", "--emulate-bf16"], least: 50),
            Case(ranks: 1, settings: wideTable + lanes(4, batch: 4), least: 350),
            Case(ranks: 2, settings: wideTable + lanes(2, batch: 4), least: 300),
            Case(ranks: 2, settings: wideTable + lanes(8, batch: 8), least: 400),
            Case(
                ranks: 2, settings: wideTable + lanes(2, batch: 4) + ["optimizer.sharded=true"],
                least: 250),
            Case(
                ranks: 2, settings: wideTable + lanes(2, batch: 4) + ["training.recompute=true"],
                options: ["--precision", "bf16", "--emulate-bf16"], least: 300),
        ]

        @Test("a benchmark uses the planned memory", arguments: cases)
        func benchmarkUsesThePlannedMemory(_ each: Case) throws {
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "\(each.ranks)", "--oversubscribe", "--", Workbench.lockstep]
                    + ["bench", "step", "--size", "char", "--steps", "1", "--json"]
                    + each.settings.flatMap { ["--set", $0] } + each.options)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            #expect(report["ranks"] as? Int == each.ranks)
            let planned = try #require(report["planned_gib"] as? Double) * 1024
            let resident = try #require(report["peak_rss_gib"] as? Double) * 1024
            expectClose(planned: planned, resident: resident, each.testDescription)
            #expect(resident > each.least)
            let host = try #require(report["planned_host_gib"] as? Double) * 1024
            if each.ranks == 1 {
                #expect(host == planned)
            } else {
                #expect(host > planned && host < planned * Double(each.ranks) - 10)
            }
        }

        /// A training on some ranks with its least resident memory in MiB.
        struct Training: Sendable {
            let ranks: Int
            let model: [String]
            let isSharded: Bool
            let least: Double
        }

        /// Trainings with four arenas of 7.1 million numbers, with a little less than three, with
        /// little more than the program, with four arenas of 3.2 million, and with many lanes.
        private static let trainings = [
            Training(
                ranks: 1, model: ["model.width=384", "model.layers=4"], isSharded: false,
                least: 130),
            Training(
                ranks: 2, model: ["model.width=384", "model.layers=4"], isSharded: true, least: 90),
            Training(ranks: 2, model: [], isSharded: true, least: 20),
            // Checking a checkpoint must not make much of its file resident.
            Training(
                ranks: 1, model: ["model.width=256", "model.layers=4"], isSharded: false,
                least: 60),
            // The lanes take more memory than the model.
            Training(
                ranks: 1,
                model: [
                    "training.global_batch=40000", "reduction.lanes=40000",
                    "model.context_length=1", "scaling.rule=none",
                ],
                isSharded: false, least: 40),
        ]

        @Test("lanes that do not fit into memory are refused before they are allocated")
        func tooManyLanes() throws {
            let bench = try Workbench()
            let lanes = "1000000000"
            expectRefusal(
                try bench.lockstep(
                    bench.training(
                        set: "training.global_batch=\(lanes)", "reduction.lanes=\(lanes)")),
                78, ["of memory", "set [reduction] lanes lower"])
            #expect(!bench.exists("run"))
        }

        /// The plan includes the memory for reading the log of many steps.
        @Test("the plan holds for a resumed run with a long log", arguments: [1, 2])
        func aLongLog(ranks: Int) throws {
            let bench = try Workbench()
            let first = try bench.lockstep(
                bench.training(
                    set: "training.steps=3000", "evaluation.every=0", "checkpoint.every=0"),
                ranks: ranks)
            try #require(first.status == 0, "\(first.errors)")
            let second = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("run"), "--set", "training.steps=3002"],
                ranks: ranks)
            _ = try residentCloseToPlan(second, "\(ranks) ranks")
        }

        /// The plan includes evaluations, checkpoints and the resume from one.
        @Test("a training uses the planned memory", arguments: trainings)
        func trainingUsesThePlannedMemory(_ each: Training) throws {
            let workbench = try Workbench()
            let settings =
                each.model + [
                    "training.steps=3", "evaluation.every=1", "checkpoint.every=1",
                    "optimizer.sharded=\(each.isSharded)",
                ]
            let training = workbench.training() + settings.flatMap { ["--set", $0] }
            let resuming = [
                "train", "--resume", "--out", workbench.path("run"), "--set", "training.steps=5",
            ]
            for arguments in [training, resuming] {
                let outcome = try workbench.lockstep(arguments, ranks: each.ranks)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(try residentCloseToPlan(outcome, "\(arguments)") > each.least)
                #expect(
                    outcome.errors.contains(" per rank; the plan expected "), "reported at the end")
            }
        }
    }
}
