import Compute
import Foundation
import Support
import TestSupport
import Testing

/// Tests that the readers of files from others read the seeds of the fuzzer, and read or refuse
/// damaged ones.
@Suite struct SeedTests {
    private static let damages = 40

    @Test("seeds are read, and damaged seeds are read or refused", arguments: readers.keys.sorted())
    func seeds(name: String) throws {
        let reader = try #require(readers[name])
        let folder = try TemporaryFolder()
        let seeds = "\(Launch.root)/Tests/Fuzzing/Seeds/\(name)"
        let random = CounterRandom(key: 21)
        var draws: UInt64 = 0
        func draw(_ limit: Int) -> Int {
            draws += 1
            return Int(random.bits(draws) % UInt64(max(1, limit)))
        }
        for seed in try FileManager.default.contentsOfDirectory(atPath: seeds).sorted() {
            let whole = Array(try Foundation.Data(contentsOf: URL(filePath: "\(seeds)/\(seed)")))
            #expect(try isRead(whole, by: reader, in: folder.path), "\(seed)")
            for _ in 0..<Self.damages {
                var damaged = whole
                if draw(4) == 0 { damaged.removeLast(draw(damaged.count)) }
                for _ in 0..<1 + draw(3) where !damaged.isEmpty {
                    damaged[draw(damaged.count)] = UInt8(draw(256))
                }
                _ = try isRead(damaged, by: reader, in: folder.path)
            }
        }
    }

    /// Returns whether a reader reads the bytes; false if it refuses them.
    private func isRead(
        _ bytes: [UInt8], by reader: (Input) throws -> Void, in folder: String
    ) throws -> Bool {
        do {
            try bytes.withUnsafeBytes { try reader(Input(bytes: $0, folder: folder)) }
            return true
        } catch let failure as Failure {
            #expect(failure.code != .bug, "\(failure)")
            return false
        } catch is JSONProblem {
            return false
        }
    }
}
