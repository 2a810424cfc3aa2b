import CCompute
import Glibc

/// The resources of kernels: a thread team, the matrix kernels that suit the processor, and scratch
/// memory.
///
/// Scratch memory grows when a shape is first used and is reused from then on.
package final class ComputeEngine: @unchecked Sendable {
    package let team: ThreadTeam
    /// The instruction set that the engine's matrix kernels are compiled for.
    package let instructionSet: InstructionSet
    /// Whether kernels compute nothing and only record the scratch memory that they would use.
    ///
    /// A model that runs on a recording engine runs all its code except for the loops over tiles,
    /// so a plan of its memory cannot differ from the memory it uses.
    package let isRecording: Bool
    // Element i belongs to thread i alone, and the last element to the team between its loops.
    private let memories: UnsafeMutablePointer<ScratchMemory>

    /// Creates an engine with a team of its own.
    package convenience init(threads: Int = 1, instructionSet: InstructionSet = .best) {
        self.init(team: ThreadTeam(threads: threads), instructionSet: instructionSet)
    }

    /// Creates an engine that records the memory `original` would use; its buffers have no memory.
    package convenience init(recording original: ComputeEngine) {
        self.init(
            team: original.team, instructionSet: original.instructionSet, isRecording: true)
    }

    /// Creates an engine that computes on a team of threads.
    ///
    /// - Parameter isRecording: whether buffers have no memory, so only their sizes are counted.
    package init(
        team: ThreadTeam, instructionSet: InstructionSet = .best, isRecording: Bool = false
    ) {
        self.team = team
        self.instructionSet = instructionSet
        self.isRecording = isRecording
        memories = .allocate(capacity: team.threadCount + 1)
        memories.initialize(repeating: ScratchMemory(), count: team.threadCount + 1)
    }

    deinit {
        for thread in 0...threadCount { memories[thread].free() }
        memories.deinitialize(count: threadCount + 1)
        memories.deallocate()
    }

    /// The number of threads that work on one kernel.
    package var threadCount: Int { team.threadCount }

    /// Returns the matrix kernels for operands of a precision.
    func kernels(_ precision: Precision) -> lockstep_microkernels {
        instructionSet.kernels(precision).pointee
    }

    /// Runs `body` once for every tile in `0..<tiles` on the team, as `ThreadTeam.forEach` does;
    /// does nothing on a recording engine.
    @inline(__always)
    func forEach(_ tiles: Int, _ body: (_ tile: Int, _ thread: Int) -> Void) {
        if isRecording { return }
        team.forEach(tiles, body)
    }

    // MARK: - Memory

    /// The bytes of scratch memory now in use; on a recording engine, the bytes that the team would
    /// use once each of its threads has run a tile of each kernel.
    package var scratchBytes: Int { (0...threadCount).reduce(0) { $0 + memories[$1].bytes } }

    /// Returns `bytes` bytes for each thread; their contents are undefined between two tiles.
    func scratch(_ use: ScratchUse, bytes: Int) -> ThreadScratch {
        if isRecording {
            for thread in 0..<threadCount { memories[thread].note(use, bytes: bytes) }
        }
        return ThreadScratch(memories: memories, use: use, bytes: bytes)
    }

    /// Returns the team's memory for `bytes` bytes; call this only between two of the team's loops.
    func sharedScratch(_ use: ScratchUse, bytes: Int) -> UnsafeMutableRawPointer {
        guard isRecording else { return memories[threadCount].memory(for: use, bytes: bytes) }
        memories[threadCount].note(use, bytes: bytes)
        return noMemory
    }

    /// Returns a buffer of `count` zeros; on a recording engine, one without memory.
    package func buffer<Element: BitwiseCopyable>(count: Int) -> Buffer<Element> {
        guard isRecording else { return Buffer(count: count) }
        return Buffer(at: noMemory.assumingMemoryBound(to: Element.self), count: count, owner: self)
    }

    /// Returns the views that `reserve` takes from an arena, and the zeroed arena.
    ///
    /// `reserve` runs twice, first to find the arena's size, so the size always matches the views.
    package func arena<Views>(
        _ reserve: (inout ArenaCursor) -> Views
    ) -> (views: Views, buffer: Buffer<Float>) {
        var counting = ArenaCursor(noMemory.assumingMemoryBound(to: Float.self))
        _ = reserve(&counting)
        let buffer: Buffer<Float> = buffer(count: counting.count)
        var cursor = ArenaCursor(buffer.base)
        return (reserve(&cursor), buffer)
    }
}

