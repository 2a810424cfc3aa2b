import Foundation
import TestSupport

/// A command that runs at the same time as the test, which can send it signals.
final class Background {
    /// Lets Open MPI's own mpirun start as root, as containers do.
    static let environment = [
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    ]

    private let process = Process()
    private let output = Pipe()

    init(_ command: String, _ arguments: [String]) throws {
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [command] + arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(Self.environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try Launch.withoutBlockedSignals { try process.run() }
    }

    deinit { if process.isRunning { process.terminate() } }

    /// Waits until a condition holds; fails if the command ends or half a minute passes first.
    func wait(until condition: () throws -> Bool) throws {
        let end = Date(timeIntervalSinceNow: 30)
        while try !condition() {
            guard process.isRunning, Date() < end else { throw NeverCame() }
            usleep(5000)
        }
    }

    /// The command's process.
    var identifier: Int32 { process.processIdentifier }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits for the end and returns the exit code and the standard output.
    func finish() throws -> (status: Int32, output: String) {
        let written = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: written, as: UTF8.self))
    }

    struct NeverCame: Error {}
}
