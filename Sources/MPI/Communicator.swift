import COpenMPI
import Glibc
import Support

/// A group of ranks that exchange messages, with errors returned rather than fatal.
///
/// The handle lives until MPI ends: communicators are few, and freeing one is itself collective.
/// Calls are blocking unless they return a `Request`. All calls that do not name another rank are
/// collective, except for `abort` and `exit`, so every rank must make them in the same order.
public struct Communicator: @unchecked Sendable {
    /// The time that the launcher gets to forward the last output before a job is aborted.
    private static let forwardingMicroseconds: UInt32 = 300_000

    let handle: MPI_Comm
    /// This process's rank, in `0..<size`.
    public let rank: Int
    /// The number of ranks.
    public let size: Int

    init(_ handle: MPI_Comm?) throws(Failure) {
        guard let handle, handle != lockstep_comm_null() else {
            throw .defect("MPI returned a null communicator")
        }
        try check(
            "MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(handle, lockstep_errors_return()))
        var rank: Int32 = 0
        var size: Int32 = 0
        try check("MPI_Comm_rank", MPI_Comm_rank(handle, &rank))
        try check("MPI_Comm_size", MPI_Comm_size(handle, &size))
        self.handle = handle
        self.rank = Int(rank)
        self.size = Int(size)
    }

    /// Returns the ranks with the same color, ordered by key and then by rank, by `MPI_Comm_split`.
    public func split(color: Int, key: Int = 0) throws(Failure) -> Communicator {
        precondition(color >= 0, "a color is not negative")
        var part: MPI_Comm?
        try checkWaiting("MPI_Comm_split", MPI_Comm_split(handle, Int32(color), Int32(key), &part))
        return try Communicator(part)
    }

    /// Returns the ranks that share this rank's node and memory, in order, by
    /// `MPI_Comm_split_type`.
    package func splitShared() throws(Failure) -> Communicator {
        var part: MPI_Comm?
        let kind = Int32(MPI_COMM_TYPE_SHARED)
        try checkWaiting(
            "MPI_Comm_split_type",
            MPI_Comm_split_type(handle, kind, Int32(rank), lockstep_info_null(), &part))
        return try Communicator(part)
    }

    /// Returns a communicator of some ranks, which include this one, in their order, by
    /// `MPI_Comm_create_group`. Collective over these ranks alone.
    package func group(of ranks: [Int]) throws(Failure) -> Communicator {
        var all: MPI_Group?
        var part: MPI_Group?
        try check("MPI_Comm_group", MPI_Comm_group(handle, &all))
        try check(
            "MPI_Group_incl",
            MPI_Group_incl(all, Int32(ranks.count), ranks.map(Int32.init), &part))
        var members: MPI_Comm?
        try checkWaiting(
            "MPI_Comm_create_group", MPI_Comm_create_group(handle, part, 0, &members))
        try check("MPI_Group_free", MPI_Group_free(&part))
        try check("MPI_Group_free", MPI_Group_free(&all))
        return try Communicator(members)
    }

    /// Returns the same ranks with separate message tags, by `MPI_Comm_dup`.
    public func duplicate() throws(Failure) -> Communicator {
        var copy: MPI_Comm?
        try checkWaiting("MPI_Comm_dup", MPI_Comm_dup(handle, &copy))
        return try Communicator(copy)
    }

    /// The name of this process's host, by `gethostname`; available before MPI starts. Not
    /// collective.
    public static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return string(from: name, length: Int32(name.count))
    }

    /// Ends all ranks of the job, with this exit code, by `MPI_Abort`.
    public func abort(_ code: Failure.Code) -> Never {
        // Open MPI 5 drops output that its launcher has not read when the job is aborted.
        usleep(Self.forwardingMicroseconds)
        _ = MPI_Abort(handle, code.rawValue)
        // MPI_Abort may return while the launcher is still killing the job.
        Glibc.exit(code.rawValue)
    }
}
