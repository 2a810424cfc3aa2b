import Foundation
import Support
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of runs whose learning rate is far too large.
    @Suite(.serialized) struct DivergedRunTests {
        /// A rate with which the first step moves the parameters to about 1e30, where no loss is
        /// finite.
        private static let rate = [
            "optimizer.learning_rate=1e30", "optimizer.clip_norm=0", "schedule.name=constant",
            "schedule.warmup_steps=0", "optimizer.weight_decay=0", "checkpoint.every=1",
            "evaluation.every=0",
        ]

        private func arguments(
            _ bench: Workbench, into run: String = "run", _ settings: String...
        ) -> [String] {
            bench.training(into: run) + (Self.rate + settings).flatMap { ["--set", $0] }
        }

        @Test(
            "a state without a finite loss is never saved, and the run ends with 78",
            arguments: [0, 2])
        func divergedStatesAreNotSaved(ranks: Int) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                arguments(bench, "training.steps=20", "schedule.warmup_steps=1"), ranks: ranks)
            #expect(outcome.status == 78)
            // The first step of the warmup has the rate 0, so its parameters are finite.
            #expect(try bench.names(in: "run/checkpoints") == ["step-00000001"])
            let warnings = outcome.sentences.filter { $0.contains("no checkpoint at step") }
            #expect(warnings.count == 1, "\(warnings)")
            #expect(
                outcome.sentences.last?.contains("the newest good checkpoint is that of step 1")
                    == true)
            for command in ["evaluate", "sample", "landscape"] {
                let reading = try bench.lockstep(command, bench.path("run"))
                #expect(reading.status == 0, "\(reading.errors)")
                #expect(reading.errors.contains("diverged before step "), "\(reading.errors)")
            }
            let resumed = try bench.lockstep("train", "--resume", "--out", bench.path("run"))
            #expect(resumed.status == 78)
            #expect(resumed.errors.contains("diverged before step "), "\(resumed.errors)")
        }

        @Test("a run whose last loss is not a number ends with 78", arguments: [0, 2])
        func lastLossIsNotANumber(ranks: Int) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(arguments(bench, "training.steps=3"), ranks: ranks)
            #expect(outcome.status == 78)
            #expect(outcome.output.isEmpty, "no result is printed: \(outcome.output)")
            let sentences = outcome.sentences.filter {
                $0.contains("validation loss is not a number")
            }
            #expect(sentences.count == 1 && sentences == outcome.sentences.suffix(1))
            let readers = ["evaluate", "sample", "landscape"].map { [$0, bench.path("run")] }
            let start = ["find-lr", bench.path("recipe.toml"), "--data", bench.path("data")]
            for command in readers + [start + ["--start", bench.path("run")]] {
                let ranks = command[0] == "sample" ? 0 : ranks
                expectRefusal(
                    try bench.lockstep(command, ranks: ranks), 66,
                    ["because the run diverged before its first one; train it again with a lower"])
            }
        }

        @Test("a checkpoint with a number that is not finite is rejected by every reader")
        func poisonIsRejected() throws {
            let bench = try Workbench()
            try bench.train()
            try poison(bench, step: 6) { $0 = .nan }
            for command in ["evaluate", "sample"] {
                let newest = try bench.lockstep(command, bench.path("run"))
                #expect(newest.status == 0, "\(newest.errors)")
                #expect(newest.errors.contains("the checkpoint of step 6 is rejected"))
                expectRefusal(
                    try bench.lockstep(command, bench.path("run"), "--checkpoint", "6"), 65,
                    ["step-00000006/model.safetensors", "is not finite"])
            }
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), ranks: 2)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step 4"))
            #expect(resumed.errors.contains("the 2 steps after step 4 are trained again"))
        }

        @Test("a checkpoint that gives no finite loss names the newest good one")
        func hugeParametersAreNamed() throws {
            let bench = try Workbench()
            try bench.train()
            try poison(bench, step: 6) { $0 = 3e38 }
            let reading = ["evaluate", "sample", "landscape"].map { [$0, bench.path("run")] }
            let text = ["evaluate", bench.path("run"), "--text", bench.path("text.txt")]
            for command in reading + [text] {
                let outcome = try bench.lockstep(command)
                #expect(outcome.status == 65, "\(command): \(outcome.errors)")
                #expect(outcome.output.isEmpty)
                #expect(
                    outcome.sentences.last?.contains(
                        "use the newest good checkpoint, that of step 4")
                        == true, "\(outcome.errors)")
            }
        }

        @Test("a sweep in which every run diverges reports this and ends with 78")
        func aDivergedSweepFails() throws {
            let bench = try Workbench()
            try bench.write(
                """
                recipe = "recipe.toml"
                batches = [4]
                learning_rates = [1e28, 1e29, 1e30]
                seeds = [1]
                tokens = []
                steps = [20]
                extend = 0
                [set]
                "optimizer.clip_norm" = 0
                "schedule.name" = "constant"
                "schedule.warmup_steps" = 0
                """, to: "sweep.toml")
            let outcome = try bench.lockstep(
                "sweep", bench.path("sweep.toml"), "--data", bench.path("data"), "--out",
                bench.path("sweep"))
            #expect(outcome.status == 78, "\(outcome.errors)")
            #expect(outcome.sentences.last?.contains("every run diverged") == true)
            let analysis = try bench.lockstep("analyze", bench.path("sweep"))
            #expect(analysis.status == 78)
        }

        @Test("a benchmark whose last loss is not a number ends with 78", arguments: [1, 2])
        func aDivergedBenchmarkFails(ranks: Int) throws {
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "\(ranks)", "--oversubscribe", "--", Workbench.lockstep, "bench",
                    "step", "--size", "char", "--steps", "2", "--json", "--set",
                    "optimizer.learning_rate=1e30", "--set", "optimizer.clip_norm=0", "--set",
                    "schedule.warmup_steps=0", "--set", "model.layers=1",
                ])
            #expect(outcome.status == 78, "\(outcome.errors)")
            #expect(outcome.output.isEmpty)
            #expect(
                outcome.sentences.last?.contains("gives the last step a loss that is not a number")
                    == true)
        }

        @Test("regimes at rates that all diverge end with 78")
        func divergedRegimesFail() throws {
            let bench = try Workbench()
            for rates in ["1e5,1e10,1e20", "1e28,1e29,1e30"] {
                let recipe = String(decoding: try bench.bytes(of: "recipe.toml"), as: UTF8.self)
                try bench.write(
                    recipe.replacing("steps = 6", with: "steps = 30").replacing(
                        "[optimizer]", with: "[optimizer]\nname = \"sgd\"\nclip_norm = 0"),
                    to: "regimes.toml")
                let outcome = try bench.lockstep(
                    "regimes", bench.path("regimes.toml"), "--data", bench.path("data"), "--out",
                    bench.path("regimes"), "--grid", "3", "--rates", rates)
                #expect(outcome.status == 78, "\(rates): \(outcome.errors)")
                #expect(outcome.output.isEmpty && !bench.exists("regimes"), "\(outcome.output)")
                #expect(
                    outcome.sentences.last?.contains("the three runs: diverged") == true,
                    "\(outcome.errors)")
            }
        }

        @Test("moments that are not finite are rejected by a resume")
        func poisonedMomentsAreRejected() throws {
            let bench = try Workbench()
            try bench.train()
            try poison(bench, step: 6, "optimizer") { $0 = .infinity }
            let resumed = try bench.lockstep("train", "--resume", "--out", bench.path("run"))
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(
                resumed.errors.contains("the checkpoint of step 6 is rejected"), "\(resumed.errors)"
            )
            #expect(resumed.errors.contains("resumed from the checkpoint of step 4"))
        }

        @Test("a checkpoint of a skipped step is rejected by every reader")
        func skippedStepsAreRejected() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.editManifest(ofStep: 6) {
                $0.replacingOccurrences(
                    of: "\"skipped_steps_in_a_row\" : \"0\"",
                    with: "\"skipped_steps_in_a_row\" : \"1\"")
            }
            let reason = "is of a step that was skipped because its loss or gradient was not finite"
            expectRefusal(
                try bench.lockstep("evaluate", bench.path("run"), "--checkpoint", "6"), 65, [reason]
            )
            let newest = try bench.lockstep("evaluate", bench.path("run"), "--json")
            #expect(newest.output.contains("\"step\":4,"))
            let resumed = try bench.lockstep("train", "--resume", "--out", bench.path("run"))
            #expect(resumed.status == 0, "\(resumed.errors)")
            for errors in [newest.errors, resumed.errors] {
                #expect(errors.contains("the checkpoint of step 6 is rejected"), "\(errors)")
                #expect(errors.contains(reason), "\(errors)")
            }
            #expect(resumed.errors.contains("resumed from the checkpoint of step 4"))
        }

        /// Changes all numbers of one file of a checkpoint and adapts its manifest.
        private func poison(
            _ bench: Workbench, step: Int, _ name: String = "model",
            _ change: (inout Float) -> Void
        ) throws {
            let folder = Workbench.checkpoint(step)
            let url = URL(filePath: bench.path("\(folder)/\(name).safetensors"))
            var model = try Data(contentsOf: url)
            let before = model.withUnsafeBytes { SHA256.hash($0) }
            let header = model.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
            model.withUnsafeMutableBytes { bytes in
                for offset in stride(from: 8 + header, to: bytes.count, by: 4) {
                    var value = bytes.loadUnaligned(fromByteOffset: offset, as: Float.self)
                    change(&value)
                    bytes.storeBytes(of: value, toByteOffset: offset, as: Float.self)
                }
            }
            try model.write(to: url)
            try bench.editManifest(ofStep: step) {
                $0.replacingOccurrences(of: before, with: model.withUnsafeBytes { SHA256.hash($0) })
            }
        }
    }
}
