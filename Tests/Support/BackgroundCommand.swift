import Foundation

/// A command that runs at the same time as the test, which can send it signals.
package final class BackgroundCommand {
    private let process = Process()
    private let output = Pipe()

    /// Starts a command; `environment` is added to the tests' own.
    package init(
        _ command: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws {
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [command] + arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(Launch.rootEnvironment) { $1 }.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try Launch.withoutBlockedSignals { try process.run() }
    }

    deinit { if process.isRunning { process.terminate() } }

    /// The command's process.
    package var identifier: Int32 { process.processIdentifier }

    package func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits until a condition holds; fails if the command ends or a minute passes first.
    package func wait(
        until condition: () throws -> Bool, _ name: String = "the condition"
    ) throws {
        let end = Date(timeIntervalSinceNow: 60)
        while try !condition() {
            guard process.isRunning, Date() < end else { throw NeverHappened(name: name) }
            usleep(2000)
        }
    }

    /// Waits for the end and returns the exit code and the standard output.
    package func finish() throws -> (status: Int32, output: String) {
        let written = try output.fileHandleForReading.readToEnd() ?? Data()
        return (waitUntilExit(), String(decoding: written, as: UTF8.self))
    }

    /// Waits for the end of a command that writes little, and returns the exit code.
    package func waitUntilExit() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    private struct NeverHappened: Error { let name: String }
}
