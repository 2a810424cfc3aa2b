import Compute
import FoundationEssentials
import Glibc
import MPI
import Support

/// What one rank knows of the machine it runs on.
package struct MachineFacts: Codable, Sendable, Equatable {
    package var host: String
    /// Processors that the rank may run on, by the system's numbers.
    package var processors: [Int]
    /// The cores of these processors.
    package var cores: Set<Int>
    /// The cores that all ranks of the job may use on the machine.
    package var usable: UsableCores
    /// The number of cores of the whole machine.
    package var machineCores: Int
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
        host: String, processors: [Int], cores: Set<Int>, usable: UsableCores, machineCores: Int,
        threads: Int, instructionSet: String, memoryBytes: Int, sharedMemoryBytes: Int?,
        yields: Bool, build: String, networks: [String] = []
    ) {
        self.host = host
        self.processors = processors
        self.cores = cores
        self.usable = usable
        self.machineCores = machineCores
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
        let processors = CoreBinding.cores.flatMap { $0 }.sorted()
        return MachineFacts(
            host: Communicator.hostName, processors: processors,
            cores: UsableCores.coreNumbers(of: Set(processors)), usable: .here,
            machineCores: UsableCores.machine.count, threads: threads,
            instructionSet: InstructionSet.best.name(for: .bf16),
            memoryBytes: machineMemoryBytes, sharedMemoryBytes: freeBytes(of: "/dev/shm"),
            yields: ranksYield, build: try digestOfThisProgram(), networks: HostNetworks.list)
    }

    /// Returns the facts of all ranks, in their order. Collective.
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
    return controlGroupFolders(of: "memory", groups: groups).reduce(physical) { least, group in
        let file = group.version == 2 ? "memory.max" : "memory.limit_in_bytes"
        let text = (try? readText("\(group.folder)/\(file)")) ?? ""
        // "max" is not a number.
        return min(least, Int(text.filter { !$0.isWhitespace }) ?? least)
    }
}

/// Whether the launcher told waiting ranks to give their core away, as more ranks than cores must.
package var ranksYield: Bool { environmentVariable("OMPI_MCA_mpi_yield_when_idle") == "1" }

/// The threads of a rank: bound to a core each or, where there are more threads than cores, giving
/// theirs away between loops.
package func rankTeam(threads: Int) -> ThreadTeam {
    ThreadTeam(threads: threads, yields: ranksYield, bindsThreads: !ranksYield)
}
