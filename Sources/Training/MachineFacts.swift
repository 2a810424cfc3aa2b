import Failures
import FoundationEssentials
import Kernels
import MPI

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

    package init(
        host: String, cores: [Int], coresOnline: Int, threads: Int, instructionSet: String,
        memoryBytes: Int, sharedMemoryBytes: Int?, yields: Bool, build: String
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
    }

    /// The facts of this rank.
    ///
    /// - Throws: `Failure` (I/O) where the program cannot read itself.
    package static func here(threads: Int) throws(Failure) -> MachineFacts {
        MachineFacts(
            host: Communicator.hostName, cores: allowedCores(),
            coresOnline: sysconf(Int32(_SC_NPROCESSORS_ONLN)), threads: threads,
            instructionSet: InstructionSet.best.name(for: .bf16),
            memoryBytes: machineMemoryBytes, sharedMemoryBytes: freeBytes(of: "/dev/shm"),
            yields: ranksYield, build: try digestOfThisProgram())
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

    /// The cores of `Cpus_allowed_list` in /proc/self/status; empty where that cannot be read.
    private static func allowedCores() -> [Int] {
        let label = "Cpus_allowed_list:"
        let status = (try? readText("/proc/self/status")) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix(label) } ?? ""
        return cores(inList: line.dropFirst(label.count).filter { !$0.isWhitespace })
    }

    /// The numbers of a list such as "0-3,8".
    package static func cores(inList list: String) -> [Int] {
        list.split(separator: ",").flatMap { part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else {
                return [Int]()
            }
            return Array(first...last)
        }
    }
}

/// What is free on the file system of a folder; nil where that cannot be told.
func freeBytes(of folder: String) -> Int? {
    var information = statvfs()
    guard statvfs(folder, &information) == 0 else { return nil }
    return Int(information.f_bavail) * Int(information.f_frsize)
}

/// The machine's memory in bytes.
package var machineMemoryBytes: Int {
    sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
}

/// Whether the launcher told waiting ranks to give their core away, as more ranks than cores must.
package var ranksYield: Bool { environmentVariable("OMPI_MCA_mpi_yield_when_idle") == "1" }
