import COpenMPI
import Glibc
import Support

/// The MPI library between `MPI_Init_thread` and `MPI_Finalize`; a process has at most one.
///
/// It cannot be copied, and `finalize` consumes it, so a process finalizes at most once. A process
/// that fails does not finalize but calls `Communicator.exit(reporting:)`, because finalizing waits
/// for ranks that may be waiting for this one.
public struct MPIEnvironment: ~Copyable {
    /// The threads of a process that may call MPI.
    public enum ThreadLevel: Int32, Sendable, CustomStringConvertible {
        case single, funneled, serialized, multiple

        /// The level's name in the MPI standard.
        public var description: String {
            let names = ["SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE"]
            return "MPI_THREAD_\(names[Int(rawValue)])"
        }
    }

    /// The thread level that the library provides, which may be below the requested one.
    public let threadLevel: ThreadLevel
    /// All ranks of the job.
    public let world: Communicator

    /// Initializes MPI, by `MPI_Init_thread`.
    ///
    /// If a start does not reach all ranks within LOCKSTEP_START_TIMEOUT seconds (60), the process
    /// ends with an error message. If it is still waiting some seconds after a stop request, the
    /// process ends with `.requeue`.
    ///
    /// - Throws: `Failure` (configuration) if the library provides less than `.funneled`, or sees
    ///   one rank although the launcher started several; `Failure` (bug) if MPI is already
    ///   initialized.
    public init(
        stopRequested: @escaping @Sendable () -> Bool = { false }
    ) throws(Failure) {
        var initialized: Int32 = 0
        try check("MPI_Initialized", MPI_Initialized(&initialized))
        guard initialized == 0 else {
            throw .defect("MPI was initialized twice in one process")
        }
        let tasks = Self.launchedTasks
        Self.preferEagerMessages()
        if Self.hasLauncher {
            try Self.requireSlurmSupport()
        } else {
            try Self.checkTaskCount(tasks, ranks: 1)
            Self.startAlone()
        }
        let watch = try StartWatch(stopRequested: stopRequested)
        var provided: Int32 = 0
        try check(
            "MPI_Init_thread",
            MPI_Init_thread(nil, nil, ThreadLevel.multiple.rawValue, &provided))
        let threadLevel = ThreadLevel(rawValue: provided) ?? .single
        let world = try Communicator(lockstep_comm_world())
        // Initialization opens no connection between ranks; the first message does.
        try world.barrier()
        watch.end()
        guard threadLevel != .single else {
            throw .about(
                .configuration, "the MPI library",
                "provides \(threadLevel), but \(ThreadLevel.funneled) is needed",
                remedy: "use a build of Open MPI with threads, such as Debian's openmpi-bin")
        }
        try Self.checkTaskCount(tasks, ranks: world.size)
        self.threadLevel = threadLevel
        self.world = world
    }

    /// Frees the shared windows that are still open and ends MPI, by `MPI_Finalize`; collective:
    /// every rank must call this.
    public consuming func finalize() throws(Failure) {
        try SharedWindow.freeAll()
        try check("MPI_Finalize", MPI_Finalize())
    }

    /// The MPI library's description of itself, on one line; available before initialization.
    public static var libraryVersion: String {
        var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING))
        var length: Int32 = 0
        guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "unknown" }
        return string(from: text, length: length).split(whereSeparator: \.isNewline)
            .joined(separator: " ")
    }

    /// The size in bytes of the largest message that is sent over TCP without a request to send.
    package static let eagerBytes = 1 << 20

    /// Configures Open MPI to start this process as the only rank, without a helper process,
    /// temporary files or a network.
    ///
    /// Without this, Open MPI crashes if the temporary folder is full, prints messages of its own
    /// if the machine has no network, and looks for other tasks in a step of srun. The user's own
    /// settings take precedence.
    private static func startAlone() {
        setenv("OMPI_MCA_ess", "singleton", 0)
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0)
        setenv("OMPI_MCA_orte_create_session_dirs", "0", 0)
        setenv("OMPI_MCA_if", "^posix_ipv4", 0)
    }

    /// Makes Open MPI send messages of up to a mebibyte over TCP immediately, without first
    /// exchanging a request and an acknowledgment.
    ///
    /// Open MPI moves a message only while both sides are inside its calls. A message that needs a
    /// request crosses the network three times instead of once, and between the layers of the
    /// backward pass each crossing waits for a call. The user's own settings take precedence.
    private static func preferEagerMessages() {
        for name in ["eager_limit", "max_send_size"] {
            setenv("OMPI_MCA_btl_tcp_\(name)", "\(eagerBytes)", 0)
        }
    }
}
