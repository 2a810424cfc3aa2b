import Glibc
import MPI
import Support
import Telemetry
import Training

/// Runs the ranks' common part of a command between MPI's start and end, and exits with its code.
///
/// A failure ends the job with one sentence and the failure's code.
func runOnAllRanks(
    _ body: (Communicator, MPIEnvironment.ThreadLevel) throws(Failure) -> Int32
) throws(Failure) -> Never {
    let environment = try MPIEnvironment(stopRequested: { StopSignals.stopRequested })
    let world = environment.world
    var watch: StallWatch?
    do throws(Failure) {
        if world.size > 1, environment.threadLevel == .multiple {
            watch = try StallWatch(of: world) {
                StandardError.shared.write(line: "lockstep: \($0)")
            }
        }
        try world.requireSameBuild()
        try world.sameOnAllRanks(
            "command", CommandLine.arguments.dropFirst().map { "\($0)\0" }.joined(),
            remedy: "start every rank with the same command")
        let code = try body(world, environment.threadLevel)
        watch?.end()
        try environment.finalize()
        exit(code)
    } catch {
        watch?.end()
        world.exit(reporting: error)
    }
}

/// How progress is shown, as the environment and the terminal have it.
func progressMode() throws(Failure) -> ProgressMode {
    try ProgressMode.chosen(by: processEnvironment(), isTerminal: StandardError.isTerminal)
}
