import Foundation
import Support
import Telemetry
import TestSupport
import Testing

/// Tests of TensorBoard's event files, which a reader without common code reads back.
@Suite struct EventFileTests {
    private static let sums: [(bytes: [UInt8], sum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ([UInt8](0..<32), 0x46DD_794E),
        ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
        ([UInt8]("123456789".utf8), 0xE306_9283),
        ([], 0),
    ]

    @Test("CRC-32C has the values of RFC 3720", arguments: sums)
    func crc(bytes: [UInt8], sum: UInt32) {
        #expect(MaskedCRC32C.unmasked(bytes) == sum)
        #expect(MaskedCRC32C.of(bytes) == ((sum >> 15) | (sum << 17)) &+ 0xA282_EAD8)
    }

    /// Returns the events of the only file in a folder.
    private func events(in folder: String) throws -> [ReadEvent] {
        let name = try #require(try TestSupport.names(in: folder).last)
        return try EventReader.events(try bytes(of: "\(folder)/\(name)"))
    }

    @Test("scalars, texts and histograms read back")
    func valuesReadBack() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/run/tensorboard"
        let file = EventFile(in: path, host: "node/1", resumingAt: nil)
        let histogram = HistogramSummary(
            minimum: -1.5, maximum: 2, sum: 0.25, sumOfSquares: 9,
            bins: [(-1, 3), (0, 0), (2.5, 200)])
        let before = WallClock.seconds
        try file.append(
            [
                .init("train/loss", .scalar(2.5)), .init("train/rate", .scalar(.nan)),
                .init("weights/a", .histogram(histogram)),
            ], step: 300)
        try file.append([.init("sample/text_summary", .text("née\n"))], step: 1 << 40)
        try file.append([.init("validation/loss", .scalar(1e-3))], step: 0)
        let names = try TestSupport.names(in: path)
        #expect(names.count == 1)
        #expect(
            names.first?.wholeMatch(of: /events\.out\.tfevents\.[0-9]{10}\.node_1\.[0-9]+\.0/)
                != nil,
            "\(names)")
        let events = try events(in: path)
        #expect(events.map(\.version) == ["brain.Event:2", nil, nil, nil])
        #expect(events.map(\.step) == [0, 300, 1 << 40, 0])
        #expect(events.allSatisfy { !$0.isStart })
        #expect(events.allSatisfy { (before...before + 100).contains($0.time) })
        #expect(events[1].scalars["train/loss"] == 2.5)
        var expected = ReadHistogram()
        (expected.minimum, expected.maximum, expected.count) = (-1.5, 2, 203)
        (expected.sum, expected.sumOfSquares) = (0.25, 9)
        (expected.limits, expected.counts) = ([-1, 0, 2.5], [3, 0, 200])
        #expect(events[1].scalars["train/rate"]?.isNaN == true)
        #expect(
            events[1].histograms == [
                "weights/a": expected
            ])
        #expect(events[2].texts == ["sample/text_summary": "née\n"])
        #expect(events[3].scalars == ["validation/loss": Float(1e-3)])
    }

    @Test("the reader of these tests notices a damaged byte")
    func damageIsNoticed() throws {
        let folder = try TemporaryFolder()
        try EventFile(in: folder.path, host: "a", resumingAt: 3).append(
            [.init("loss", .scalar(1))], step: 3)
        let name = try #require(try folder.names().first)
        let whole = try folder.bytes(of: name)
        #expect(try EventReader.events(whole).count == 3)
        for index in whole.indices {
            var damaged = whole
            damaged[index] ^= 16
            #expect(throws: (any Error).self) { try EventReader.events(damaged) }
        }
    }

    @Test("a resumed run gets a file of its own, which is read after the others")
    func resumedRun() throws {
        let folder = try TemporaryFolder()
        try EventFile(in: folder.path, host: "z", resumingAt: nil).append(
            [.init("loss", .scalar(1))], step: 1)
        // The clock was set back after this file was written.
        try folder.write("events.out.tfevents.9000000000.a.1.0", "")
        try folder.write("notes.txt", "")
        let file = EventFile(in: folder.path, host: "b", resumingAt: 8)
        try file.writeWaitingRecords()
        try file.synchronize()
        let names = try folder.names()
        #expect(names.count == 4)
        #expect(names[2].hasPrefix("events.out.tfevents.9000000001.b."), "\(names)")
        let events = try EventReader.events(try folder.bytes(of: names[2]))
        #expect(events.map(\.isStart) == [false, true])
        #expect(events.map(\.step) == [0, 8])
        #expect(events[0].version != nil && events[1].version == nil)
    }

    @Test(
        "events that do not fit on the disk wait for room",
        .enabled("needs root, to mount a small file system") { SmallDisk.isPossible })
    func fullDisk() throws {
        try SmallDisk.with(size: "16k") { path in
            let file = EventFile(in: "\(path)/tensorboard", host: "a", resumingAt: nil)
            var failures: [Failure] = []
            for step in 1...200 {
                let text = SummaryValue("text", .text(String(repeating: "x", count: 100)))
                do throws(Failure) { try file.append([text], step: step) } catch {
                    failures.append(error)
                }
                // Another file gives room halfway.
                if step == 1 { try write(Array(repeating: 0, count: 6000), to: "\(path)/other") }
                if step == 150 { try FileManager.default.removeItem(atPath: "\(path)/other") }
            }
            #expect(!failures.isEmpty && failures.count < 200)
            #expect(failures.allSatisfy { $0.sentence.contains("No space left on device") })
            let steps = try events(in: "\(path)/tensorboard").dropFirst().map(\.step)
            #expect(steps == Array(1...steps.count), "whole events, in order")
            #expect(file.lostEvents == 0)
        }
    }
}
