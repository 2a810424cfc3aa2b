import Glibc
import MPI
import Support

/// The memory that ranks will have resident during training, known before the first step.
package struct MemoryPlan: Sendable {
    /// The name of one use of memory and its size in bytes.
    package struct Part: Sendable, Equatable {
        package let name: String
        package let bytes: Int

        package init(_ name: String, _ bytes: Int) {
            self.name = name
            self.bytes = bytes
        }
    }

    /// The memory of the rank that needs most, broken down by use.
    package let parts: [Part]
    /// The memory that all ranks together need on the host that needs most, with each shared page
    /// counted once.
    package let hostBytes: Int

    package init(parts: [Part], hostBytes: Int) {
        self.parts = parts
        self.hostBytes = hostBytes
    }

    /// Gathers the plan from all ranks. Collective: every rank must call this with the same names.
    ///
    /// - Parameters:
    ///   - own: the memory that this rank needs.
    ///   - program: the part of it that was resident before the rest was allocated.
    ///   - peerBytes: the part of it that another rank of the host counts as its own.
    init(
        own: [Part], program: ResidentMemory, peerBytes: Int, communicator: Communicator
    ) throws(Failure) {
        let total = own.reduce(0) { $0 + $1.bytes }
        let host = try communicator.splitShared()
        let alone = try host.allReduce(Int64(total - peerBytes - program.files), .sum)
        let files = try host.allReduce(Int64(program.files), .maximum)
        hostBytes = Int(try communicator.allReduce(alone + files, .maximum))
        let most = try communicator.allReduce(Int64(total), .maximum)
        let largestRank = try communicator.allReduce(
            Int64(Int64(total) == most ? communicator.rank : communicator.size), .minimum)
        let largest = try communicator.broadcast(
            own.map { Int64($0.bytes) }, root: Int(largestRank))
        parts = zip(own, largest).map { Part($0.name, Int($1)) }.filter { $0.bytes > 0 }
    }

    /// The memory of the rank that needs most, in bytes.
    package var rankBytes: Int { parts.reduce(0) { $0 + $1.bytes } }
}

/// The resident memory of this process, in bytes.
package struct ResidentMemory: Sendable {
    /// The bytes of pages that belong to no file.
    let own: Int
    /// The bytes of pages of the program, its libraries and other files, which all processes of a
    /// host share.
    let files: Int

    var bytes: Int { own + files }

    /// The resident memory as reported by /proc/self/status; zeros if it cannot be read.
    static var now: ResidentMemory {
        let lines = ((try? readText("/proc/self/status")) ?? "").split(separator: "\n")
        func bytes(_ label: String) -> Int {
            let line = lines.first { $0.hasPrefix(label) } ?? ""
            return line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.first
                .map { $0 * 1024 } ?? 0
        }
        return ResidentMemory(own: bytes("RssAnon:") + bytes("RssShmem:"), files: bytes("RssFile:"))
    }

    /// Returns the peak memory of any rank so far, in bytes. Collective: every rank must call this.
    package static func peak(of communicator: Communicator) throws(Failure) -> Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Int(try communicator.allReduce(Int64(usage.ru_maxrss * 1024), .maximum))
    }
}
