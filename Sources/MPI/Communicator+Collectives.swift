import COpenMPI
import Support

/// A number that MPI can reduce.
public protocol ReducibleScalar: AdditiveArithmetic, BitwiseCopyable, Sendable {
    /// The MPI datatype.
    static var datatype: MPI_Datatype { get }
}

extension Int64: ReducibleScalar {
    /// `MPI_INT64_T`.
    public static var datatype: MPI_Datatype { lockstep_int64() }
}

extension Float: ReducibleScalar {
    /// `MPI_FLOAT`.
    public static var datatype: MPI_Datatype { lockstep_float() }
}

extension Double: ReducibleScalar {
    /// `MPI_DOUBLE`.
    public static var datatype: MPI_Datatype { lockstep_double() }
}

/// An operation that combines the ranks' values.
public enum ReductionOperation: Sendable {
    case minimum, maximum, sum

    fileprivate var handle: MPI_Op {
        switch self {
        case .minimum: lockstep_min()
        case .maximum: lockstep_max()
        case .sum: lockstep_sum()
        }
    }
}

extension Communicator {
    /// The largest piece of a message in bytes: MPI's counts are 32-bit.
    public static let largestPiece = 1 << 30

    /// Waits until every rank has called this, by `MPI_Barrier`.
    public func barrier() throws(Failure) {
        try checkWaiting("MPI_Barrier", MPI_Barrier(handle))
    }

    /// Replaces every rank's bytes by the root's, by `MPI_Bcast`; any size, in pieces of `piece`.
    ///
    /// All ranks must pass the same byte count.
    public func broadcast(
        _ bytes: UnsafeMutableRawBufferPointer, root: Int = 0, piece: Int = largestPiece
    ) throws(Failure) {
        precondition(piece > 0 && piece <= Int(Int32.max), "a piece fits a 32-bit count")
        for offset in stride(from: 0, to: bytes.count, by: piece) {
            let count = min(piece, bytes.count - offset)
            let start = bytes.baseAddress.map { $0 + offset }
            try checkWaiting(
                "MPI_Bcast", MPI_Bcast(start, Int32(count), lockstep_byte(), Int32(root), handle))
        }
    }

    /// Returns every rank's values, in rank order, by `MPI_Allgather`.
    ///
    /// All ranks must pass the same number of values.
    public func allGather<Element: BitwiseCopyable>(
        _ values: [Element]
    ) throws(Failure) -> [Element] {
        guard let first = values.first else { return [] }
        var gathered = [Element](repeating: first, count: values.count * size)
        let bytes = try messageCount(values.count * MemoryLayout<Element>.stride)
        try checkWaiting("MPI_Allgather", allGather(values, into: &gathered, bytes))
        return gathered
    }

    /// Stores every rank's bytes in `all`, in rank order, by `MPI_Allgather`.
    ///
    /// All ranks must pass the same number of bytes, and `all` must have `size` times as many.
    public func allGather(
        _ own: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer
    ) throws(Failure) {
        precondition(all.count == own.count * size, "there is room for every rank's bytes")
        let count = try messageCount(own.count)
        try checkWaiting("MPI_Allgather", allGather(own.baseAddress, into: all.baseAddress, count))
    }

    private func allGather(
        _ own: UnsafeRawPointer?, into all: UnsafeMutableRawPointer?, _ bytes: Int32
    ) -> Int32 {
        MPI_Allgather(own, bytes, lockstep_byte(), all, bytes, lockstep_byte(), handle)
    }

    /// Returns every rank's bytes, which may differ in number, by `MPI_Allgatherv`.
    public func allGatherBytes(_ bytes: [UInt8]) throws(Failure) -> [[UInt8]] {
        let counts = try allGather([Int64(bytes.count)]).map(Int.init)
        let total = counts.reduce(0, +)
        // All ranks know all counts, so this throws on all ranks or on none.
        _ = try messageCount(total)
        let offsets = counts.indices.map { counts[..<$0].reduce(0, +) }
        var gathered = [UInt8](repeating: 0, count: total)
        try checkWaiting(
            "MPI_Allgatherv",
            MPI_Allgatherv(
                bytes, Int32(bytes.count), lockstep_byte(), &gathered, counts.map(Int32.init),
                offsets.map(Int32.init), lockstep_byte(), handle))
        return counts.indices.map { Array(gathered[offsets[$0]..<offsets[$0] + counts[$0]]) }
    }

    /// Returns every rank's text, in rank order.
    public func allGatherText(_ text: String) throws(Failure) -> [String] {
        try allGatherBytes(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Returns the elementwise reduction of all ranks' values, by `MPI_Allreduce`.
    ///
    /// Use it for small control values; the bits of a floating-point sum may depend on the layout.
    public func allReduce<Element: ReducibleScalar>(
        _ values: [Element], _ operation: ReductionOperation
    ) throws(Failure) -> [Element] {
        var reduced = [Element](repeating: .zero, count: values.count)
        let count = try messageCount(values.count)
        try checkWaiting(
            "MPI_Allreduce",
            MPI_Allreduce(values, &reduced, count, Element.datatype, operation.handle, handle))
        return reduced
    }

    /// Stores the elementwise reduction of all ranks' `source` in `result`, by `MPI_Allreduce`.
    ///
    /// It takes as many values as MPI can count, in one call; the two arrays must not overlap.
    public func allReduce<Element: ReducibleScalar>(
        _ source: UnsafePointer<Element>, into result: UnsafeMutablePointer<Element>, count: Int,
        _ operation: ReductionOperation
    ) throws(Failure) {
        let count = try messageCount(count)
        try checkWaiting(
            "MPI_Allreduce",
            MPI_Allreduce(source, result, count, Element.datatype, operation.handle, handle))
    }

    /// Returns the reduction of one value of each rank.
    public func allReduce<Element: ReducibleScalar>(
        _ value: Element, _ operation: ReductionOperation
    ) throws(Failure) -> Element {
        try allReduce([value], operation).first ?? value
    }
}

/// Returns a count in MPI's type.
func messageCount(_ count: Int) throws(Failure) -> Int32 {
    guard let count = Int32(exactly: count) else {
        throw .defect("A message of \(count) elements is too long for MPI")
    }
    return count
}
