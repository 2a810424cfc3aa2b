import Data
import Foundation
import Support
import Synchronization
import TestSupport
import Testing

/// A request to stop, which holds from a given call on.
private final class Stop: Sendable {
    private let callsLeft: Atomic<Int>

    init(afterCalls calls: Int) { callsLeft = Atomic(calls) }

    func isRequested() -> Bool {
        callsLeft.subtract(1, ordering: .relaxed).newValue < 0
    }
}

/// A request to stop that the test makes.
private final class Flag: Sendable {
    let isSet = Atomic(false)
}

/// Tests that an interrupted tokenization continues where it stopped, with the same files as a result.
@Suite struct ResumedTokenizationTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private static let text = (0..<60).map {
        "It's line \($0 * 7919 % 1000), naïve 中 text of lane \($0)<|endoftext|>\n"
    }.joined()

    /// Writes texts, JSON lines and a compressed text of a few blocks each.
    private func inputs() throws -> [String] {
        var paths = try (0..<4).map {
            try scratch.write("\($0).txt", String(Self.text.dropFirst(13 * $0)))
        }
        let packed = "\(scratch.path)/packed.gz"
        let outcome = try Launch.run(
            "sh", ["-c", "gzip -c \"$1\" >\"$2\"", "sh", paths[1], packed])
        try #require(outcome.status == 0)
        paths.append(packed)
        return paths
    }

    private func lines() throws -> [String] {
        let lines = (0..<600).map { "{\"text\": \"The \($0)th lane, and its sum \($0 * 31)\"}" }
        return [
            try scratch.write("a.jsonl", lines.joined(separator: "\n")),
            try scratch.write("b.jsonl", lines.reversed().joined(separator: "\n")),
        ]
    }

    private func options(_ inputs: [String], _ tokenizer: TokenizerChoice) -> TokenizeOptions {
        var options = TokenizeOptions(
            inputs: inputs, output: "\(scratch.path)/\(UUID().uuidString)", tokenizer: tokenizer)
        options.chunkBytes = 1 << 10
        return options
    }

    /// Tokenizes with interruptions after some calls each, on different numbers of threads, and returns the number
    /// of interruptions.
    private func tokenizeWithStops(_ options: TokenizeOptions, calls: Int) throws -> Int {
        var options = options
        for stops in 0..<200 {
            let stop = Stop(afterCalls: calls)
            options.stopRequested = { stop.isRequested() }
            options.threads = 1 + stops % 3
            options.resumes = interruptedTokenization(options) != nil
            do throws(Failure) {
                try tokenize(options)
                return stops
            } catch {
                try #require(error.code == .requeue, "\(error)")
                #expect(!FileSystem.exists("\(options.output)/dataset.json"))
            }
        }
        Issue.record("the work does not end")
        return 0
    }

    private func content(_ folder: String) throws -> [String: Data] {
        var content: [String: Data] = [:]
        for name in try FileSystem.names(in: folder) {
            content[name] = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
        }
        return content
    }

    @Test("interrupted work gives the files of uninterrupted work", arguments: [9, 14, 20])
    func interruptedWorkGivesTheSameFiles(calls: Int) throws {
        let (texts, lines) = (try inputs(), try lines())
        let small = TokenizerChoice.bytePairs(folder: goldenPath("small"))
        let trained = TokenizerChoice.trained(
            BytePairTraining(vocabularySize: 300, pattern: .gpt2))
        var cases = [
            options(texts, small), options(texts, .characters), options(texts, .bytes),
            options(lines, small), options(lines, .characters), options(lines + texts, trained),
        ]
        var special = options(texts, small)
        special.separator = "<|endoftext|>"
        special.shardTokens = 500
        cases.append(special)
        special.output += "-documents"
        special.separatesDocuments = true
        special.separator = "lane"
        special.shardTokens = nil
        special.validationInputs = [lines[0], texts[2]]
        special.hasUniversalNewlines = true
        cases.append(special)
        for (index, options) in cases.enumerated() {
            var reference = options
            reference.output += "-reference"
            try tokenize(reference)
            var interrupted = options
            interrupted.output += "-\(calls)"
            // Byte pairs are learned without interruption.
            var calls = calls
            if case .trained = options.tokenizer { calls += 80 }
            let stops = try tokenizeWithStops(interrupted, calls: calls)
            // The shortest cases need fewer than 20 calls.
            #expect(stops >= 1 || calls == 20, "case \(index)")
            #expect(
                try content(interrupted.output) == content(reference.output), "case \(index)")
        }
        let left = try scratch.names().filter { $0.contains(".partial") }
        #expect(left.isEmpty)
    }

    @Test("an empty folder is filled in place after an interruption")
    func emptyFolderIsFilledInPlace() throws {
        let options = options(try inputs(), .bytes)
        try FileManager.default.createDirectory(
            atPath: options.output, withIntermediateDirectories: false)
        #expect(try tokenizeWithStops(options, calls: 20) >= 1)
        #expect(
            try FileSystem.names(in: options.output)
                == ["dataset.json", "tokenizer.json", "train.bin", "validation.bin"])
    }

    @Test("work that cannot be continued is refused with the remedy")
    func otherWorkIsRefused() throws {
        let inputs = try inputs()
        var options = options(inputs, .bytes)
        options.resumes = true
        expectFailure(.missingInput, options.output, "no interrupted tokenization", "--resume") {
            try tokenize(options)
        }
        options.resumes = false
        let stop = Stop(afterCalls: 30)
        options.stopRequested = { stop.isRequested() }
        expectFailure(.requeue, options.output, "run the command again") { try tokenize(options) }
        let partial = try #require(interruptedTokenization(options))
        options.stopRequested = { false }
        let before = try content(partial)

        expectFailure(.inputOutput, partial, "add --resume", "or remove it") {
            try tokenize(options)
        }
        options.resumes = true
        var other = options
        other.inputs.removeLast()
        expectFailure(.usage, partial, "other options") { try tokenize(other) }
        other = options
        other.separatesDocuments = true
        other.tokenizer = .bytePairs(folder: goldenPath("small"))
        expectFailure(.usage, partial, "other options") { try tokenize(other) }
        if let lock = try FileLock(ifFree: "\(partial)/progress.lock") {
            expectFailure(.inputOutput, partial, "in use by another process") {
                try tokenize(options)
            }
            _ = consume lock
        } else {
            Issue.record("the lock is held")
        }
        let text = try scratch.bytes(of: "0.txt")
        try scratch.write("0.txt", text + [0x61])
        expectFailure(.badData, inputs[0], "has changed since") { try tokenize(options) }
        #expect(try content(partial) == before)

        try scratch.write("0.txt", text)
        let state = try #require(before["progress.json"])
        try state.prefix(state.count / 2).write(to: URL(filePath: "\(partial)/progress.json"))
        expectFailure(.badData, "progress.json", "not valid JSON", "start again") {
            try tokenize(options)
        }
    }

    @Test("a resume leaves the files of a running tokenization that has saved nothing yet")
    func runningWorkIsLeftAlone() throws {
        var options = options(try inputs(), .bytes)
        options.resumes = true
        let partial = options.output + ".partial"
        try FileManager.default.createDirectory(
            atPath: partial, withIntermediateDirectories: false)
        try Data([1]).write(to: URL(filePath: "\(partial)/train.bin"))
        if let lock = try FileLock(ifFree: "\(partial)/progress.lock") {
            expectFailure(.inputOutput, partial, "in use by another process") {
                try tokenize(options)
            }
            _ = consume lock
        } else {
            Issue.record("the lock is held")
        }
        #expect(try FileSystem.names(in: partial) == ["progress.lock", "train.bin"])
    }

    @Test("a file that turns out to be cut off loses no work")
    func cutOffFileLosesNoWork() throws {
        var inputs = try inputs()
        let packed = try Data(contentsOf: URL(filePath: inputs[4]))
        try packed.dropLast(10).write(to: URL(filePath: inputs[4]))
        inputs += [inputs[0]]
        var options = options(inputs, .bytes)
        options.secondsBetweenSaves = 0
        expectFailure(.badData, inputs[4], "is cut off") { try tokenize(options) }
        let partial = try #require(interruptedTokenization(options))
        let state = String(
            decoding: try #require(try content(partial)["progress.json"]), as: UTF8.self)
        for index in 0..<4 { #expect(state.contains("/\(index).txt\"")) }
        #expect(!state.contains("packed.gz"))
        try packed.write(to: URL(filePath: inputs[4]))
        options.resumes = true
        try tokenize(options)
        var reference = options
        reference.resumes = false
        reference.output += "-reference"
        try tokenize(reference)
        #expect(try content(options.output) == content(reference.output))
    }

    @Test("copying a pipe stops at once, and leaves nothing")
    func copyingStopsAtOnce() throws {
        let pipe = "\(scratch.path)/pipe"
        try #require(mkfifo(pipe, 0o600) == 0)
        // A writer that never closes the pipe, and one that does not come.
        for bytes in [Array("some text".utf8), nil] {
            let writer = bytes.map { bytes in
                let writer = open(pipe, O_RDWR)
                _ = bytes.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
                return writer
            }
            defer { if let writer { close(writer) } }
            var options = options([pipe], .bytes)
            let stop = Stop(afterCalls: 4)
            options.stopRequested = { stop.isRequested() }
            expectFailure(.requeue, options.output, "a signal stopped") { try tokenize(options) }
            #expect(try scratch.names() == ["pipe"])
        }
    }

    @Test("learning byte pairs stops at once, and keeps the checked texts")
    func learningStopsAtOnce() throws {
        var options = options(
            try inputs(), .trained(BytePairTraining(vocabularySize: 300, pattern: .gpt2)))
        var merges = 0
        let flag = Flag()
        options.stopRequested = { flag.isSet.load(ordering: .relaxed) }
        expectFailure(.requeue, options.output, "a signal stopped") {
            try tokenize(options) { progress in
                guard progress.phase == .merging else { return }
                merges += 1
                if merges == 3 { flag.isSet.store(true, ordering: .relaxed) }
            }
        }
        #expect(merges == 3)
        let partial = try #require(interruptedTokenization(options))
        #expect(try FileSystem.names(in: partial) == ["progress.json", "progress.lock"])
        options.stopRequested = { false }
        options.resumes = true
        var reads = 0
        try tokenize(options) { if $0.phase == .reading { reads += 1 } }
        #expect(reads == 0)
        var reference = options
        reference.resumes = false
        reference.output += "-reference"
        try tokenize(reference)
        #expect(try content(options.output) == content(reference.output))
    }
}
