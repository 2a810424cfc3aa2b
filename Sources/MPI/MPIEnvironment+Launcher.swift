import FoundationEssentials
import Glibc
import Support

/// The properties of the launcher that started this process, according to its environment.
///
/// They must be read before MPI starts, because MPI sets Open MPI's variables in a process that was
/// started without a launcher.
extension MPIEnvironment {
    /// The rank given by the job's launcher, known before MPI starts; 0 in a process started alone.
    ///
    /// It lets rank 0 alone print and work for a job without starting MPI. Variables that another
    /// launcher set, or that an ended job left behind, are ignored; otherwise no process would do
    /// the work.
    package static let launchedRank: Int = {
        guard hasJob else { return 0 }
        return ["OMPI_COMM_WORLD_RANK", "PMIX_RANK"].compactMap(number).first ?? 0
    }()

    /// Whether the ranks of the job run on several hosts, as far as its launcher tells.
    static let hasSeveralHosts: Bool = {
        guard hasJob else { return false }
        if let nodes = number("SLURM_STEP_NUM_NODES"), number("OMPI_COMM_WORLD_SIZE") == nil {
            return nodes > 1
        }
        guard let here = number("OMPI_COMM_WORLD_LOCAL_SIZE") else { return false }
        return number("OMPI_COMM_WORLD_SIZE").map { here < $0 } ?? false
    }()

    /// The rank and the host of this process, such as "rank 1 on node2", for its messages; nil for
    /// rank 0 of a job on one host, whose messages need no name.
    package static let processName = name(ofRank: launchedRank, on: Communicator.hostName)

    /// Returns the name of a rank for its messages; nil if they need none.
    static func name(ofRank rank: Int, on host: String) -> String? {
        rank == 0 && !hasSeveralHosts ? nil : "rank \(rank) on \(host)"
    }

    /// Reports a failure that other ranks may meet at about the same time, and ends the job.
    ///
    /// Only one rank should report it, so the others wait until mpirun ends them because the first
    /// one has ended.
    package static func endJob(_ failure: Failure) -> Never {
        let delayNanoseconds =
            launchedRank == 0 ? 0 : 3_000_000_000 + Int64(min(launchedRank, 20)) * 250_000_000
        let end = MonotonicClock.nanoseconds + delayNanoseconds
        while MonotonicClock.nanoseconds < end { usleep(50_000) }
        StandardError.shared.endBar(keeping: true)
        failure.endProcess()
    }

    /// Whether a launcher of any kind started this process.
    package static let hasLauncher =
        ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains { number($0) != nil }

    /// Checks that a launcher did not start several tasks that would each do the work of a command
    /// for one process.
    ///
    /// The ranks of one job are accepted, because all leave the work to rank 0.
    ///
    /// - Throws: `Failure` (configuration) with the number of tasks if there are several.
    package static func requireOneTask(for command: String) throws(Failure) {
        guard !hasJob, let tasks = launchedTasks else { return }
        throw tasks.failure(
            "lockstep \(command) needs only 1 process",
            remedy: "start it once, without the launcher, or unset \(tasks.variable)")
    }

    /// Checks that MPI does not see one rank although a launcher started several tasks: each task
    /// would train alone, and all would write the same files.
    ///
    /// This happens if MPI does not support the launcher's process manager.
    ///
    /// - Throws: `Failure` (configuration) with the number of tasks if there are several.
    static func checkTaskCount(_ tasks: LaunchedTasks?, ranks: Int) throws(Failure) {
        guard ranks == 1, let tasks else { return }
        let remedy =
            number("SLURM_PROCID") != nil || tasks.variable.hasPrefix("SLURM")
            ? "start them with mpirun inside the allocation, or with srun --mpi=pmix"
            : "start them with launch/mpirun or Open MPI's mpirun"
        throw tasks.failure(
            "MPI sees 1 rank", remedy: "\(remedy), or unset \(tasks.variable) to run alone")
    }

    /// Checks that Open MPI supports the process manager with which srun started this process,
    /// which it would otherwise report in a page of text.
    ///
    /// - Throws: `Failure` (configuration) if srun offers only PMI-1 or PMI-2, and Open MPI was
    ///   built without them.
    static func requireSlurmSupport() throws(Failure) {
        guard getenv("SLURM_STEPID") != nil, getenv("PMI_RANK") != nil, getenv("PMIX_RANK") == nil,
            number("OMPI_COMM_WORLD_SIZE") == nil
        else { return }
        let components = Set(processManagerComponents)
        let supported: Set = ["mca_pmix_s1.so", "mca_pmix_s2.so", "mca_pmix_cray.so"]
        guard !components.isEmpty, components.isDisjoint(with: supported) else { return }
        throw .about(
            .configuration, "Open MPI", "does not support the process manager of srun (PMI)",
            remedy: "start the job with srun --mpi=pmix, or with launch/mpirun inside the "
                + "allocation")
    }

