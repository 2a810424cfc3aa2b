import Failures
import MPI
import Telemetry
import Training

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Runs the ranks' common part of a command between MPI's start and end, and exits with its code.
///
/// A failure ends the job with one sentence and the failure's code.
func runOnAllRanks(
    _ body: (Communicator, MPIEnvironment.ThreadLevel) throws(Failure) -> Int32
) throws(Failure) -> Never {
    let environment = try MPIEnvironment()
    let world = environment.world
    do throws(Failure) {
        let code = try body(world, environment.threadLevel)
        try environment.finalize()
        exit(code)
    } catch {
        world.exit(reporting: error)
    }
}

/// How progress is shown, as the environment and the terminal have it.
func progressMode() throws(Failure) -> ProgressMode {
    try ProgressMode.chosen(by: processEnvironment(), isTerminal: StandardError.isTerminal)
}

/// The number of threads in each rank: the option's, else the launcher's, else one.
func threadCount(_ option: Int?) throws(Failure) -> Int {
    let text = processEnvironment()["LOCKSTEP_THREADS"] ?? ""
    guard option == nil, !text.isEmpty else {
        return try checked(option ?? 1, "--threads-per-rank")
    }
    guard let count = Int(text) else {
        throw Failure(
            .usage, "LOCKSTEP_THREADS is \"\(text)\", which is no number: set it to 1 or more.")
    }
    return try checked(count, "LOCKSTEP_THREADS")
}

private func checked(_ count: Int, _ name: String) throws(Failure) -> Int {
    guard count >= 1, count <= 1024 else {
        throw Failure(.usage, "\(name) is \(count), but must be from 1 to 1024; try 1.")
    }
    return count
}
