import ArgumentParser
import Glibc
import MPI
import Support
import Telemetry
import Training

// Without this, the process would die of SIGPIPE when a pipe's reader, such as `head`, exits.
signal(SIGPIPE, SIG_IGN)
StopSignals.install()

let firstArgument = CommandLine.arguments.dropFirst().first

do {
    ProcessName.set(MPIEnvironment.processName)
    try Log.bootstrap(
        rank: MPIEnvironment.launchedRank, name: MPIEnvironment.processName,
        environment: processEnvironment())
    try Lockstep.checkCommand(firstArgument)
    var command = try Lockstep.parseAsRoot()
    if let name = Lockstep.nameIfForOneProcess(command) {
        // Only rank 0 of a job does the work.
        guard MPIEnvironment.launchedRank == 0 else { exit(0) }
        try MPIEnvironment.requireOneTask(for: name)
    }
    try command.run()
} catch let failure as Failure {
    // A command line is wrong on all ranks, but the environment may be wrong on one host only.
    let isCommon = failure.code == .usage
    if !isCommon, MPIEnvironment.launchedRank != 0 { MPIEnvironment.endJob(failure) }
    let name = isCommon ? nil : ProcessName.current
    end(failure.code.rawValue, message: failure.met(by: name).line)
} catch {
    // The parser throws help and version as errors, too, with exit code 0.
    let code = Lockstep.exitCode(for: error)
    if code.isSuccess {
        if MPIEnvironment.launchedRank == 0 { print(Lockstep.fullMessage(for: error)) }
        exit(0)
    }
    let command = firstArgument.flatMap { Lockstep.commandNames.contains($0) ? $0 : nil }
    let failure = Lockstep.failure(Lockstep.message(for: error), of: command)
    end(failure.code.rawValue, message: failure.line)
}

/// Ends the process. Only rank 0 prints the message, because all ranks have the same command line.
func end(_ code: Int32, message: String) -> Never {
    if MPIEnvironment.launchedRank == 0 { StandardError.shared.write(line: message) }
    exit(code)
}
