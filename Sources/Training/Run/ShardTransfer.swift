import Compute
import MPI
import Support

/// Brings sharded state to rank 0, piece by piece as it asks for it, and back.
///
/// Rank 0 never holds more than a piece of what the others own. While it asks, the others `serve`.
struct ShardTransfer {
    /// What each rank owns of the arena, by rank.
    let shards: [ArenaShard]
    private let communicator: Communicator
    /// Where rank 0 receives a piece.
    private let landing: Buffer<Float>

    /// The most elements in a piece.
    private static let pieceElements = 1 << 16
    private static let requestTag = 1
    private static let answerTag = 2

    /// Collective: messages get a communicator of their own.
    init(shards: [[Range<Int>]], communicator: Communicator) throws(Failure) {
        self.shards = shards.map(ArenaShard.init)
        self.communicator = try communicator.duplicate()
        landing = Buffer(count: communicator.rank == 0 ? Self.pieceElements : 0)
    }

    /// What another rank asks for: elements of one of the state's buffers; none to end.
    private struct Request: BitwiseCopyable {
        var buffer: Int
        var start: Int
        var count: Int
    }

    // MARK: - To rank 0

    /// On rank 0, hands elements of the arena of one of the buffers to `body`, in order.
    ///
    /// - Parameters:
    ///   - buffers: this rank's shard of each piece of state.
    ///   - index: which of them.
    ///   - range: elements of the arena.
    /// - Throws: what MPI reports, and what `body` throws; then `endServing` is still due.
    func gather(
        _ range: Range<Int>, of buffers: [Buffer<Float>], at index: Int,
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        for piece in pieces(of: range) {
            var values = buffers[index].base + piece.start
            if piece.rank != 0 {
                try send(
                    Request(buffer: index, start: piece.start, count: piece.count), to: piece.rank)
                values = landing.base
                try communicator.receive(
                    into: Self.bytes(values, piece.count), from: piece.rank, tag: Self.answerTag)
            }
            try body(UnsafeRawBufferPointer(Self.bytes(values, piece.count)))
        }
    }

    /// On rank 0, lets the others go on.
    func endServing() throws(Failure) {
        for rank in 1..<max(1, communicator.size) {
            try send(Request(buffer: 0, start: 0, count: 0), to: rank)
        }
    }

    /// On the other ranks, answers rank 0 until it has all it wants.
    func serve(_ buffers: [Buffer<Float>]) throws(Failure) {
        while true {
            var request = Request(buffer: 0, start: 0, count: 0)
            let failure: Failure? = withUnsafeMutableBytes(of: &request) { bytes in
                do throws(Failure) {
                    try communicator.receive(into: bytes, from: 0, tag: Self.requestTag)
                    return nil
                } catch { return error }
            }
            if let failure { throw failure }
            if request.count == 0 { return }
            let values = buffers[request.buffer].base + request.start
            try communicator.send(
                UnsafeRawBufferPointer(Self.bytes(values, request.count)), to: 0,
                tag: Self.answerTag)
        }
    }

    // MARK: - From rank 0

    /// Brings elements of the arena of one of the buffers from rank 0, which has them at `source`,
    /// to the ranks that own them. Collective: every rank passes the same range.
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
            guard let source else { preconditionFailure("rank 0 has what it scatters") }
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

    /// Elements from `first` of the arena, which `rank` has from `start` of its shard.
    private struct Piece {
        let rank: Int
        let first: Int
        let start: Int
        let count: Int
    }

    /// Who owns what of a range, in the order of the arena.
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

    private func send(_ request: Request, to rank: Int) throws(Failure) {
        let failure: Failure? = withUnsafeBytes(of: request) { bytes in
            do throws(Failure) {
                try communicator.send(bytes, to: rank, tag: Self.requestTag)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private static func bytes(
        _ start: UnsafeMutablePointer<Float>, _ count: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: start, count: count))
    }
}
