import CCompute
import Glibc

/// Where kernels run: a thread team, the matrix kernels that suit the processor, and scratch
/// memory.
///
/// Scratch grows when a shape is met for the first time and is used again ever after.
package final class ComputeEngine: @unchecked Sendable {
    package let team: ThreadTeam
    /// What its matrix kernels are compiled for.
    package let instructionSet: InstructionSet
    /// Called between two parts of a matrix product, if it is set, on an engine of one thread: work
    /// that must not wait for the end of a large product. It may use the team.
    package var interlude: (() -> Void)?
    // Element i belongs to thread i alone, and the last to the team between its loops.
    private let scratch: UnsafeMutablePointer<ScratchMemory>

    /// An engine with a team of its own.
    package convenience init(threads: Int = 1, instructionSet: InstructionSet = .best) {
        self.init(team: ThreadTeam(threads: threads), instructionSet: instructionSet)
    }

    package init(team: ThreadTeam, instructionSet: InstructionSet = .best) {
        self.team = team
        let threads = team.threadCount
        self.instructionSet = instructionSet
        scratch = .allocate(capacity: threads + 1)
        scratch.initialize(repeating: ScratchMemory(), count: threads + 1)
    }

    deinit {
        for thread in 0...threadCount { scratch[thread].free() }
        scratch.deinitialize(count: threadCount + 1)
        scratch.deallocate()
    }

    /// Threads that work on one kernel.
    package var threadCount: Int { team.threadCount }

    /// Between two parts of a product.
    @inline(__always)
    func partEnds() { if threadCount == 1, let interlude { interlude() } }

    /// The matrix kernels for operands of a precision.
    func kernels(_ precision: Precision) -> lockstep_microkernels {
        instructionSet.kernels(precision).pointee
    }

    /// Bytes of scratch memory in use by now.
    package var scratchBytes: Int { (0...threadCount).reduce(0) { $0 + scratch[$1].bytes } }

    /// A thread's memory for `bytes` bytes; its contents are undefined between two tiles.
    func scratch(_ use: ScratchUse, thread: Int, bytes: Int) -> UnsafeMutableRawPointer {
        scratch[thread].memory(for: use, bytes: bytes)
    }

    /// The team's memory for `bytes` bytes, to be asked for between two of its loops.
    func sharedScratch(_ use: ScratchUse, bytes: Int) -> UnsafeMutableRawPointer {
        scratch[threadCount].memory(for: use, bytes: bytes)
    }
}

/// What scratch memory is for; two uses are never in the same place.
enum ScratchUse: Int, CaseIterable {
    case packedLeft, packedRight, product, probabilities, keys, values, queries, gradients, sums
}

/// Memory for each use, grown on demand.
private struct ScratchMemory {
    private var pointers = [UnsafeMutableRawPointer?](
        repeating: nil, count: ScratchUse.allCases.count)
    private var sizes = [Int](repeating: 0, count: ScratchUse.allCases.count)

    var bytes: Int { sizes.reduce(0, +) }

    mutating func memory(for use: ScratchUse, bytes: Int) -> UnsafeMutableRawPointer {
        if let pointer = pointers[use.rawValue], sizes[use.rawValue] >= bytes { return pointer }
        releaseMemory(pointers[use.rawValue])
        let pointer = alignedMemory(bytes: bytes)
        pointers[use.rawValue] = pointer
        sizes[use.rawValue] = bytes
        return pointer
    }

    func free() { for pointer in pointers { releaseMemory(pointer) } }
}

/// The instruction sets that the matrix kernels are compiled for, each with those before it; all give
/// the same bits in fp32.
package enum InstructionSet: Int, CaseIterable, Sendable {
    /// What every processor has that Lockstep runs on: AVX2 on x86-64.
    case base
    case avx512
    /// With products of bf16 numbers; those before it widen them first, and give the same bits.
    case avx512BF16
    /// With matrix products of bf16 numbers, in an order of their own.
    case amx

    /// The last that this processor has.
    package static var best: InstructionSet {
        switch lockstep_best_isa() {
        case lockstep_isa_amx: .amx
        case lockstep_isa_avx512_bf16: .avx512BF16
        case lockstep_isa_avx512: .avx512
        default: .base
        }
    }

    /// Whether this processor has it.
    package var isAvailable: Bool { rawValue <= Self.best.rawValue }

    /// Whether it has products of bf16 numbers.
    package var multipliesBF16: Bool { rawValue >= Self.avx512BF16.rawValue }

    private var isa: lockstep_isa {
        switch self {
        case .base: lockstep_isa_base
        case .avx512: lockstep_isa_avx512
        case .avx512BF16: lockstep_isa_avx512_bf16
        case .amx: lockstep_isa_amx
        }
    }

    /// Its name in the log, as the kernels for a precision use it.
    package func name(for precision: Precision) -> String {
        String(cString: kernels(precision).pointee.name)
    }

    /// The matrix kernels for operands of a precision.
    fileprivate func kernels(_ precision: Precision) -> UnsafePointer<lockstep_microkernels> {
        switch precision {
        case .fp32: lockstep_microkernels_for(isa)
        case .bf16: lockstep_bf16_microkernels_for(isa)
        }
    }
}

private func releaseMemory(_ pointer: UnsafeMutableRawPointer?) { free(pointer) }