    /// The tasks that a launcher started, according to an environment variable.
    struct LaunchedTasks {
        /// The name of the variable.
        let variable: String
        /// The value of the variable.
        let value: Int
        /// The smallest possible number of tasks.
        let count: Int

        /// Returns the failure of a process that should be one of these tasks.
        func failure(_ contradiction: String, remedy: String) -> Failure {
            let least = value == count ? "" : "at least "
            return .variable(
                variable, value,
                "means that a launcher started \(least)\(count) tasks, but \(contradiction)",
                remedy: remedy)
        }
    }

    /// The tasks that a launcher started; nil if there is no launcher, or only one task.
    static var launchedTasks: LaunchedTasks? {
        // Open MPI's variable decides, because srun or a batch script around mpirun sets its own.
        if let size = number("OMPI_COMM_WORLD_SIZE") {
            guard size > 1 else { return nil }
            return LaunchedTasks(variable: "OMPI_COMM_WORLD_SIZE", value: size, count: size)
        }
        let sizes = [
            "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_SIZE",
            "FLUX_JOB_SIZE", "JSM_NAMESPACE_SIZE",
        ]
        // In a batch script, which is task 0, this is the number of tasks that it may start.
        let slurmSize = number("SLURM_PROCID") ?? 0 > 0 ? ["SLURM_NTASKS"] : []
        let ranks = [
            "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MPI_LOCALRANKID",
            "MV2_COMM_WORLD_RANK", "SLURM_PROCID", "FLUX_TASK_RANK", "JSM_NAMESPACE_RANK",
            "PALS_RANKID",
        ]
        for (variables, beyond) in [(sizes + slurmSize, 0), (ranks, 1)] {
            for variable in variables {
                guard let value = number(variable), value + beyond > 1 else { continue }
                return LaunchedTasks(variable: variable, value: value, count: value + beyond)
            }
        }
        return nil
    }

    /// Whether a server of Open MPI's process manager (PMIx) responds, which proves that the other
    /// ranks exist.
    private static let hasJob: Bool = {
        guard number("PMIX_RANK") != nil else { return false }
        let variables = ProcessInfo.processInfo.environment.filter {
            $0.key.hasPrefix("PMIX_SERVER_URI")
        }
        // Most of these are the same.
        return Set(variables.values).contains(where: answers)
    }()

    /// Returns whether a process accepts connections at the address, which is one of this machine,
    /// such as "12.0;tcp4://127.0.0.1:43305".
    private static func answers(at uri: String) -> Bool {
        guard let scheme = uri.firstRange(of: "://"), let colon = uri.lastIndex(of: ":"),
            scheme.upperBound < colon
        else { return false }
        let host = uri[scheme.upperBound..<colon].filter { $0 != "[" && $0 != "]" }
        let port = String(uri[uri.index(after: colon)...])
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &found) == 0, let address = found?.pointee else {
            return false
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // A server that is too busy to accept within this time exists too.
        var sendTimeout = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &sendTimeout, socklen_t(MemoryLayout<timeval>.size)
        )
        return connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 || errno == EINPROGRESS
    }

    /// The files of Open MPI's components for process managers; empty if the library that this
    /// process uses contains them, or is part of the program.
    private static var processManagerComponents: [String] {
        let maps = (try? readText("/proc/self/maps")) ?? ""
        guard let line = maps.split(separator: "\n").first(where: { $0.contains("/libmpi.so") }),
            let start = line.firstIndex(of: "/")
        else { return [] }
        let folder = URL(filePath: String(line[start...])).deletingLastPathComponent()
        // The last of these is Debian's folder.
        return ["openmpi", "openmpi3", "openmpi/lib/openmpi3"].flatMap { name in
            let names = try? FileSystem.names(in: folder.appending(path: name).path)
            return (names ?? []).filter { $0.hasPrefix("mca_pmix_") }
        }
    }

    /// Returns the number in a variable; nil if it holds none, or a number near 2^32, which PMIx
    /// uses for special values.
    private static func number(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
            .flatMap { $0 >= 0 && $0 < Int(Int32.max) ? $0 : nil }
    }
}
