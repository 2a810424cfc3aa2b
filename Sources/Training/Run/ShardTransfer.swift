import Compute
import MPI
import Support

/// A transfer of sharded state to rank 0, piece by piece on request, and back.
///
/// A piece travels along a binomial tree over the ranks, so rank 0 exchanges as many messages for it
/// as the logarithm of the ranks. No rank ever holds more than one piece of the other ranks' shards.
/// While rank 0 sends requests, the others `serve` them.
struct ShardTransfer {
    /// The shard of the arena that each rank owns, by rank.
    let shards: [ArenaShard]
    private let communicator: Communicator
    /// The memory for a piece's elements of some consecutive ranks, in the order of the ranks.
    private let landing: Buffer<Float>

    /// The maximum number of elements in a piece.
    private static let pieceElements = 1 << 16
    private static let tag = 1

    /// Duplicates the communicator, to separate these messages from others. Collective: every rank
    /// must call this.
    init(shards: [[Range<Int>]], communicator: Communicator) throws(Failure) {
        self.shards = shards.map(ArenaShard.init)
        self.communicator = try communicator.duplicate()
        // An odd rank has no ranks below it in the tree.
        landing = Buffer(count: communicator.rank % 2 == 0 ? Self.pieceElements : 0)
    }

    /// A request from rank 0 for a piece of one of the state's buffers; an empty piece ends the
    /// serving.
    private struct Request: BitwiseCopyable {
        var buffer: Int
        var start: Int
        var end: Int

        static let end = Request(buffer: 0, start: 0, end: 0)
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
            _ = try communicator.broadcast([
                Request(buffer: index, start: piece.lowerBound, end: piece.upperBound)
            ])
            try gather(piece, of: buffers[index])
            for part in parts(of: piece) {
                try body(UnsafeRawBufferPointer(landed(part.place, part.elements.count)))
            }
        }
    }

    /// On rank 0, ends `serve` on the other ranks.
    func endServing() throws(Failure) { _ = try communicator.broadcast([Request.end]) }

    /// On the other ranks, answers the requests of rank 0 until it calls `endServing`.
    func serve(_ buffers: [Buffer<Float>]) throws(Failure) {
        while true {
            let request = try communicator.broadcast([Request.end])[0]
            if request.start == request.end { return }
            try gather(request.start..<request.end, of: buffers[request.buffer])
        }
    }

    /// Gathers a piece in the landing memory of rank 0.
    private func gather(_ piece: Range<Int>, of buffer: Buffer<Float>) throws(Failure) {
        let tree = communicator.binomialTree
        let own = own(piece, in: buffer)
        var landed = own
        if !tree.children.isEmpty {
            self.landed(0, own.count / 4).copyMemory(from: UnsafeRawBufferPointer(own))
            landed = self.landed(0, count(of: piece, on: tree.subtree))
            for child in tree.children {
                let place = count(of: piece, on: tree.subtree.lowerBound..<child.lowerBound)
                let part = self.landed(place, count(of: piece, on: child))
                if part.isEmpty { continue }
                try communicator.receive(into: part, from: child.lowerBound, tag: Self.tag)
            }
        }
        guard let parent = tree.parent, !landed.isEmpty else { return }
        try communicator.send(UnsafeRawBufferPointer(landed), to: parent, tag: Self.tag)
    }

    // MARK: - From rank 0

    /// Sends a range of the arena from rank 0, which has it at `source`, to the ranks that own it.
    /// Collective: every rank must pass the same range.
    func scatter(
        _ range: Range<Int>, from source: UnsafeRawPointer?, into buffer: Buffer<Float>
    ) throws(Failure) {
        for piece in pieces(of: range) {
            if communicator.rank == 0 {
                guard let source else {
                    preconditionFailure("rank 0 needs a source to scatter from")
                }
                for part in parts(of: piece) {
                    let offset = part.elements.lowerBound - range.lowerBound
                    let target = landed(part.place, part.elements.count)
                    target.copyMemory(
                        from: UnsafeRawBufferPointer(
                            start: source + offset * MemoryLayout<Float>.stride,
                            count: target.count))
                }
            }
            try scatter(piece, into: buffer)
        }
    }

    /// Scatters a piece from the landing memory of rank 0.
    private func scatter(_ piece: Range<Int>, into buffer: Buffer<Float>) throws(Failure) {
        let tree = communicator.binomialTree
        let own = own(piece, in: buffer)
        let isLeaf = tree.children.isEmpty
        let target = isLeaf ? own : landed(0, count(of: piece, on: tree.subtree))
        if let parent = tree.parent, !target.isEmpty {
            try communicator.receive(into: target, from: parent, tag: Self.tag)
        }
        // The largest subtree first, because it takes longest.
        for child in tree.children.reversed() {
            let place = count(of: piece, on: tree.subtree.lowerBound..<child.lowerBound)
            let part = landed(place, count(of: piece, on: child))
            if part.isEmpty { continue }
            try communicator.send(
                UnsafeRawBufferPointer(part), to: child.lowerBound, tag: Self.tag)
        }
        if !isLeaf { own.copyMemory(from: UnsafeRawBufferPointer(landed(0, own.count / 4))) }
    }

    // MARK: - Pieces

    /// Returns a range in pieces that fit into the landing memory.
    private func pieces(of range: Range<Int>) -> [Range<Int>] {
        stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceElements).map {
            $0..<min(range.upperBound, $0 + Self.pieceElements)
        }
    }

    /// Returns the owned parts of a piece in the order of the arena, and their places in the
    /// landing memory.
    private func parts(of piece: Range<Int>) -> [(elements: Range<Int>, place: Int)] {
        var parts: [(elements: Range<Int>, place: Int)] = []
        var place = 0
        for shard in shards {
            shard.forEachPiece(of: piece) { elements, _ in
                parts.append((elements, place))
                place += elements.count
            }
        }
        return parts.sorted { $0.elements.lowerBound < $1.elements.lowerBound }
    }

    /// Returns the number of a piece's elements that some ranks own.
    private func count(of piece: Range<Int>, on ranks: Range<Int>) -> Int {
        var count = 0
        for shard in shards[ranks] {
            shard.forEachPiece(of: piece) { elements, _ in count += elements.count }
        }
        return count
    }

    /// Returns this rank's elements of a piece, which are consecutive in its buffer.
    private func own(_ piece: Range<Int>, in buffer: Buffer<Float>) -> UnsafeMutableRawBufferPointer
    {
        let parts = shards[communicator.rank].pieces(of: piece)
        return Self.bytes(
            buffer.base + (parts.first?.start ?? 0), parts.reduce(0) { $0 + $1.elements.count })
    }

    private func landed(_ place: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
        Self.bytes(landing.base + place, count)
    }

    private static func bytes(
        _ start: UnsafeMutablePointer<Float>, _ count: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: start, count: count))
    }
}
