import Foundation

/// The output and the exit status of a command.
package struct Outcome {
    package let status: Int32
    package let output: String
    package let errors: String

    /// The lines on stderr, without the command that `launch/mpirun` prints first.
    package var sentences: [String] {
        errors.split(separator: "\n").filter { !$0.hasPrefix("+ ") }.map(String.init)
    }

    /// The JSON lines of the output, one for each rank.
    package func reports<Report: Decodable>(_ type: Report.Type = Report.self) throws -> [Report] {
        try output.split(separator: "\n").filter { $0.hasPrefix("{") }.map {
            try JSONDecoder().decode(Report.self, from: Data($0.utf8))
        }
    }
}

/// Starts real commands for tests, one at a time, because several jobs on a few cores only slow one
/// another down.
package enum Launch {
    /// The package's folder.
    package static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// The folder of built executables, which is that of the running tests.
    package static let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().path

    /// The variables that let Open MPI's own mpirun start as root, as containers do.
    package static let rootEnvironment = [
        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    ]

    private static let gate = NSLock()

    /// Whether `launch/test --fast` runs these tests; it leaves out those that start commands.
    private static let isRefused =
        ProcessInfo.processInfo.environment["LOCKSTEP_TEST_STARTS"] == "none"

    /// Whether the tests that take minutes and need the network run too, as in `launch/test --all`.
    package static let runsAll = ProcessInfo.processInfo.environment["LOCKSTEP_TEST_ALL"] == "1"

    private struct Refused: Error, CustomStringConvertible {
        let description =
            "launch/test --fast starts no commands; move the test to a target or suite that it skips."
    }

    /// Runs the probe with `ranks` ranks by `launch/mpirun`, as users start theirs.
    package static func probe(
        ranks: Int, _ arguments: String..., environment: [String: String] = [:]
    ) throws -> Outcome {
        try run(
            "\(root)/launch/mpirun",
            ["--ranks", "\(ranks)", "--oversubscribe", "--", "\(products)/multirank-probe"]
                + arguments, environment: environment)
    }

    /// Runs a command, for at most `seconds`; `environment` is added to the tests' own.
    package static func run(
        _ command: String, _ arguments: [String], environment: [String: String] = [:],
        seconds: Int = 120
    ) throws -> Outcome {
        guard !isRefused else { throw Refused() }
        gate.lock()
        defer { gate.unlock() }
        let folder = try TemporaryFolder()
        let output = URL(filePath: try folder.write("out", ""))
        let errors = URL(filePath: try folder.write("err", ""))

        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["timeout", "--kill-after=5", "\(seconds)", command] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try withoutBlockedSignals { try process.run() }
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, output: try folder.read("out"),
            errors: try folder.read("err"))
    }

    /// Runs `body` with no signal blocked: tests run on threads that block them all, and children
    /// inherit that.
    package static func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    /// Returns the processes that have an argument, in the order of their ids; `program` is the first
    /// word of their command line, or nil for any.
    package static func processes(
        naming argument: String, program: String? = nil
    ) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }
            .sorted()
            .filter { number in
                let words = words(in: "/proc/\(number)/cmdline")
                return words.contains(argument) && (program == nil || words.first == program)
            }
    }

    /// Returns the processes of the ranks whose command line names a run's folder.
    package static func ranks(of run: String) throws -> [Int: Int32] {
        let name = "OMPI_COMM_WORLD_RANK="
        var ranks: [Int: Int32] = [:]
        for process in try processes(naming: run, program: Workbench.lockstep) {
            let entry = environment(of: process).first { $0.hasPrefix(name) }
            if let rank = entry.flatMap({ Int($0.dropFirst(name.count)) }) { ranks[rank] = process }
        }
        return ranks
    }

    /// Returns the environment with which a process was started, as NAME=VALUE.
    package static func environment(of process: Int32) -> [String] {
        words(in: "/proc/\(process)/environ")
    }

    /// Returns the words of a file in which each word ends with a zero byte.
    private static func words(in file: String) -> [String] {
        let content = FileManager.default.contents(atPath: file) ?? Data()
        return content.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
