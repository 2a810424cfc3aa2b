import Compute
import Support
import Synchronization

/// The sums of the parameters that a rank updates, block by block. They reveal a bit that flips
/// between two updates in memory that several ranks share, where no other rank has a copy.
final class ParameterChecks: Sendable {
    private let values: Buffer<Float>
    private let owned: [Range<Int>]
    /// The sum of each block of the arena that this rank owns, after its last update.
    private let sums: Buffer<UInt32>
    /// The first block that was found changed; the number of blocks if there is none.
    private let changedBlock: Atomic<Int>

    /// Creates the sums of the parts of an arena that this rank owns, which begin with blocks.
    init(of values: Buffer<Float>, owned: [Range<Int>]) {
        self.values = values
        self.owned = owned
        sums = Buffer(count: SumOfSquares.blockCount(values.count))
        changedBlock = Atomic(sums.count)
        restart()
    }

    /// Forgets the past, because other code than an update has written the values.
    func restart() {
        changedBlock.store(sums.count, ordering: .relaxed)
        forEachOwnedBlock(note)
    }

    private func forEachOwnedBlock(_ body: (Range<Int>) -> Void) {
        let size = SumOfSquares.blockSize
        for range in owned {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
                body(start..<min(range.upperBound, start + size))
            }
        }
    }

    /// Checks that a block's values are those of the last update. Any thread may call this.
    func check(_ range: Range<Int>) {
        let block = range.lowerBound / SumOfSquares.blockSize
        if sums.base[block] != sum(of: range) {
            changedBlock.min(block, ordering: .relaxed)
        }
    }

    /// Notes a block's values after an update. Any thread may call this.
    func note(_ range: Range<Int>) {
        sums.base[range.lowerBound / SumOfSquares.blockSize] = sum(of: range)
    }

    private func sum(of range: Range<Int>) -> UInt32 {
        wordSum(values.base + range.lowerBound, count: range.count)
    }

    /// Throws if values have changed except by updates since the last `restart`.
    ///
    /// - Throws: `Failure` (I/O) with the tensors of the first block that changed.
    func requireUnchanged(_ layout: ArenaLayout) throws(Failure) {
        forEachOwnedBlock(check)
        let block = changedBlock.load(ordering: .relaxed)
        guard block < sums.count else { return }
        let range = SumOfSquares.range(ofBlock: block, count: values.count)
        let names = layout.tensors.filter { $0.range.overlaps(range) }.map(\.name)
        throw .about(
            .inputOutput, "the parameters",
            "changed in \(Format.alternatives(names)) between two updates",
            remedy: "the host's memory is at fault, so test it and resume from the last checkpoint")
    }
}
