import Checkpoints
import Compute
import Foundation
import Support
import TestSupport
import Testing

/// A small run with its folder, its parameters and its checkpoints.
final class Run {
    let folder: TemporaryFolder
    let store: CheckpointStore
    let layout: ArenaLayout
    let parameters: Buffer<Float>

    init(keep: Int = 2, in path: String? = nil, count: Int = 33) throws {
        folder = try TemporaryFolder()
        store = try CheckpointStore(folder: (path ?? folder.path) + "/checkpoints", keep: keep)
        var layout = ArenaLayout()
        layout.append("weight", shape: [count])
        layout.append("bias", shape: [3])
        self.layout = layout
        parameters = Buffer(count: layout.count)
        fill(0)
    }

    /// Gives the parameters values that differ between steps.
    func fill(_ seed: Int) {
        for i in 0..<parameters.count { parameters.elements[i] = Float(seed) + Float(i) / 64 }
    }

    func manifest(step: Int) -> Manifest {
        Manifest(
            step: step, tokensSeen: step * 768, seed: UInt64(Int.max), sampleCursor: step * 12,
            lanes: 4, rankCount: 2, recipeHash: "recipe", dataFingerprint: "data",
            tokenizerFingerprint: "tokenizer", parameterHash: "parameters \(step)",
            version: "0.1.0", extra: ["schedule": "{\"phase\": 1}", "naïve / \"key\"": "a\nb"])
    }

    @discardableResult
    func save(step: Int, manifest: Manifest? = nil) throws(Failure) -> SaveResult {
        fill(step)
        let tensors = TensorSource.all(of: layout, in: parameters)
        return try store.save(
            [
                CheckpointFile(name: "model.safetensors", .tensors(tensors)),
                CheckpointFile(
                    name: "moments.safetensors",
                    .tensors(tensors, metadata: ["step": "\(step)"])),
            ], manifest: manifest ?? self.manifest(step: step))
    }

    /// Returns the newest valid checkpoint and the steps that were rejected before it was found.
    func newest() throws(Failure) -> (checkpoint: Checkpoint?, rejected: [Int]) {
        var rejected: [Int] = []
        let checkpoint = try store.newestValid(by: store.verify) { step, _ in
            rejected.append(step)
        }
        return (checkpoint, rejected)
    }

    /// Expects that a checkpoint has the parameters of its step.
    func expectParameters(of checkpoint: Checkpoint, step: Int) throws {
        fill(step)
        for name in ["model.safetensors", "moments.safetensors"] {
            let read = Buffer<Float>(count: layout.count)
            let file = try checkpoint.open(name)
            try file.copy(layout, into: read)
            for tensor in layout.tensors {
                #expect(
                    read.elements[tensor.range].elementsEqual(parameters.elements[tensor.range]))
            }
        }
    }
}

