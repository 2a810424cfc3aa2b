import Foundation
import Support
import TestSupport
import Testing
import Training

/// Tests of the state of a run as its files show it.
@Suite struct RunStatusTests {
    private let folder: TemporaryFolder
    private let run: RunFolder

    init() throws {
        folder = try TemporaryFolder()
        run = RunFolder(folder.path)
    }

    /// Writes a run of ten steps, whose log was last changed some seconds ago.
    private func makeRun(checkpoints: [Int], age: Double) throws {
        try folder.write("recipe.toml", "[training]\nsteps = 10\n")
        try folder.write("lock", "")
        try folder.write("metrics.jsonl", "")
        try setAge(age)
        for step in checkpoints {
            let digits = String(repeating: "0", count: 8 - "\(step)".count) + "\(step)"
            try FileManager.default.createDirectory(
                atPath: "\(run.checkpoints)/step-\(digits)", withIntermediateDirectories: true)
        }
    }

    private func setAge(_ seconds: Double) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -seconds)], ofItemAtPath: run.metrics)
    }

    private func status(_ lastStep: Int) throws -> RunStatus {
        var reader = RunStatusReader(run)
        return try reader.status(lastStep: lastStep, stepSeconds: 0.1)
    }

    @Test("a folder without a run is missing")
    func missing() throws {
        #expect(try status(0) == .missing)
        #expect(!RunStatus.missing.isOver && !RunStatus.training.isOver)
    }

    @Test("a run with a checkpoint of its last step is finished")
    func finished() throws {
        try makeRun(checkpoints: [5, 10], age: 0)
        #expect(try status(10) == .finished)
        #expect(try status(9) == .training, "its log is fresh")
    }

    @Test("a run without news is stopped or dead, unless a process has its lock")
    func withoutNews() throws {
        try makeRun(checkpoints: [2, 5], age: 7200)
        #expect(try status(5) == .stopped(step: 5))
        #expect(try status(7) == .dead(step: 7, checkpoint: 5))
        #expect(try status(10) == .dead(step: 10, checkpoint: 5))
        let lock = try RunLock(run)
        #expect(try status(7) == .training)
        #expect(try status(5) == .training)
        withExtendedLifetime(lock) {}
    }

    @Test("a run without a checkpoint is dead")
    func withoutCheckpoint() throws {
        try makeRun(checkpoints: [], age: 7200)
        #expect(try status(0) == .dead(step: 0, checkpoint: nil))
        #expect(try status(3) == .dead(step: 3, checkpoint: nil))
    }

    @Test("the end of a process is noticed at once, and so is a resume elsewhere")
    func endIsNoticed() throws {
        try makeRun(checkpoints: [5], age: 0)
        var reader = RunStatusReader(run)
        func status() throws -> RunStatus { try reader.status(lastStep: 7, stepSeconds: 0.1) }
        do {
            let lock = try RunLock(run)
            #expect(try status() == .training)
            withExtendedLifetime(lock) {}
        }
        #expect(try status() == .dead(step: 7, checkpoint: 5))
        #expect(try status() == .dead(step: 7, checkpoint: 5))
        try folder.write("metrics.jsonl", "{\"step\":6}\n")
        #expect(try status() == .training)
    }

    @Test("reading the state changes nothing")
    func nothingChanges() throws {
        try makeRun(checkpoints: [5], age: 10)
        let before = try folder.names()
        let date = { (name: String) in
            try FileManager.default.attributesOfItem(atPath: "\(run.path)/\(name)")[
                .modificationDate] as? Date
        }
        let dates = try before.map(date)
        for step in [0, 5, 7, 10] { _ = try status(step) }
        #expect(try folder.names() == before && before.map(date) == dates)
    }
}
