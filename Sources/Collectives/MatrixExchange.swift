import Compute
import MPI
import Support

/// The exchange that lets ranks with shards of an arena work on whole matrices: one rank gathers
/// all elements of a matrix, and later returns them to their owners.
///
/// The matrices are divided among the ranks by the work of orthogonalizing them. In a step, each
/// element of a matrix is sent at most twice: to the rank that works on it, and back.
package struct MatrixExchange {
    private let communicator: Communicator
    private let yields: Bool
    private let transfers: [Transfer]
    /// The rank's matrices, one after another.
    private let memory: Buffer<Float>
    /// The indices of the matrices that this rank works on, and the addresses of their first
    /// elements.
    package let own: [(index: Int, base: UnsafeMutablePointer<Float>)]

    /// Consecutive elements that move between the shard of one rank and a matrix in the memory of one rank.
    private struct Transfer {
        let matrix: Int
        /// The other rank; this rank if the elements do not leave it.
        let peer: Int
        /// The place in this rank's shard; nil if the elements are in another rank's shard.
        let inShard: Int?
        /// The place in this rank's memory; nil if another rank works on the matrix.
        let inMemory: Int?
        let count: Int
    }

    /// Duplicates the communicator, to separate these messages from others. Collective: every rank
    /// must call this.
    ///
    /// - Parameters:
    ///   - shards: the ranges of the arena that each rank owns, by rank.
    ///   - yields: whether ranks outnumber cores.
    package init(
        _ matrices: [LayerMatrix], shards: [[Range<Int>]], communicator: Communicator,
        yields: Bool
    ) throws(Failure) {
        self.communicator = try communicator.duplicate()
        self.yields = yields
        let rank = communicator.rank
        let shards = shards.map(ArenaShard.init)
        let workers = Self.workers(for: matrices, ranks: communicator.size)
        var transfers: [Transfer] = []
        var starts: [(index: Int, start: Int)] = []
        var count = 0
        for (index, matrix) in matrices.enumerated() {
            let isOwn = workers[index] == rank
            for other in isOwn ? Array(shards.indices) : [rank] {
                for (elements, start) in shards[other].pieces(of: matrix.range) {
                    let place = count + elements.lowerBound - matrix.range.lowerBound
                    transfers.append(
                        Transfer(
                            matrix: index, peer: isOwn ? other : workers[index],
                            inShard: other == rank ? start : nil, inMemory: isOwn ? place : nil,
                            count: elements.count))
                }
            }
            guard isOwn else { continue }
            starts.append((index, count))
            count += matrix.range.count
        }
        self.transfers = transfers
        let memory = Buffer<Float>(count: count)
        self.memory = memory
        own = starts.map { ($0.index, memory.base + $0.start) }
    }

    /// The size of the memory for the rank's matrices in bytes.
    package var bytes: Int { memory.bytes.count }

    /// Returns the rank that works on each matrix: the matrices with the most work first, each to
    /// the rank with the least work so far.
    package static func workers(for matrices: [LayerMatrix], ranks: Int) -> [Int] {
        let work = matrices.map { $0.tensor.count * min($0.rows, $0.columns) }
        let order = matrices.indices.sorted { (-work[$0], $0) < (-work[$1], $1) }
        var loads = Array(repeating: 0, count: ranks)
        var workers = Array(repeating: 0, count: matrices.count)
        for index in order {
            let worker = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            workers[index] = worker
            loads[worker] += work[index]
        }
        return workers
    }

    /// Fills this rank's matrices from all ranks' shards. Collective: every rank must call this.
    ///
    /// - Parameter shard: one value for each element of this rank's shard, in its order.
    package func gather(from shard: Buffer<Float>) throws(Failure) {
        try exchange(shard, gathers: true)
    }

    /// Writes the elements of all ranks' matrices to the shards that own them. Collective: every
    /// rank must call this.
    package func scatter(into shard: Buffer<Float>) throws(Failure) {
        try exchange(shard, gathers: false)
    }

    private func exchange(_ shard: Buffer<Float>, gathers: Bool) throws(Failure) {
        var requests = RequestSet()
        // Messages between two ranks with one tag arrive in the order in which they are sent.
        for transfer in transfers {
            let inShard = transfer.inShard.map { shard.base + $0 }
            let inMemory = transfer.inMemory.map { memory.base + $0 }
            if let inShard, let inMemory {
                let (from, to) = gathers ? (inShard, inMemory) : (inMemory, inShard)
                to.update(from: from, count: transfer.count)
                continue
            }
            let bytes = UnsafeMutableRawBufferPointer(
                start: inShard ?? inMemory, count: transfer.count * MemoryLayout<Float>.stride)
            let owner = inShard == nil ? memory : shard
            if (inShard != nil) == gathers {
                try requests.send(
                    UnsafeRawBufferPointer(bytes), to: transfer.peer, of: communicator,
                    tag: transfer.matrix, label: transfer.matrix, keeping: owner)
            } else {
                try requests.receive(
                    into: bytes, from: transfer.peer, of: communicator, tag: transfer.matrix,
                    label: transfer.matrix, keeping: owner)
            }
        }
        var wait = SpinWait(yields: yields)
        while requests.count > 0 {
            if try requests.testSome().isEmpty { wait.wait() } else { wait.reset() }
        }
    }
}
