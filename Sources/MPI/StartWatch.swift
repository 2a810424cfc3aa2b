import Foundation
import Support
import Synchronization

/// A time limit for MPI's start, which would wait forever for a rank that cannot be reached.
///
/// It has its own thread, because the call that starts MPI may not return.
final class StartWatch: Sendable {
    /// The seconds that MPI may take to start, if LOCKSTEP_START_TIMEOUT is unset.
    static let defaultSeconds = 60.0
    /// A limit on the seconds that may be given, which is more than eleven days.
    private static let limitSeconds = 1e6
    /// The seconds after a stop request in which a start that makes progress may still end.
    private static let graceSeconds = 2.0
    /// The seconds that other ranks wait longer than rank 0, so that only one reports.
    private static let staggerSeconds = 5.0

    private let isOver = Atomic<Bool>(false)

    /// Starts the watch.
    ///
    /// - Throws: `Failure` (configuration) if LOCKSTEP_START_TIMEOUT is not a positive number.
    init(stopRequested: @escaping @Sendable () -> Bool) throws(Failure) {
        let text = ProcessInfo.processInfo.environment["LOCKSTEP_START_TIMEOUT"]
        let given = text.map { Double($0) ?? .nan }
        guard given.map({ $0 > 0 && $0 < Self.limitSeconds }) ?? true else {
            throw .variable(
                "LOCKSTEP_START_TIMEOUT", text ?? "",
                "is not a positive number of seconds below a million",
                remedy: "set one such as 60")
        }
        let seconds = given ?? Self.defaultSeconds
        let waitSeconds = seconds + (MPIEnvironment.launchedRank == 0 ? 0 : Self.staggerSeconds)
        Thread.detachNewThread { [self] in
            watch(stopRequested, naming: seconds, waitSeconds: waitSeconds)
        }
    }

    /// Ends the watch, once MPI has started.
    func end() {
        if isOver.exchange(true, ordering: .acquiringAndReleasing) {
            // The watching thread was first and is about to end the process.
            while true { sleep(1) }
        }
    }

    private func watch(
        _ stopRequested: () -> Bool, naming seconds: Double, waitSeconds: Double
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
            if now - start > .seconds(waitSeconds), claim() {
                Self.failure(after: seconds).endProcess(naming: nil)
            }
            usleep(50_000)
        }
    }

    private func claim() -> Bool { !isOver.exchange(true, ordering: .acquiringAndReleasing) }

    private static func failure(after seconds: Double) -> Failure {
        let networks = HostNetworks.list
        let list = networks.isEmpty ? "no network" : networks.joined(separator: ", ")
        return .about(
            .configuration, "MPI",
            "did not connect all ranks within \(seconds.formatted()) s (rank "
                + "\(MPIEnvironment.launchedRank) on \(Communicator.hostName) waits; its networks: "
                + "\(list))",
            remedy: "give launch/mpirun --interface the network that connects the hosts, or set "
                + "LOCKSTEP_START_TIMEOUT to more seconds")
    }
}

/// The networks of this host over which ranks on other hosts could reach it.
package enum HostNetworks {
    /// The name, address and prefix length of each IPv4 interface that is up, such as
    /// "eth0 10.77.0.1/24", without loopback.
    package static var list: [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var networks: [String] = []
        var next = first
        while let interface = next?.pointee {
            next = interface.ifa_next
            guard Int(interface.ifa_flags) & Int(IFF_UP) != 0,
                Int(interface.ifa_flags) & Int(IFF_LOOPBACK) == 0,
                let address = ipv4(interface.ifa_addr), let mask = ipv4(interface.ifa_netmask)
            else { continue }
            let bytes = withUnsafeBytes(of: address) { $0.map(String.init) }
            networks.append(
                "\(String(cString: interface.ifa_name)) \(bytes.joined(separator: "."))"
                    + "/\(mask.nonzeroBitCount)")
        }
        return networks
    }

    /// Returns an IPv4 address in network byte order; nil for another family.
    private static func ipv4(_ address: UnsafeMutablePointer<sockaddr>?) -> in_addr_t? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
            $0.pointee.sin_addr.s_addr
        }
    }
}
