import Compute
import MPI
import Support

/// A transfer of sharded state to rank 0, piece by piece on request, and back.
///
/// Rank 0 never holds more than one piece of the other ranks' shards. While it sends requests, the
/// others `serve` them.
struct ShardTransfer {
    /// The shard of the arena that each rank owns, by rank.
    let shards: [ArenaShard]
    private let communicator: Communicator
    /// The memory in which rank 0 receives a piece.
    private let landing: Buffer<Float>

    /// The maximum number of elements in a piece.
    private static let pieceElements = 1 << 16
    private static let requestTag = 1
    private static let answerTag = 2

    /// Duplicates the communicator, to separate these messages from others. Collective: every rank
    /// must call this.
    init(shards: [[Range<Int>]], communicator: Communicator) throws(Failure) {
        self.shards = shards.map(ArenaShard.init)
        self.communicator = try communicator.duplicate()
        landing = Buffer(count: communicator.rank == 0 ? Self.pieceElements : 0)
    }

    /// A request from rank 0 for elements of one of the state's buffers; a count of 0 ends the
    /// serving.
    private struct Request: BitwiseCopyable {
        var buffer: Int
        var start: Int
        var count: Int

        static let end = Request(buffer: 0, start: 0, count: 0)
    }

    // MARK: - To rank 0

    /// On rank 0, passes the elements of one of the state's buffers in a range of the arena to
    /// `body`, in order.
    ///
    /// - Parameters:
    ///   - range: the elements of the arena.
    ///   - buffers: this rank's shard of each of the state's buffers.
    ///   - index: the index of the buffer.
    /// - Throws: `Failure` if MPI reports an error or if `body` throws. The caller must still call
    ///   `endServing`.
    func gather(
        _ range: Range<Int>, of buffers: [Buffer<Float>], at index: Int,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        for piece in pieces(of: range) {
            var values = buffers[index].base + piece.start
            if piece.rank != 0 {
                try communicator.send(
                    [Request(buffer: index, start: piece.start, count: piece.count)],
                    to: piece.rank, tag: Self.requestTag)
                values = landing.base
                try communicator.receive(
                    into: Self.bytes(values, piece.count), from: piece.rank, tag: Self.answerTag)
            }
            try body(UnsafeRawBufferPointer(Self.bytes(values, piece.count)))
        }
    }

    /// On rank 0, ends `serve` on the other ranks.
    func endServing() throws(Failure) {
        for rank in 1..<max(1, communicator.size) {
            try communicator.send([Request.end], to: rank, tag: Self.requestTag)
        }
    }

    /// On the other ranks, answers the requests of rank 0 until it calls `endServing`.
    func serve(_ buffers: [Buffer<Float>]) throws(Failure) {
        while true {
            let request = try communicator.receive(
                1, of: Request.end, from: 0, tag: Self.requestTag)[0]
            if request.count == 0 { return }
            let values = buffers[request.buffer].base + request.start
            try communicator.send(
                UnsafeRawBufferPointer(Self.bytes(values, request.count)), to: 0,
                tag: Self.answerTag)
        }
    }

    // MARK: - From rank 0

    /// Sends a range of the arena from rank 0, which has it at `source`, to the ranks that own it.
    /// Collective: every rank must pass the same range.
    func scatter(
        _ range: Range<Int>, from source: UnsafeRawPointer?, into buffer: Buffer<Float>
    ) throws(Failure) {
        for piece in pieces(of: range) {
            guard piece.rank == communicator.rank || communicator.rank == 0 else { continue }
            let target = Self.bytes(buffer.base + piece.start, piece.count)
            if communicator.rank != 0 {
                try communicator.receive(into: target, from: 0, tag: Self.answerTag)
                continue
            }
            guard let source else { preconditionFailure("rank 0 needs a source to scatter from") }
            let offset = (piece.first - range.lowerBound) * MemoryLayout<Float>.stride
            let bytes = UnsafeRawBufferPointer(
                start: source + offset, count: piece.count * MemoryLayout<Float>.stride)
            if piece.rank == 0 {
                target.copyMemory(from: bytes)
            } else {
                try communicator.send(bytes, to: piece.rank, tag: Self.answerTag)
            }
        }
    }

    // MARK: - Pieces

    /// Elements starting at `first` in the arena, which `rank` holds starting at `start` in its
    /// shard.
    private struct Piece {
        let rank: Int
        let first: Int
        let start: Int
        let count: Int
    }

    /// Returns the pieces of a range with their owners, in the order of the arena.
    private func pieces(of range: Range<Int>) -> [Piece] {
        var pieces: [Piece] = []
        for (rank, shard) in shards.enumerated() {
            for (elements, start) in shard.pieces(of: range) {
                for first in stride(
                    from: elements.lowerBound, to: elements.upperBound, by: Self.pieceElements)
                {
                    pieces.append(
                        Piece(
                            rank: rank, first: first, start: start + first - elements.lowerBound,
                            count: min(Self.pieceElements, elements.upperBound - first)))
                }
            }
        }
        return pieces.sorted { $0.first < $1.first }
    }

    private static func bytes(
        _ start: UnsafeMutablePointer<Float>, _ count: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: start, count: count))
    }
}
