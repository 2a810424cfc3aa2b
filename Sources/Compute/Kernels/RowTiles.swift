// Sums over the rows of a norm's input. Rows are divided into tiles, whose number depends only on
// the shape, and the tiles' shares are added in their order.

/// The shares of row tiles in sums over all rows, such as the gradients of a norm's parameters.
struct RowTileSums {
    private let rows: Int
    private let vectors: Int
    private let columns: Int
    private let partial: Buffer<Float>  // (tiles, vectors, C)
    private let engine: ComputeEngine

    /// Plans the memory for sums of `vectors` vectors of `columns`.
    init(rows: Int, vectors: Int, columns: Int, engine: ComputeEngine) {
        self.rows = rows
        self.vectors = vectors
        self.columns = columns
        self.engine = engine
        partial = engine.buffer(count: rowTiles(rows) * vectors * columns)
    }

    /// The size of the planned memory in bytes.
    var bytes: Int { partial.bytes.count }

    /// Runs `body` once for every tile of an input (rows, C), on all threads.
    @inline(__always)
    func forEachTile(of input: Matrix, _ body: (Range<Int>, _ tile: Int) -> Void) {
        precondition(input.rows == rows && input.columns == columns)
        engine.forEachRowTile(of: rows, body)
    }

    /// Returns a tile's share of a vector (C), filled with zeros.
    @inline(__always)
    func cleared(_ vector: Int, ofTile tile: Int) -> UnsafeMutablePointer<Float> {
        let share = partial.base + (tile * vectors + vector) * columns
        forEachVector(columns) { start, width in share.store(.zero, start, width: width) }
        return share
    }

    /// Sets `sums` to the sum of all tiles' shares of a vector, or adds it if it `accumulates`.
    func combine(_ vector: Int, into sums: Vector, accumulates: Bool) {
        if engine.isRecording { return }
        let tiles = rowTiles(rows)
        forEachVector(columns) { start, width in
            var value = Floats.zero
            for tile in 0..<tiles {
                value += (partial.base + (tile * vectors + vector) * columns)
                    .load(start, width: width)
            }
            if accumulates { value = sums.base.load(start, width: width) + value }
            sums.base.store(value, start, width: width)
        }
    }
}

/// Returns the number of row tiles, at most 16, of at least 16 rows each. It depends only on the
/// shape.
func rowTiles(_ rows: Int) -> Int { max(1, min(16, rows / 16)) }

extension ComputeEngine {
    /// Runs `body` once for every row tile, on all threads.
    func forEachRowTile(of rows: Int, _ body: (Range<Int>, _ tile: Int) -> Void) {
        let tiles = rowTiles(rows)
        forEach(tiles) { tile, _ in
            body(rows * tile / tiles..<rows * (tile + 1) / tiles, tile)
        }
    }
}

/// Returns the sum of the vectors that cover 0..<count, the last of which may end in zeros.
@inline(__always)
func total(_ count: Int, _ vector: (_ start: Int, _ width: Int) -> Floats) -> Float {
    var sums = Floats.zero
    forEachVector(count) { start, width in sums += vector(start, width) }
    return sum(sums)
}

/// Returns `x` with zeros in the lanes from `width` up.
@inline(__always)
func masked(_ x: Floats, _ width: Int) -> Floats {
    var y = Floats.zero
    for lane in 0..<width { y[lane] = x[lane] }
    return y
}
