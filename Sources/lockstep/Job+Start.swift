import Glibc
import MPI
import Support
import Telemetry
import Training

/// The way in which a command ended on all ranks.
enum CommandEnding {
    /// The command did its work. The first rank prints the lines, and the exit code is 0.
    case finished([String])
    /// A signal stopped the command. The first rank prints the line, and the exit code asks the
    /// scheduler to requeue the job.
    case stopped(String)

    /// The ending of a command that keeps no part of its work if it is stopped.
    static let discarded = CommandEnding.stopped(
        "stopped because a signal asked for it; nothing was written")
}

/// The response of a command to a signal that asks it to stop.
enum StopResponse {
    /// End at once, because there is nothing to keep.
    case exitAtOnce
    /// Stop after the current step.
    case finishStep
    /// Leave SIGTERM and SIGINT to the system.
    case systemDefault
}

extension Job {
    /// Starts MPI, runs a command on all ranks, ends MPI, and exits with the command's code.
    ///
    /// A failure ends the job with one sentence and the failure's code.
    static func run(
        _ threads: ThreadsOption, emulatesBF16: Bool = false, onStop response: StopResponse,
        _ command: (Job) throws(Failure) -> CommandEnding
    ) throws(Failure) -> Never {
        let threadCount = try threads.count()
        let progress = try progressMode()
        switch response {
        case .exitAtOnce: StopSignals.exitAtOnce()
        case .finishStep: StopSignals.listenForTermination()
        case .systemDefault: break
        }
        let environment = try MPIEnvironment(stopRequested: { StopSignals.stopRequested })
        let world = environment.world
        let job = Job(
            world, threads: threadCount, progress: progress, emulatesBF16: emulatesBF16,
            threadLevel: environment.threadLevel)
        var watch: StallWatch?
        do throws(Failure) {
            if world.size == 1 || job.threadLevel == .multiple {
                watch = try StallWatch(of: world) {
                    StandardError.shared.write(line: "lockstep: \($0)")
                }
            }
            try world.requireSameBuild()
            try world.sameOnAllRanks(
                "command", CommandLine.arguments.dropFirst().map { "\($0)\0" }.joined(),
                remedy: "start every rank with the same command")
            let code = try job.report(try command(job))
            watch?.end()
            try environment.finalize()
            exit(code)
        } catch {
            watch?.end()
            world.exit(reporting: error)
        }
    }

    /// Prints lines on the first rank alone.
    func print(_ lines: [String]) throws(Failure) {
        guard isFirstRank else { return }
        for line in lines { try StandardOutput.write(line: line) }
    }

    /// Prints how a command ended, and returns the exit code.
    private func report(_ ending: CommandEnding) throws(Failure) -> Int32 {
        switch ending {
        case .finished(let lines):
            try print(lines)
            return 0
        case .stopped(let line):
            // If the terminal is gone, the message cannot be written.
            try? print([line])
            return Failure.Code.requeue.rawValue
        }
    }
}

/// Returns the way in which progress is shown, which the environment and the terminal decide.
func progressMode() throws(Failure) -> ProgressMode {
    try ProgressMode.chosen(by: processEnvironment(), isTerminal: StandardError.isTerminal)
}

/// Returns the command that resumes the work of a command in a folder, for messages.
func resumption(of command: String, in folder: String) -> String {
    "`\(MPIEnvironment.hasLauncher ? "launch/mpirun -- " : "")lockstep \(command) --resume --out "
        + "\(shellQuoted(folder))`"
}
