import Foundation
import Support
import TestSupport
import Testing

/// A kind of damage to a checkpoint on the disk, with the words that report it.
enum Damage: String, CaseIterable, Sendable {
    case missing, truncated, extended, bitFlipped, emptied
    case manifestMissing, manifestEmptied, manifestTruncated, manifestNotJSON
    case manifestOfAnotherStep, manifestOfAnotherFormat, folderEmptied

    var words: [String] {
        switch self {
        case .missing: ["has lost its model.safetensors"]
        case .truncated, .extended, .emptied: ["model.safetensors: has", "bytes, but its manifest"]
        case .bitFlipped: ["model.safetensors: is damaged", "SHA-256"]
        case .manifestMissing, .folderEmptied: ["has no manifest.json"]
        case .manifestEmptied, .manifestTruncated, .manifestNotJSON: ["manifest.json: is"]
        case .manifestOfAnotherStep: ["holds step 10"]
        case .manifestOfAnotherFormat: ["has format 999", "reads format 1"]
        }
    }

    func apply(to step: Int, of run: Run) throws {
        let folder = run.store.path(step: step)
        let model = folder + "/model.safetensors"
        let manifest = folder + "/manifest.json"
        let files = FileManager.default
        switch self {
        case .missing: try files.removeItem(atPath: model)
        case .truncated: try write(bytes(of: model).dropLast(), to: model)
        case .extended: try write(bytes(of: model) + [0], to: model)
        case .emptied: try write([], to: model)
        case .bitFlipped:
            var content = try bytes(of: model)
            content[content.count - 5] ^= 0x10
            try write(content, to: model)
        case .manifestMissing: try files.removeItem(atPath: manifest)
        case .manifestEmptied: try write([], to: manifest)
        case .manifestTruncated: try write(bytes(of: manifest).dropLast(3), to: manifest)
        case .manifestNotJSON: try write("no JSON".utf8, to: manifest)
        case .manifestOfAnotherStep:
            try write(bytes(of: run.store.path(step: 10) + "/manifest.json"), to: manifest)
        case .manifestOfAnotherFormat:
            let text = String(decoding: try bytes(of: manifest), as: UTF8.self)
            let changed = text.replacingOccurrences(
                of: "\"format\" : 1", with: "\"format\" : 999, \"unknown\" : []")
            #expect(changed != text)
            try write(changed.utf8, to: manifest)
        case .folderEmptied:
            for name in try names(in: folder) { try files.removeItem(atPath: "\(folder)/\(name)") }
        }
    }
}

@Suite struct CheckpointFaultTests {
    @Test("a damaged checkpoint falls back to the previous one", arguments: Damage.allCases)
    func fallsBackToThePreviousOne(_ damage: Damage) throws {
        let run = try Run()
        try run.save(step: 10)
        try run.save(step: 20)
        try damage.apply(to: 20, of: run)
        var reasons: [Failure] = []
        let checkpoint = try run.store.newestValid(by: run.store.verify) { step, reason in
            #expect(step == 20)
            reasons.append(reason)
        }
        #expect(checkpoint?.step == 10)
        let reason = try #require(reasons.first)
        #expect(reasons.count == 1 && reason.code == .badData)
        for word in damage.words + ["step-00000020"] {
            #expect(reason.sentence.contains(word), "\(reason)")
        }
        try run.expectParameters(of: try #require(checkpoint), step: 10)
    }

    @Test("every flipped byte of the manifest is noticed")
    func everyFlippedByteOfTheManifestIsNoticed() throws {
        let run = try Run()
        try run.save(step: 10)
        let path = run.store.path(step: 10) + "/manifest.json"
        let candidate = try #require(try run.store.candidates().first)
        let whole = try bytes(of: path)
        for i in whole.indices {
            var damaged = whole
            damaged[i] ^= 1 << UInt8(i % 8)
            try write(damaged, to: path)
            let caught = caughtFailure { () throws(Failure) in try run.store.verify(candidate) }
            #expect(caught?.code == .badData, "byte \(i)")
        }
        try write(whole, to: path)
        try run.store.verify(candidate)
    }

    @Test(
        "a manifest that names a file outside of its folder is refused",
        arguments: ["../../moments.safetensors", "/etc/passwd", "a\\u0000b", ""])
    func namesOutsideOfTheFolder(_ name: String) throws {
        let run = try Run()
        try run.save(step: 10)
        let path = run.store.path(step: 10) + "/manifest.json"
        var text = String(decoding: try bytes(of: path), as: UTF8.self)
        let stated = try #require(text.firstMatch(of: /"checksum" : "([0-9a-f]{64})"/)).1
        let zeros = String(repeating: "0", count: 64)
        text = text.replacing(stated, with: zeros)
            .replacing("\"model.safetensors\" :", with: "\"\(name)\" :")
        text = text.replacing(zeros, with: SHA256.hash(text))
        try write(text.utf8, to: path)
        let candidate = try #require(try run.store.candidates().first)
        expectFailure(.badData, path, "which is not a file of its folder") {
            () throws(Failure) in try run.store.verify(candidate)
        }
    }

    @Test("every damaged checkpoint is reported and none is found")
    func everyDamagedCheckpointIsReported() throws {
        let run = try Run()
        try run.save(step: 10)
        try run.save(step: 20)
        for step in [10, 20] { try Damage.bitFlipped.apply(to: step, of: run) }
        let (checkpoint, rejected) = try run.newest()
        #expect(checkpoint == nil && rejected == [20, 10])
    }

    /// The stages at which a save can be killed.
    enum Stage: CaseIterable { case folderMade, halfAFile, filesWritten, manifestWritten, pruning }

    @Test("the remains of a killed save are ignored and then removed", arguments: Stage.allCases)
    func remainsOfAKilledSaveAreRemoved(_ stage: Stage) throws {
        let run = try Run()
        try run.save(step: 10)
        try run.save(step: 20)
        let files = FileManager.default
        // The name of step 20 before its rename; during pruning, step 10 loses its name.
        let killed = run.store.path(step: stage == .pruning ? 10 : 20)
        let partial = killed + ".partial"
        try files.moveItem(atPath: killed, toPath: partial)
        switch stage {
        case .folderMade:
            for name in try names(in: partial) {
                try files.removeItem(atPath: "\(partial)/\(name)")
            }
        case .halfAFile:
            try files.removeItem(atPath: partial + "/manifest.json")
            try files.removeItem(atPath: partial + "/moments.safetensors")
            try write(
                bytes(of: partial + "/model.safetensors").prefix(100),
                to: partial + "/model.safetensors")
        case .filesWritten, .pruning: try files.removeItem(atPath: partial + "/manifest.json")
        case .manifestWritten: break
        }
        let newest = stage == .pruning ? 20 : 10
        let (checkpoint, rejected) = try run.newest()
        #expect(checkpoint?.step == newest && rejected.isEmpty)
        #expect(try names(in: run.store.folder).count == 2)

        let result = try run.save(step: stage == .pruning ? 30 : 20)
        #expect(!result.existed && result.warnings.isEmpty)
        let kept =
            stage == .pruning
            ? ["step-00000020", "step-00000030"] : ["step-00000010", "step-00000020"]
        #expect(try names(in: run.store.folder) == kept)
    }

    @Test("a folder that cannot be removed causes a warning")
    func unremovableFolderCausesAWarning() throws {
        let run = try Run()
        let stale = run.store.path(step: 5) + ".partial/unexpected"
        try FileManager.default.createDirectory(atPath: stale, withIntermediateDirectories: true)
        let result = try run.save(step: 6)
        #expect(result.warnings.count == 1)
        #expect(
            result.warnings.first?.sentence.contains("step-00000005.partial/unexpected") == true)
        #expect(try run.newest().checkpoint?.step == 6)
    }