/// A use of scratch memory; two uses never share memory.
enum ScratchUse: Int, CaseIterable {
    case packedLeft, packedRight, product, probabilities, keys, values, queries, gradients, sums
}

/// Scratch memory of one size for each thread, which the thread allocates when it first needs it.
struct ThreadScratch {
    fileprivate let memories: UnsafeMutablePointer<ScratchMemory>
    fileprivate let use: ScratchUse
    fileprivate let bytes: Int

    subscript(thread: Int) -> UnsafeMutableRawPointer {
        memories[thread].memory(for: use, bytes: bytes)
    }

    func floats(_ thread: Int) -> UnsafeMutablePointer<Float> {
        self[thread].assumingMemoryBound(to: Float.self)
    }
}

/// Memory for each use, grown on demand.
private struct ScratchMemory {
    private var pointers = [UnsafeMutableRawPointer?](
        repeating: nil, count: ScratchUse.allCases.count)
    private var sizes = [Int](repeating: 0, count: ScratchUse.allCases.count)

    var bytes: Int { sizes.reduce(0, +) }

    mutating func memory(for use: ScratchUse, bytes: Int) -> UnsafeMutableRawPointer {
        if let pointer = pointers[use.rawValue], sizes[use.rawValue] >= bytes { return pointer }
        Glibc.free(pointers[use.rawValue])
        let pointer = alignedMemory(bytes: bytes)
        pointers[use.rawValue] = pointer
        sizes[use.rawValue] = bytes
        return pointer
    }

    /// Records the size that `memory` would grow to.
    mutating func note(_ use: ScratchUse, bytes: Int) {
        sizes[use.rawValue] = max(sizes[use.rawValue], bytes)
    }

    func free() { for pointer in pointers { Glibc.free(pointer) } }
}

/// An address far from any memory of a process, so that any access to it is a fault.
private var noMemory: UnsafeMutableRawPointer {
    guard let address = UnsafeMutableRawPointer(bitPattern: 1 << 62) else {
        preconditionFailure("the address is not zero")
    }
    return address
}

/// The instruction sets that the matrix kernels are compiled for, each of which includes those
/// before it; all give the same bits in fp32.
package enum InstructionSet: UInt32, CaseIterable, Sendable {
    // The raw values are those of `lockstep_isa`.

    /// The instructions that every supported processor has: AVX2.
    case base
    case avx512
    /// Includes products of bf16 numbers; earlier sets widen the numbers first and give the same
    /// bits.
    case avx512BF16
    /// Includes matrix products of bf16 numbers, which add in a different order.
    case amx

    /// The last set that this processor has.
    package static var best: InstructionSet {
        InstructionSet(rawValue: lockstep_best_isa().rawValue) ?? .base
    }

    /// Whether the set has products of bf16 numbers.
    package var multipliesBF16: Bool { rawValue >= Self.avx512BF16.rawValue }

    /// Returns the name in the log of the kernels for a precision.
    package func name(for precision: Precision) -> String {
        String(cString: kernels(precision).pointee.name)
    }

    /// Returns the matrix kernels for operands of a precision.
    fileprivate func kernels(_ precision: Precision) -> UnsafePointer<lockstep_microkernels> {
        let isa = lockstep_isa(rawValue)
        return switch precision {
        case .fp32: lockstep_microkernels_for(isa)
        case .bf16: lockstep_bf16_microkernels_for(isa)
        }
    }
}
