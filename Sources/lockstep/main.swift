import ArgumentParser
import Failures
import MPI
import Telemetry
import Training

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

// A pipe's reader may go away, as `| head` does; that is no reason for a crash.
signal(SIGPIPE, SIG_IGN)

do {
    try Log.bootstrap(rank: MPIEnvironment.launchedRank, environment: processEnvironment())
    var command = try Lockstep.parseAsRoot()
    try command.run()
} catch let failure as Failure {
    end(failure.code.rawValue, message: "lockstep: \(failure.sentence)")
} catch {
    // Help and version are errors too for the parser, with the code 0.
    let code = Lockstep.exitCode(for: error)
    let message = Lockstep.fullMessage(for: error)
    if code.isSuccess, MPIEnvironment.launchedRank == 0 {
        print(message)
        exit(0)
    }
    end(code.isSuccess ? 0 : Failure.Code.usage.rawValue, message: message)
}

/// Ends the process; all ranks were given the same command line, so rank 0 speaks for them.
func end(_ code: Int32, message: String) -> Never {
    if MPIEnvironment.launchedRank == 0 { StandardError.shared.write(line: message) }
    exit(code)
}
