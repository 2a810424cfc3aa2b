import Foundation
import Telemetry
import TestSupport
import Testing

/// Tests of reading a metrics log that grows.
@Suite struct MetricsFollowerTests {
    private let folder: TemporaryFolder
    private let path: String
    private var follower: MetricsFollower

    init() throws {
        folder = try TemporaryFolder()
        path = "\(folder.path)/metrics.jsonl"
        follower = MetricsFollower(path)
    }

    /// Returns the steps of the new lines, and whether the log was replaced.
    private mutating func read() throws -> (steps: [Int?], restarted: Bool) {
        var steps: [Int?] = []
        var restarted = false
        try follower.read(restarted: { restarted = true }, line: { steps.append($0.step) })
        return (steps, restarted)
    }

    private func append(_ text: String) throws {
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    @Test("only new and complete lines are read")
    mutating func newLines() throws {
        #expect(try read().steps.isEmpty, "there is no file yet")
        try folder.write("metrics.jsonl", "{\"step\":1,\"loss\":2}\n{\"step\":2,\"lo")
        #expect(try read().steps == [1])
        #expect(try read().steps.isEmpty)
        try append("ss\":2}\nnot JSON\n{\"step\":3,\"loss\":2}\n{")
        let (steps, restarted) = try read()
        #expect(steps == [2, 3] && !restarted)
        try append("\"step\":4,\"validation_loss\":null}\n")
        #expect(try read().steps == [4])
    }

    @Test("a log that a resume replaced or shortened is read again from its start")
    mutating func replacedLog() throws {
        try folder.write("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n")
        #expect(try read().steps == [1, 2, 3])
        try folder.write("new", "{\"step\":1}\n{\"step\":2}\n{\"step\":5}\n{\"step\":6}\n")
        _ = try FileManager.default.replaceItemAt(
            URL(filePath: path), withItemAt: URL(filePath: "\(folder.path)/new"))
        var (steps, restarted) = try read()
        #expect(steps == [1, 2, 5, 6] && restarted)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.truncate(atOffset: 11)
        (steps, restarted) = try read()
        #expect(steps == [1] && restarted)
    }

    @Test("all evaluations and the newest steps of a very long log are read")
    mutating func longLog() throws {
        let filler = String(repeating: "x", count: 1000)
        var text = ""
        for step in 1...40_000 {
            text += "{\"step\":\(step),\"loss\":2,\"filler\":\"\(filler)\"}\n"
            if step % 1000 == 0 { text += "{\"step\":\(step),\"validation_loss\":2}\n" }
        }
        try folder.write("metrics.jsonl", text)
        var (losses, evaluations) = ([Int](), [Int]())
        try follower.read(
            restarted: {},
            line: { record in
                guard let step = record.step else { return }
                if record["loss"] != nil { losses.append(step) } else { evaluations.append(step) }
            })
        #expect(evaluations == (1...40).map { $0 * 1000 })
        #expect(losses.count > 10_000 && losses.count < 30_000, "\(losses.count)")
        #expect(Array(losses.suffix(100)) == Array(39_901...40_000))
        #expect(losses == losses.sorted())
        try append("{\"step\":40001,\"loss\":2}\n")
        #expect(try read().steps == [40_001])
    }
}
