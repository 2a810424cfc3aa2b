import Foundation
import Support
import Telemetry
import TestSupport
import Testing

private func line(_ step: Int) -> String { "{\"step\":\(step),\"loss\":\(Double(step) / 4)}\n" }

private func evaluation(_ step: Int) -> String { "{\"step\":\(step),\"validation_loss\":2.5}\n" }

@Suite struct MetricsLogTests {
    @Test("a line is written at once and reads back")
    func lineIsWrittenAtOnceAndReadsBack() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let log = try MetricsLog(creating: path)
        try log.append(["step": 1, "loss": 0.1, "list": [1, nil, "x"], "ok": true])
        // The line is in the file without closing or flushing it.
        #expect(
            try folder.read("metrics.jsonl")
                == #"{"step":1,"loss":0.1,"list":[1,null,"x"],"ok":true}"# + "\n")
        try log.append(["step": 2, "loss": .number(.nan), "nonfinite": true])
        #expect(try log.synchronize() == nil)
        let records = try MetricsLog.read(path)
        #expect(records.map(\.step) == [1, 2])
        #expect(records[0]["loss"] == 0.1 && records[1]["loss"] == nil)
        #expect(records[0].fields["list"] == [1, nil, "x"])
        #expect(records[0].fields["ok"] == true)
        #expect(
            records[1].fields["loss"] == JSONValue.null && records[1].fields["nonfinite"] == true)
        #expect(log.supersededLines == 0)
    }

    @Test("an existing log is never restarted")
    func existingLogIsNeverRestarted() throws {
        let folder = try TemporaryFolder()
        try folder.write("metrics.jsonl", line(1))
        let failure = caughtFailure { () throws(Failure) in
            _ = try MetricsLog(creating: folder.path + "/metrics.jsonl")
        }
        #expect(failure?.code == .inputOutput)
        #expect(failure?.sentence.contains("File exists") == true)
        #expect(try folder.read("metrics.jsonl") == line(1))
    }

    @Test("resuming moves later lines away")
    func resumingMovesLaterLinesAway() throws {
        let folder = try TemporaryFolder()
        let header = "{\"note\":\"no step\"}\n"
        try folder.write(
            "metrics.jsonl",
            header + line(1) + line(2) + evaluation(2) + line(3) + evaluation(3) + line(4)
                + #"{"step":5,"lo"#)
        do {
            var read: [Int?] = []
            let log = try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 2) {
                read.append($0.step)
            }
            #expect(log.supersededLines == 3)
            #expect(read == [nil, 1, 2, 2])
            try log.append(["step": 3, "loss": 7])
        }
        let kept = header + line(1) + line(2) + evaluation(2)
        #expect(try folder.read("metrics.jsonl") == kept + "{\"step\":3,\"loss\":7}\n")
        #expect(try folder.read("metrics.superseded.jsonl") == line(3) + evaluation(3) + line(4))

        // A second resume appends to the lines that the first one moved away.
        #expect(
            try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 1).supersededLines == 3)
        #expect(
            try folder.read("metrics.superseded.jsonl")
                == line(3) + evaluation(3) + line(4) + line(2) + evaluation(2)
                + "{\"step\":3,\"loss\":7}\n")
        #expect(try folder.names() == ["metrics.jsonl", "metrics.superseded.jsonl"])
    }

    @Test("an interrupted resume is completed")
    func interruptedResumeIsCompleted() throws {
        let folder = try TemporaryFolder()
        try folder.write("metrics.jsonl", line(1) + line(2))
        try folder.write("metrics.superseded.jsonl", line(9) + line(2))
        try folder.write("metrics.jsonl.partial", "half")
        let log = try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 1)
        #expect(log.supersededLines == 1)
        #expect(try folder.read("metrics.jsonl") == line(1))
        #expect(try folder.read("metrics.superseded.jsonl") == line(9) + line(2))
        #expect(try folder.names() == ["metrics.jsonl", "metrics.superseded.jsonl"])
    }

    @Test("a log without later lines stays unchanged")
    func logWithoutLaterLinesStaysUnchanged() throws {
        let folder = try TemporaryFolder()
        try folder.write("metrics.jsonl", line(1) + line(2))
        #expect(
            try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 2).supersededLines == 0)
        #expect(try folder.read("metrics.jsonl") == line(1) + line(2))
        #expect(try folder.names() == ["metrics.jsonl"])
    }

    @Test("a missing log is created")
    func missingLogIsCreated() throws {
        let folder = try TemporaryFolder()
        let log = try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 5)
        try log.append(["step": 6])
        #expect(try folder.read("metrics.jsonl") == "{\"step\":6}\n")
    }

    @Test("an incomplete last line is dropped", arguments: 0...8)
    func incompleteLastLineIsDropped(_ cut: Int) throws {
        let folder = try TemporaryFolder()
        let last = "{\"a\":12}\n"
        try folder.write("metrics.jsonl", line(1) + last.prefix(cut))
        // A line without its line break is complete if its object is.
        let isWhole = cut == 8
        #expect(try MetricsLog.read(folder.path + "/metrics.jsonl").count == (isWhole ? 2 : 1))
        _ = try MetricsLog(resuming: folder.path + "/metrics.jsonl", after: 1)
        #expect(try folder.read("metrics.jsonl") == line(1) + (isWhole ? last : ""))
        #expect(try folder.names() == ["metrics.jsonl"])
    }

    @Test("a broken line and a missing log are named")
    func brokenLineAndMissingLogAreNamed() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let missing = caughtFailure { () throws(Failure) in _ = try MetricsLog.read(path) }
        #expect(missing?.code == .missingInput)
        for broken in ["[1]\n", "\n", "{\"a\":}\n", "\0\0\0\n"] {
            try folder.write("metrics.jsonl", line(1) + broken + line(2))
            let failure = caughtFailure { () throws(Failure) in _ = try MetricsLog.read(path) }
            #expect(failure?.code == .badData)
            #expect(failure?.sentence.contains("\(path): line 2 is") == true)
        }
        _ = try MetricsLog(resuming: path, after: 2)
        #expect(try folder.read("metrics.jsonl") == line(1) + line(2))
        #expect(try folder.read("metrics.superseded.jsonl") == "\0\0\0\n")
    }

    @Test("a line that cannot be written is named")
    func unwritableLineIsNamed() throws {
        let log = try MetricsLog(resuming: "/dev/full", after: 0)
        for step in 1...3 {
            expectFailure(.inputOutput, "/dev/full", "No space left") { () throws(Failure) in
                try log.append(["step": .integer(step)])
            }
        }
        #expect(try log.synchronize()?.sentence.contains("No space left") == true)
    }

    @Test("a missing folder is named")
    func missingFolderIsNamed() {
        let failure = caughtFailure { () throws(Failure) in
            _ = try MetricsLog(creating: "/nowhere/metrics.jsonl")
        }
        #expect(failure?.code == .inputOutput)
        #expect(failure?.sentence.contains("/nowhere/metrics.jsonl") == true)
    }

    @Test(
        "lines wait for a full disk, which holds no incomplete line",
        .enabled("needs root, to mount a small file system") { SmallDisk.isPossible })
    func linesWaitForAFullDisk() throws {
        try SmallDisk.with(size: "128k") { folder in
            try write(Array(repeating: 0, count: 1 << 16), to: folder + "/other")
            try fillTheDisk(logging: folder + "/metrics.jsonl", freeing: folder + "/other")
        }
    }

    private func fillTheDisk(logging path: String, freeing other: String) throws {
        let log = try MetricsLog(creating: path)
        // Lines have 1000 bytes, so that the disk is full in the middle of one of them.
        let text = String(repeating: "x", count: 1000 - 21)
        func append(_ step: Int) throws {
            try log.append(["step": .integer(step), "text": .string(text)])
        }
        var waiting = 0
        for step in 1000..<1100 {
            do { try append(step) } catch { waiting += 1 }
        }
        let written = 100 - waiting
        #expect(written > 10 && written < 66)
        #expect(try log.synchronize()?.code == .inputOutput)
        let content = try String(contentsOfFile: path, encoding: .utf8)
        #expect(content.hasSuffix("\n"))
        #expect(try MetricsLog.read(path).map(\.step) == Array(1000..<1000 + written))

        try FileManager.default.removeItem(atPath: other)
        try append(1100)
        #expect(try log.synchronize() == nil)
        #expect(try MetricsLog.read(path).map(\.step) == Array(1000...1100))
    }
}