    @Test("a folder that cannot be written is named")
    func unwritableFolderIsNamed() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/file"
        try write("x".utf8, to: file)
        for path in [file, "/proc/lockstep"] {
            let run = try Run(in: path)
            expectFailure(.inputOutput, path) { () throws(Failure) in try run.save(step: 1) }
        }
        #expect(try bytes(of: file) == Array("x".utf8))
    }

    @Test("a full device is reported")
    func fullDeviceIsReported() throws {
        expectFailure(.inputOutput, "/dev/full", "No space left", "free some space") {
            () throws(Failure) in
            var file = try OutputFile(creating: "/dev/full")
            try file.write("text")
            try file.finish()
        }
    }

    @Test("an atomic file leaves nothing behind if it fails")
    func failedAtomicFileLeavesNothing() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/file"
        try AtomicFile.write("old", to: path)
        let stop = Failure(.badData, "stop")
        let caught = caughtFailure { () throws(Failure) in
            try AtomicFile.write(to: path) { (file) throws(Failure) in
                try file.write("half")
                throw stop
            }
        }
        #expect(caught == stop)
        #expect(try bytes(of: path) == Array("old".utf8))
        #expect(try names(in: folder.path) == ["file"])
        try AtomicFile.write("new", to: path)
        #expect(try bytes(of: path) == Array("new".utf8))
    }

    @Test(
        "existing checkpoints survive a full disk",
        .enabled("needs root, to mount a small file system") { SmallDisk.isPossible })
    func checkpointsSurviveAFullDisk() throws {
        try SmallDisk.with(size: "1m") { folder in try fillTheDisk(savingIn: folder) }
    }

    private func fillTheDisk(savingIn folder: String) throws {
        // Two files of 160 kB each fit three times into 1 MiB.
        let run = try Run(keep: 0, in: folder, count: 40_000)
        try run.save(step: 10)
        try run.save(step: 20)
        try run.save(step: 30)
        for step in [40, 50] {
            expectFailure(.inputOutput, "No space left", "free some space") {
                () throws(Failure) in
                try run.save(step: step)
            }
        }
        #expect(
            try names(in: run.store.folder) == ["step-00000010", "step-00000020", "step-00000030"])
        let (checkpoint, rejected) = try run.newest()
        #expect(rejected.isEmpty)
        try run.expectParameters(of: try #require(checkpoint), step: 30)
        try FileManager.default.removeItem(atPath: run.store.path(step: 10))
        try run.save(step: 60)
        #expect(try run.newest().checkpoint?.step == 60)
    }
}
