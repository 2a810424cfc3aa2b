import Compute
import Support

/// Text and tokens that wait to be encoded, in order.
///
/// Several threads encode the text. It is divided where that does not change its ids: between two texts, and
/// where `lastCut` finds a place. A tokenizer that allows no such place encodes each text on one thread.
struct EncodingBatch: ~Copyable {
    private enum Item {
        /// Text that is encoded by itself.
        case whole(Range<Int>)
        /// Text that continues the text of the last part, unless that has ended.
        case part(Range<Int>, ends: Bool)
        case token(UInt32)
    }

    private let team: ThreadTeam
    /// An encoder for each thread, and the last for parts, of which it may keep the beginning of a text.
    private let encoders: UnsafeMutableBufferPointer<any TokenEncoder>
    private let canDivide: Bool
    /// Whether everything must go through one encoder, in order.
    private let isSequential: Bool
    /// The number of bytes that a thread encodes at a time.
    private let pieceBytes: Int
    /// The number of waiting bytes that fill the batch.
    private let fullBytes: Int

    private var text = PendingText()
    private var items: [Item] = []
    /// The offset of the open text, whose end is still to come.
    private var openStart = 0
    /// Whether the last encoder holds the beginning of the open text.
    private var isContinued = false

    /// Creates an empty batch for a tokenizer.
    ///
    /// - Parameter pieceBytes: the number of bytes that a thread encodes at a time.
    init(_ tokenizer: any Tokenizer, threads: Int, pieceBytes: Int) {
        team = ThreadTeam(threads: threads, yields: true)
        encoders = .allocate(capacity: threads + 1)
        _ = encoders.initialize(
            fromContentsOf: (0...threads).map { _ in tokenizer.makeEncoder(source: "the text") })
        canDivide = tokenizer.canDivideAfterLetters
        isSequential = false
        self.pieceBytes = pieceBytes
        fullBytes = 4 * threads * pieceBytes
    }

    /// Creates an empty batch for one encoder.
    init(_ encoder: any TokenEncoder, pieceBytes: Int) {
        team = ThreadTeam(threads: 1)
        encoders = .allocate(capacity: 1)
        encoders.initialize(repeating: encoder)
        canDivide = false
        isSequential = true
        self.pieceBytes = pieceBytes
        fullBytes = pieceBytes
    }

    deinit {
        encoders.deinitialize()
        encoders.deallocate()
    }

    /// Whether the batch has to be encoded before more is appended.
    var isFull: Bool { text.count >= fullBytes || items.count >= 1 << 16 }

