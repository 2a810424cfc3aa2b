import Failures
import Foundation
import Synchronization

/// A bound on MPI's start, which waits without end for a rank that cannot be reached.
///
/// A thread of its own watches, because the one that starts MPI does not return.
final class StartWatch: Sendable {
    /// The seconds that MPI may take to start, unless LOCKSTEP_START_TIMEOUT says otherwise.
    static let defaultSeconds = 60.0
    /// The seconds after a stop request in which a start that makes progress may still end.
    private static let graceSeconds = 2.0
    /// The seconds that other ranks wait longer than rank 0, so that one speaks for all.
    private static let staggerSeconds = 5.0

    private let isOver = Atomic<Bool>(false)

    /// Starts to watch.
    ///
    /// - Throws: `.configuration` if LOCKSTEP_START_TIMEOUT is not a positive number.
    init(stopRequested: @escaping @Sendable () -> Bool) throws(Failure) {
        let text = ProcessInfo.processInfo.environment["LOCKSTEP_START_TIMEOUT"]
        let given = text.map { Double($0) ?? .nan }
        guard given.map({ $0 > 0 && $0.isFinite }) ?? true else {
            throw Failure(
                .configuration,
                "LOCKSTEP_START_TIMEOUT = \(text ?? ""): is not a positive number of seconds; set "
                    + "one such as 60.")
        }
        let seconds = given ?? Self.defaultSeconds
        let patience = seconds + (MPIEnvironment.launchedRank == 0 ? 0 : Self.staggerSeconds)
        Thread.detachNewThread { [self] in
            watch(stopRequested, naming: seconds, patience: patience)
        }
    }

    /// Ends the watch: MPI has started.
    func end() {
        if isOver.exchange(true, ordering: .acquiringAndReleasing) {
            // The watcher was first and is about to end the process.
            while true { sleep(1) }
        }
    }

    private func watch(
        _ stopRequested: () -> Bool, naming seconds: Double, patience: Double
    ) {
        let clock = ContinuousClock()
        let start = clock.now
        var request: ContinuousClock.Instant?
        while !isOver.load(ordering: .acquiring) {
            let now = clock.now
            if request == nil, stopRequested() { request = now }
            if let request, now - request > .seconds(Self.graceSeconds), claim() {
                _exit(Failure.Code.requeue.rawValue)
            }
            if now - start > .seconds(patience), claim() {
                Self.failure(after: seconds).endProcess()
            }
            usleep(50_000)
        }
    }

    private func claim() -> Bool { !isOver.exchange(true, ordering: .acquiringAndReleasing) }

    private static func failure(after seconds: Double) -> Failure {
        let networks = HostNetworks.list
        let list = networks.isEmpty ? "no network" : networks.joined(separator: ", ")
        return Failure(
            .configuration,
            "MPI has not connected all ranks within \(seconds.formatted()) s (rank "
                + "\(MPIEnvironment.launchedRank) on \(Communicator.hostName) waits; its networks: "
                + "\(list)); give launch/mpirun --interface the network that joins the hosts, or set "
                + "LOCKSTEP_START_TIMEOUT to more seconds.")
    }
}
