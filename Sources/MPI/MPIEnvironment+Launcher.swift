import Failures
import FoundationEssentials

#if canImport(Glibc)
    import Glibc

    private let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
    import Musl

    private let streamSocket = SOCK_STREAM
#endif

/// What the environment says of the launcher that started this process.
///
/// It is read before MPI starts: a process without a launcher then gives itself Open MPI's variables.
extension MPIEnvironment {
    /// The rank given by the job's launcher, known before MPI starts; 0 in a process started alone.
    ///
    /// It lets rank 0 alone speak and work for a job without starting MPI. Variables that another
    /// launcher set, or that an ended job left behind, give no rank: nobody would do the work.
    package static let launchedRank: Int = {
        guard hasJob else { return 0 }
        return ["OMPI_COMM_WORLD_RANK", "PMIX_RANK"].compactMap(number).first ?? 0
    }()

    /// Whether a launcher started this process, of whatever kind.
    package static let hasLauncher =
        ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains { number($0) != nil }

    /// Throws if a launcher started several tasks, each of which would do the same work in one
    /// process.
    ///
    /// - Throws: `.configuration` unless they are the ranks of one job, of which the others leave
    ///   the work to rank 0.
    package static func requireOneTask(for command: String) throws(Failure) {
        guard !hasJob, let tasks = launchedTasks else { return }
        throw Failure(
            .configuration,
            "\(tasks.sentence), but lockstep \(command) works in 1 process; start it once, without "
                + "the launcher, or unset \(tasks.variable).")
    }

    /// Throws if a launcher started several tasks but MPI sees one rank: each would train alone,
    /// and all would write the same files.
    ///
    /// Without a process manager that both sides know, every task becomes a job of its own.
    static func checkTaskCount(_ tasks: LaunchedTasks?, ranks: Int) throws(Failure) {
        guard ranks == 1, let tasks else { return }
        let remedy =
            number("SLURM_PROCID") != nil || tasks.variable.hasPrefix("SLURM")
            ? "start them with mpirun inside the allocation, or with srun --mpi=pmix"
            : "start them with launch/mpirun or Open MPI's mpirun"
        throw Failure(
            .configuration,
            "\(tasks.sentence), but MPI sees 1 rank; \(remedy), or unset \(tasks.variable) to run "
                + "alone.")
    }

    /// The tasks of which a launcher says that this process is one.
    struct LaunchedTasks {
        /// The variable that says so.
        let variable: String
        let value: Int
        /// The tasks that there are at least.
        let count: Int

        var sentence: String {
            let least = value == count ? "" : "at least "
            return "\(variable) = \(value): a launcher started \(least)\(count) tasks"
        }
    }

    /// What the launcher says it started, if that is more than one task.
    static var launchedTasks: LaunchedTasks? {
        // Open MPI's own word: srun or a batch script around mpirun leaves its variables as well.
        if let size = number("OMPI_COMM_WORLD_SIZE") {
            guard size > 1 else { return nil }
            return LaunchedTasks(variable: "OMPI_COMM_WORLD_SIZE", value: size, count: size)
        }
        var sizes = ["PMI_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS"]
        // A batch script, which is task 0, is told how many tasks it may start.
        if number("SLURM_PROCID") ?? 0 > 0 { sizes.append("SLURM_NTASKS") }
        for variable in sizes {
            guard let size = number(variable), size > 1 else { continue }
            return LaunchedTasks(variable: variable, value: size, count: size)
        }
        let ranks = [
            "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MPI_LOCALRANKID", "SLURM_PROCID",
        ]
        for variable in ranks {
            guard let rank = number(variable), rank > 0 else { continue }
            return LaunchedTasks(variable: variable, value: rank, count: rank + 1)
        }
        return nil
    }

    /// Whether a server of the process manager that Open MPI asks (PMIx) answers, which proves that
    /// the other ranks exist.
    private static let hasJob: Bool = {
        guard number("PMIX_RANK") != nil else { return false }
        return serverAddresses.contains { answers(host: $0.host, port: $0.port) }
    }()

    /// The addresses in variables such as PMIX_SERVER_URI4 = "12.0;tcp4://127.0.0.1:43305"; those of
    /// different versions are mostly alike.
    private static var serverAddresses: Set<Address> {
        var addresses: Set<Address> = []
        for (name, uri) in ProcessInfo.processInfo.environment
        where name.hasPrefix("PMIX_SERVER_URI") {
            guard let scheme = uri.firstRange(of: "://"), let colon = uri.lastIndex(of: ":"),
                scheme.upperBound < colon
            else { continue }
            let host = uri[scheme.upperBound..<colon].filter { $0 != "[" && $0 != "]" }
            addresses.insert(Address(host: host, port: String(uri[uri.index(after: colon)...])))
        }
        return addresses
    }

    private struct Address: Hashable {
        let host: String
        let port: String
    }

    /// Whether something accepts connections at an address, which is on this machine.
    private static func answers(host: String, port: String) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = streamSocket
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &found) == 0, let address = found?.pointee else {
            return false
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // A server that is too busy to accept within seconds exists as well.
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        return connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 || errno == EINPROGRESS
    }

    /// A variable's number; nil for none, and for the numbers near 2^32 that PMIx gives no rank.
    private static func number(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
            .flatMap { $0 >= 0 && $0 < Int(Int32.max) ? $0 : nil }
    }
}