    /// The bytes of the open text, after `encode`; nil if an encoder holds its beginning.
    var openText: [UInt8]? {
        isContinued ? nil : Array(text.bytes[openStart...])
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { text.append(bytes) }

    mutating func append(token: UInt32) { items.append(.token(token)) }

    /// Ends the open text.
    mutating func endText() {
        let range = openStart..<text.count
        openStart = text.count
        if isContinued || isSequential {
            items.append(.part(range, ends: true))
            isContinued = false
        } else if !range.isEmpty {
            items.append(.whole(range))
        }
    }

    /// Encodes the waiting text and tokens, except for the last part of the open text, and passes the ids to `write`
    /// in order.
    ///
    /// - Throws: `Failure` (bad data) for text without ids; the errors of `write`.
    mutating func encode(_ write: ([UInt32]) throws(Failure) -> Void) throws(Failure) {
        takeOpenText()
        let tiles = self.tiles()
        let (text, encoders) = (self.text.bytes, self.encoders)
        var ids = [[UInt32]](repeating: [], count: tiles.count)
        var failures = [Failure?](repeating: nil, count: tiles.count)
        ids.withUnsafeMutableBufferPointer { ids in
            failures.withUnsafeMutableBufferPointer { failures in
                // Parts need the same encoder in their order.
                let last = encoders.count - 1
                for (index, tile) in tiles.enumerated() where tile.isPart {
                    failures[index] = tile.encode(text, with: &encoders[last], into: &ids[index])
                }
                team.forEach(tiles.count) { index, thread in
                    guard !tiles[index].isPart else { return }
                    failures[index] = tiles[index].encode(
                        text, with: &encoders[thread], into: &ids[index])
                }
            }
        }
        for index in tiles.indices {
            if let failure = failures[index] { throw failure }
            try write(ids[index])
        }
        self.text.drop(openStart)
        openStart = 0
        items.removeAll(keepingCapacity: true)
    }

    /// Adds the open text to the items, up to a place at which it can be divided.
    private mutating func takeOpenText() {
        let open = openStart..<text.count
        guard !open.isEmpty else { return }
        let cut = canDivide ? lastCut(text.base, in: open) : nil
        if let cut {
            items.append(
                isContinued ? .part(openStart..<cut, ends: true) : .whole(openStart..<cut))
            isContinued = false
            openStart = cut
        } else if !canDivide || open.count >= fullBytes {
            items.append(.part(open, ends: false))
            isContinued = true
            openStart = text.count
        }
    }

    // MARK: - Tiles

    /// The adjacent items that a thread encodes at a time.
    private struct Tile {
        var items: [Item] = []
        var isPart = false

        /// Encodes the items. Returns the failure if there is one.
        func encode(
            _ text: UnsafeRawBufferPointer, with encoder: inout any TokenEncoder,
            into ids: inout [UInt32]
        ) -> Failure? {
            do throws(Failure) {
                for item in items {
                    switch item {
                    case .token(let token): ids.append(token)
                    case .whole(let range):
                        try encoder.encode(.init(rebasing: text[range]), into: &ids)
                        try encoder.finish(into: &ids)
                    case .part(let range, let ends):
                        try encoder.encode(.init(rebasing: text[range]), into: &ids)
                        if ends { try encoder.finish(into: &ids) }
                    }
                }
                return nil
            } catch {
                return error
            }
        }
    }

    private func tiles() -> [Tile] {
        var tiles: [Tile] = []
        var tile = Tile()
        var bytes = 0
        func finish() {
            if !tile.items.isEmpty { tiles.append(tile) }
            (tile, bytes) = (Tile(), 0)
        }
        for item in items {
            switch item {
            case .token: tile.items.append(item)
            case .part:
                finish()
                tiles.append(Tile(items: [item], isPart: true))
            case .whole(let range):
                for piece in pieces(of: range) {
                    tile.items.append(.whole(piece))
                    bytes += piece.count
                    if bytes >= pieceBytes { finish() }
                }
            }
        }
        finish()
        return tiles
    }

    /// Divides text into pieces that are encoded by themselves.
    private func pieces(of range: Range<Int>) -> [Range<Int>] {
        guard canDivide else { return [range] }
        var pieces: [Range<Int>] = []
        var start = range.lowerBound
        while range.upperBound - start > 2 * pieceBytes,
            let cut = lastCut(text.base, in: start..<start + pieceBytes)
        {
            pieces.append(start..<cut)
            start = cut
        }
        return pieces + [start..<range.upperBound]
    }
}

/// Returns the last place in a range of text, after its start, where a letter precedes a character of ASCII
/// that is not one; nil if there is no such place.
///
/// Every pattern ends a word there, and normalization does not join the two.
func lastCut(_ text: UnsafePointer<UInt8>, in range: Range<Int>) -> Int? {
    let classes = UnicodeClass.table.base
    var place = range.upperBound - 1
    while place > range.lowerBound {
        let byte = text[place]
        if byte < 0x80, classes[Int(byte)] != UnicodeClass.letter {
            var start = place - 1
            while start > range.lowerBound, place - start < 4, text[start] & 0xC0 == 0x80 {
                start -= 1
            }
            if case .scalar(let scalar, let length) = utf8Scalar(text, at: start, end: place),
                start + length == place, classes[Int(scalar)] == UnicodeClass.letter
            {
                return place
            }
        }
        place -= 1
    }
    return nil
}
