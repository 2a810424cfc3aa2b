import Compute
import Glibc
import MPI
import Support

/// The facts that one rank knows about its machine.
package struct MachineFacts: Sendable, Equatable {
    package var host: String
    /// The system's numbers of the processors that the rank may run on.
    package var processors: [Int]
    /// The cores of these processors.
    package var cores: Set<Int>
    /// The cores that all ranks of the job may use on the machine.
    package var usable: UsableCores
    /// The number of cores of the whole machine.
    package var machineCores: Int
    /// The number of threads that the rank would train with.
    package var threads: Int
    /// The instruction set of the matrix kernels.
    package var instructionSet: String
    package var memoryBytes: Int
    /// The free bytes in /dev/shm, where ranks of a host share memory; nil if it does not exist.
    package var sharedMemoryBytes: Int?
    /// Whether waiting ranks yield their cores.
    package var yields: Bool
    /// The SHA-256 hash of the program's file.
    package var build: String
    /// The host's network interfaces with their addresses, such as "eth0 10.77.0.1/24".
    package var networks: [String]

    /// Returns the facts of this rank.
    ///
    /// - Throws: `Failure` (I/O) if the program cannot read its own file.
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

    /// Returns the facts of all ranks, in the order of the ranks. Collective: every rank must call
    /// this.
    package static func gather(
        threads: Int, communicator: Communicator
    ) throws(Failure) -> [MachineFacts] {
        let own = try communicator.agree { () throws(Failure) in
            Array(try here(threads: threads).json.text.utf8)
        }
        return try communicator.allGatherBytes(own).map { (bytes) throws(Failure) -> MachineFacts in
            guard let facts = try? MachineFacts(parsing: bytes) else {
                throw .defect("A rank's facts cannot be decoded")
            }
            return facts
        }
    }
}

extension MachineFacts: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        host = try json.read("host")
        processors = try json.read("processors")
        cores = Set(try json.read("cores") as [Int])
        usable = UsableCores(
            cores: Set(try json.read("usable_cores") as [Int]), quota: try json.read("quota"))
        machineCores = try json.read("machine_cores")
        threads = try json.read("threads")
        instructionSet = try json.read("instruction_set")
        memoryBytes = try json.read("memory_bytes")
        sharedMemoryBytes = try json.read("shared_memory_bytes")
        yields = try json.read("yields")
        build = try json.read("build")
        networks = try json.read("networks")
    }

    var json: JSONObject {
        [
            "host": .string(host), "processors": .array(processors.map(JSONValue.integer)),
            "cores": .array(cores.sorted().map(JSONValue.integer)),
            "usable_cores": .array(usable.cores.sorted().map(JSONValue.integer)),
            "quota": usable.quota.map(JSONValue.number) ?? .null,
            "machine_cores": .integer(machineCores), "threads": .integer(threads),
            "instruction_set": .string(instructionSet), "memory_bytes": .integer(memoryBytes),
            "shared_memory_bytes": sharedMemoryBytes.map(JSONValue.integer) ?? .null,
            "yields": .bool(yields), "build": .string(build),
            "networks": .array(networks.map(JSONValue.string)),
        ]
    }
}

/// Returns the free bytes of a folder's file system; nil if they cannot be determined.
func freeBytes(of folder: String) -> Int? {
    var information = statvfs()
    guard statvfs(folder, &information) == 0 else { return nil }
    return Int(information.f_bavail) * Int(information.f_frsize)
}

/// The machine's memory in bytes, or the limit of this process's control groups if it is lower.
package var machineMemoryBytes: Int {
    let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    let groups = (try? readText("/proc/self/cgroup")) ?? ""
    return controlGroupFolders(of: "memory", groups: groups).reduce(physical) { least, group in
        let file = group.version == 2 ? "memory.max" : "memory.limit_in_bytes"
        let text = (try? readText("\(group.folder)/\(file)")) ?? ""
        // "max" means that there is no limit.
        return min(least, Int(text.filter { !$0.isWhitespace }) ?? least)
    }
}

/// Whether the launcher makes waiting ranks yield their cores, which is necessary if there are more
/// ranks than cores.
package var ranksYield: Bool {
    getenv("OMPI_MCA_mpi_yield_when_idle").map { String(cString: $0) } == "1"
}

/// Returns the threads of a rank. Each thread is bound to a core, unless waiting ranks yield: then
/// the threads are not bound, and they yield between loops.
package func rankTeam(threads: Int) -> ThreadTeam {
    ThreadTeam(threads: threads, yields: ranksYield, bindsThreads: !ranksYield)
}
