import Failures
import FoundationEssentials
import Kernels
import MPI
import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What one rank knows of the machine it runs on.
package struct MachineFacts: Codable, Sendable, Equatable {
    package var host: String
    /// Cores that the rank may run on, by the system's numbers.
    package var cores: [Int]
    /// Cores of the whole machine.
    package var coresOnline: Int
    /// Threads that the rank would train with.
    package var threads: Int
    /// The instruction set of the matrix kernels.
    package var instructionSet: String
    package var memoryBytes: Int
    /// Free in /dev/shm, where ranks of a host share memory; nil where there is none.
    package var sharedMemoryBytes: Int?
    /// Whether waiting ranks give their core away.
    package var yields: Bool
    /// SHA-256 of the program.
    package var build: String
    /// The interfaces of the host with their addresses, such as "eth0 10.77.0.1/24".
    package var networks: [String]

    package init(
        host: String, cores: [Int], coresOnline: Int, threads: Int, instructionSet: String,
        memoryBytes: Int, sharedMemoryBytes: Int?, yields: Bool, build: String,
        networks: [String] = []
    ) {
        self.host = host
        self.cores = cores
        self.coresOnline = coresOnline
        self.threads = threads
        self.instructionSet = instructionSet
        self.memoryBytes = memoryBytes
        self.sharedMemoryBytes = sharedMemoryBytes
        self.yields = yields
        self.build = build
        self.networks = networks
    }

    /// The facts of this rank.
    ///
    /// - Throws: `Failure` (I/O) where the program cannot read itself.
    package static func here(threads: Int) throws(Failure) -> MachineFacts {
        MachineFacts(
            host: Communicator.hostName, cores: CoreBinding.cores.flatMap { $0 }.sorted(),
            coresOnline: sysconf(Int32(_SC_NPROCESSORS_ONLN)), threads: threads,
            instructionSet: InstructionSet.best.name(for: .bf16),
            memoryBytes: machineMemoryBytes, sharedMemoryBytes: freeBytes(of: "/dev/shm"),
            yields: ranksYield, build: try digestOfThisProgram(), networks: HostNetworks.list)
    }

    /// The facts of all ranks, in their order; all ranks must come here.
    package static func gather(
        threads: Int, communicator: Communicator
    ) throws(Failure) -> [MachineFacts] {
        let own = try communicator.agree { () throws(Failure) in
            let facts = try here(threads: threads)
            guard let data = try? JSONEncoder().encode(facts) else {
                throw Failure(.bug, "The machine's facts cannot be encoded; please report this.")
            }
            return [UInt8](data)
        }
        var all: [MachineFacts] = []
        for bytes in try communicator.allGatherBytes(own) {
            guard let facts = try? JSONDecoder().decode(MachineFacts.self, from: Data(bytes)) else {
                throw Failure(.bug, "A rank's facts cannot be decoded; please report this.")
            }
            all.append(facts)
        }
        return all
    }
}

/// What is free on the file system of a folder; nil where that cannot be told.
func freeBytes(of folder: String) -> Int? {
    var information = statvfs()
    guard statvfs(folder, &information) == 0 else { return nil }
    return Int(information.f_bavail) * Int(information.f_frsize)
}

/// The machine's memory in bytes, or what of it the control group of this process may use.
package var machineMemoryBytes: Int {
    let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let groups = (try? readText("/proc/self/cgroup")) ?? ""
    return controlGroupMemoryFiles(groups: groups).reduce(physical) { least, file in
        // "max" is no number.
        let limit = (try? readText(file)).flatMap { Int($0.filter { !$0.isWhitespace }) }
        return min(least, limit ?? least)
    }
}

/// Where the memory limits of a process's control groups stand, of version 2 and 1: its own and
/// those of the groups above.
///
/// - Parameter groups: the content of /proc/self/cgroup, with lines such as
///   "0::/system.slice/job.scope".
package func controlGroupMemoryFiles(groups: String) -> [String] {
    groups.split(separator: "\n").flatMap { line -> [String] in
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return [] }
        let root: String
        let file: String
        if parts[1].isEmpty {
            (root, file) = ("/sys/fs/cgroup", "memory.max")
        } else if parts[1].split(separator: ",").contains("memory") {
            (root, file) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return []
        }
        var folder = root
        var files = ["\(root)/\(file)"]
        for name in parts[2].split(separator: "/") {
            folder += "/\(name)"
            files.append("\(folder)/\(file)")
        }
        return files
    }
}

/// Whether the launcher told waiting ranks to give their core away, as more ranks than cores must.
package var ranksYield: Bool { environmentVariable("OMPI_MCA_mpi_yield_when_idle") == "1" }

/// The threads of a rank: bound to a core each or, where there are more threads than cores, giving
/// theirs away between loops.
package func rankTeam(threads: Int) -> ThreadTeam {
    ThreadTeam(threads: threads, yields: ranksYield, bindsThreads: !ranksYield)
}
