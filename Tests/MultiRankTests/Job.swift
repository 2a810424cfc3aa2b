import Foundation
import TestSupport

/// A command that runs at the same time as the test, which can disturb it.
final class Job {
    private let process = Process()

    init(
        _ command: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws {
        process.executableURL = URL(filePath: command)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(Workshop.environment) { $1 }.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try Launch.withoutBlockedSignals { try process.run() }
    }

    deinit { if process.isRunning { process.terminate() } }

    var processIdentifier: pid_t { process.processIdentifier }

    /// Waits until a condition holds; fails if the job ends or a minute passes first.
    func wait(until condition: () -> Bool, _ name: String) throws {
        let end = Date(timeIntervalSinceNow: 60)
        while !condition() {
            guard process.isRunning, Date() < end else { throw NeverHappened(name: name) }
            usleep(2000)
        }
    }

    /// Waits for the end and returns the exit status.
    func waitUntilExit() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Returns the processes of the ranks whose command line names a run's folder.
    func ranks(of run: String) -> [Int: pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        var ranks: [Int: pid_t] = [:]
        for pid in entries.compactMap({ pid_t($0) }) {
            let words = strings(in: "/proc/\(pid)/cmdline")
            guard words.first == Workshop.lockstep, words.contains(run) else { continue }
            let name = "OMPI_COMM_WORLD_RANK="
            let entry = strings(in: "/proc/\(pid)/environ").first { $0.hasPrefix(name) }
            if let rank = entry.flatMap({ Int($0.dropFirst(name.count)) }) { ranks[rank] = pid }
        }
        return ranks
    }

    private func strings(in path: String) -> [String] {
        // These files report no size.
        guard let file = FileHandle(forReadingAtPath: path),
            let data = try? file.readToEnd()
        else { return [] }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    struct NeverHappened: Error { let name: String }
}