@Suite struct CheckpointStoreTests {
    @Test("a saved checkpoint reads back")
    func savesAndReadsBack() throws {
        let run = try Run()
        let result = try run.save(step: 1000)
        #expect(!result.existed && result.warnings.isEmpty)
        #expect(try names(in: run.store.folder) == ["step-00001000"])
        #expect(
            try names(in: run.store.path(step: 1000))
                == ["manifest.json", "model.safetensors", "moments.safetensors"])
        let (checkpoint, rejected) = try run.newest()
        let newest = try #require(checkpoint)
        #expect(newest.step == 1000 && rejected.isEmpty)
        #expect(newest.manifest == result.checkpoint.manifest)
        #expect(newest.manifest.seed == UInt64(Int.max))
        #expect(newest.manifest.extra["naïve / \"key\""] == "a\nb")
        #expect(newest.manifest.isSameState(as: run.manifest(step: 1000)))
        #expect(
            newest.manifest.files.keys.sorted() == ["model.safetensors", "moments.safetensors"])
        try run.expectParameters(of: newest, step: 1000)
        expectFailure(.badData, "no file other.safetensors") { () throws(Failure) in
            _ = try newest.open("other.safetensors")
        }
    }

    @Test("equal states give equal bytes")
    func equalStatesGiveEqualBytes() throws {
        let first = try Run()
        let second = try Run()
        try first.save(step: 7)
        try second.save(step: 7)
        for name in try names(in: first.store.path(step: 7)) {
            #expect(
                try bytes(of: first.store.path(step: 7) + "/" + name)
                    == bytes(of: second.store.path(step: 7) + "/" + name))
        }
    }

    @Test("steps of any length are sorted by number")
    func stepsAreSortedByNumber() throws {
        let run = try Run(keep: 0)
        for step in [5, 123_456_789, 99_999_999, 0] { try run.save(step: step) }
        #expect(try run.store.candidates().map(\.step) == [123_456_789, 99_999_999, 5, 0])
        #expect(
            try names(in: run.store.folder)
                == ["step-00000000", "step-00000005", "step-123456789", "step-99999999"])
    }

    @Test("a store has no candidates before the first save")
    func hasNoCandidatesBeforeTheFirstSave() throws {
        let run = try Run()
        #expect(try run.store.candidates().isEmpty)
        #expect(try run.newest().checkpoint == nil)
    }

    @Test("keeping too few checkpoints is refused", arguments: [-1, 1])
    func refusesToKeepTooFew(_ keep: Int) {
        expectFailure(.configuration, "[checkpoint] keep = \(keep):") { () throws(Failure) in
            _ = try CheckpointStore(folder: "/tmp/unused", keep: keep)
        }
    }

    @Test("the newest checkpoints are kept")
    func keepsTheNewest() throws {
        let run = try Run(keep: 3)
        for step in 1...5 { try run.save(step: step) }
        #expect(try run.store.candidates().map(\.step) == [5, 4, 3])
        #expect(try names(in: run.store.folder).count == 3)
    }

    @Test("a new checkpoint is never removed in favor of later, damaged ones")
    func newCheckpointOutlivesDamagedLaterOnes() throws {
        let run = try Run(keep: 2)
        try run.save(step: 10)
        try run.save(step: 20)
        try run.save(step: 30)
        try write([], to: run.store.path(step: 30) + "/model.safetensors")
        try FileManager.default.removeItem(atPath: run.store.path(step: 20) + "/manifest.json")
        try run.save(step: 15)
        let (checkpoint, rejected) = try run.newest()
        #expect(checkpoint?.step == 15 && rejected == [30, 20])
    }

    @Test("other files in the folder stay unchanged")
    func otherFilesStayUnchanged() throws {
        let run = try Run(keep: 2)
        try run.save(step: 1)
        let others = [
            "notes.txt", "step-7", "step-00000abc", "step-00000001.rejected", "step-7.partial",
            "best.partial", "step--0000007",
        ]
        for name in others {
            try FileManager.default.createDirectory(
                atPath: run.store.folder + "/" + name, withIntermediateDirectories: false)
        }
        for step in 2...4 { try run.save(step: step) }
        #expect(
            try names(in: run.store.folder)
                == (others + ["step-00000003", "step-00000004"]).sorted())
        #expect(try run.newest().rejected.isEmpty)
    }

    @Test("a valid checkpoint of the same state is kept")
    func validCheckpointOfTheSameStateIsKept() throws {
        let run = try Run()
        try run.save(step: 4)
        let before = try bytes(of: run.store.path(step: 4) + "/manifest.json")
        var manifest = run.manifest(step: 4)
        manifest.rankCount = 8
        let result = try run.save(step: 4, manifest: manifest)
        #expect(result.existed && result.checkpoint.manifest.rankCount == 2)
        #expect(try bytes(of: run.store.path(step: 4) + "/manifest.json") == before)
    }

    @Test("a checkpoint of another state is never overwritten")
    func checkpointOfAnotherStateIsKept() throws {
        let run = try Run()
        try run.save(step: 4)
        var manifest = run.manifest(step: 4)
        manifest.parameterHash = "others"
        expectFailure(.configuration, "step-00000004", "another state") { () throws(Failure) in
            try run.save(step: 4, manifest: manifest)
        }
        #expect(try run.newest().checkpoint?.manifest.parameterHash == "parameters 4")
    }

    @Test("a damaged checkpoint is moved aside")
    func damagedCheckpointIsMovedAside() throws {
        let run = try Run()
        for round in 1...2 {
            try run.save(step: 4)
            let path = run.store.path(step: 4) + "/model.safetensors"
            try write(bytes(of: path).dropLast(), to: path)
            let result = try run.save(step: 4)
            #expect(!result.existed && result.warnings.count == 1)
            #expect(result.warnings.first?.sentence.contains(".rejected") == true)
            let names = try names(in: run.store.folder)
            #expect(names.count == 1 + round)
            #expect(
                names.contains(round == 1 ? "step-00000004.rejected" : "step-00000004.rejected-2"))
        }
        #expect(try run.newest().checkpoint?.step == 4)
    }

    @Test("impossible file names are refused")
    func refusesImpossibleNames() throws {
        let run = try Run()
        for name in ["", "a/b", "../x", "manifest.json", ".hidden"] {
            expectFailure(.bug, "\"\(name)\"") { () throws(Failure) in
                _ = try run.store.save(
                    [CheckpointFile(name: name, .tensors([]))], manifest: run.manifest(step: 1))
            }
        }
        expectFailure(.bug, "step -1") { () throws(Failure) in try run.save(step: -1) }
        #expect(try names(in: run.store.folder).isEmpty)
    }
}
