import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a damaged checkpoint is reported and costs only the steps since the previous one.
    @Suite(.serialized) struct DamagedCheckpointTests {
        enum Damage: CaseIterable, Sendable {
            case truncated, emptied, bitFlipped, optimizerFlipped, lost, withoutManifest,
                manifestFlipped

            func apply(to step: Int, in bench: Workbench) throws {
                let folder = Workbench.checkpoint(step)
                let name =
                    switch self {
                    case .optimizerFlipped: "optimizer.safetensors"
                    case .withoutManifest, .manifestFlipped: "manifest.json"
                    default: "model.safetensors"
                    }
                let url = URL(filePath: bench.path("\(folder)/\(name)"))
                var bytes = try Data(contentsOf: url)
                switch self {
                case .truncated: bytes.removeLast(100)
                case .emptied: bytes = Data()
                case .bitFlipped, .optimizerFlipped: bytes[bytes.count - 40] ^= 1
                case .manifestFlipped: bytes[bytes.count / 2] ^= 1
                case .lost, .withoutManifest:
                    try FileManager.default.removeItem(at: url)
                    return
                }
                try bytes.write(to: url)
            }
        }

        @Test(
            "a damaged checkpoint costs the steps since the previous one",
            arguments: Damage.allCases)
        func fallsBackToThePreviousOne(damage: Damage) throws {
            let bench = try Workbench()
            try bench.train()
            let whole = try bench.state(6)
            let loss = try bench.lastValidationLoss()
            try damage.apply(to: 6, in: bench)
            let ranks = damage == .bitFlipped ? 2 : 0
            let outcome = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), ranks: ranks)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let warnings = outcome.sentences.filter {
                $0.contains("the checkpoint of step 6 is rejected")
            }
            #expect(warnings.count == 1 && warnings[0].contains("trying an earlier one"))
            #expect(outcome.errors.contains("resumed from the checkpoint of step 4"))
            #expect(outcome.errors.contains("the 2 steps after step 4 are trained again"))
            // The repeated steps give the same bits, and the damaged checkpoint is kept for
            // inspection.
            #expect(try bench.state(6) == whole)
            #expect(try bench.lastValidationLoss() == loss)
            let trained = try bench.metrics().filter { $0["loss"] != nil }
            #expect(trained.compactMap { $0["step"] as? Int } == Array(1...6))
            #expect(
                try bench.names(in: "run/checkpoints")
                    == ["step-00000004", "step-00000006", "step-00000006.rejected"])
        }

        @Test(
            "a checkpoint of an older program is resumed, or costs the steps since the previous one"
        )
        func checkpointsOfOlderPrograms() throws {
            let bench = try Workbench()
            try bench.train()
            let resume = ["train", "--resume", "--out", bench.path("run")]
            try bench.editManifest(ofStep: 6) {
                $0.replacing(/"recipe" : "(?:[^"\\]|\\.)*",\s*/, with: "")
            }
            let without = try bench.lockstep(resume + ["--set", "training.steps=7"])
            #expect(without.status == 0, "\(without.errors)")
            #expect(without.errors.contains("resumed from the checkpoint of step 6"))

            try bench.editManifest(ofStep: 7) {
                $0.replacingOccurrences(of: "\"format\" : 1", with: "\"format\" : 0")
            }
            let other = try bench.lockstep(resume)
            #expect(other.status == 0, "\(other.errors)")
            #expect(
                other.errors.contains("the checkpoint of step 7 is rejected"), "\(other.errors)")
            #expect(other.errors.contains("the 1 step after step 6 is trained again"))
        }

        @Test("a run is not resumed if all checkpoints are damaged", arguments: [0, 2])
        func runWithOnlyDamagedCheckpointsIsNotResumed(ranks: Int) throws {
            let bench = try Workbench()
            try bench.train()
            try Damage.truncated.apply(to: 4, in: bench)
            try Damage.bitFlipped.apply(to: 6, in: bench)
            let before = try bench.bytes(of: "run/metrics.jsonl")
            let outcome = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), ranks: ranks)
            #expect(outcome.status == 66)
            #expect(outcome.output.isEmpty)
            #expect(outcome.sentences.count { $0.contains("rejected") } == 2)
            let last = try #require(outcome.sentences.last)
            #expect(last.contains("run/checkpoints: holds no whole checkpoint"))
            #expect(outcome.sentences.count { $0.contains("holds no whole checkpoint") } == 1)
            #expect(try bench.bytes(of: "run/metrics.jsonl") == before)
            #expect(
                try bench.names(in: "run/checkpoints") == ["step-00000004", "step-00000006"])
        }

        /// The message says what is wrong with the checkpoint.
        @Test("a damaged checkpoint that is requested by its step is refused")
        func requestedDamagedCheckpointIsRefused() throws {
            let bench = try Workbench()
            try bench.train()
            try Damage.bitFlipped.apply(to: 6, in: bench)
            let run = bench.path("run")
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep("evaluate", run, "--checkpoint", "6", ranks: ranks), 65,
                    ["step-00000006/model.safetensors: is damaged"])
            }
            expectRefusal(
                try bench.lockstep("evaluate", run, "--checkpoint", "5"), 66,
                ["no checkpoint of step 5; give one of the steps 4, 6"])
            let newest = try bench.lockstep("evaluate", run, "--json")
            #expect(newest.status == 0 && newest.output.contains("\"step\":4,"))
            #expect(newest.errors.contains("the checkpoint of step 6 is rejected"))
        }
    }
}
