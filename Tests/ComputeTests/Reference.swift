import Compute

// Reference kernels in double precision, written for clarity, and the tools to compare with them.

/// Rows of doubles.
typealias Rows = [[Double]]

/// Returns reproducible numbers in (-1, 1) times `scale` that are representable in fp32.
func numbers(_ count: Int, seed: UInt64, scale: Double = 1) -> [Double] {
    let random = CounterRandom(key: seed)
    return (0..<count).map { Double(Float((2 * random.uniform(UInt64($0)) - 1) * scale)) }
}

func rows(_ flat: [Double], _ columns: Int) -> Rows {
    stride(from: 0, to: flat.count, by: columns).map { Array(flat[$0..<$0 + columns]) }
}

/// Returns the transpose of a matrix (rows, columns).
func transposed(_ x: [Double], _ rows: Int, _ columns: Int) -> [Double] {
    (0..<columns).flatMap { j in (0..<rows).map { x[$0 * columns + j] } }
}

/// The rows, inputs and outputs of linear layers, with each precision.
let layerShapes = [(1, 1, 1), (3, 5, 7), (70, 33, 40), (130, 64, 200)].flatMap { shape in
    Precision.allCases.map { (shape, $0) }
}

/// Returns fp32 memory with the values.
func buffer(_ values: [Double]) -> Buffer<Float> {
    let buffer = Buffer<Float>(count: values.count)
    for (index, value) in values.enumerated() { buffer.base[index] = Float(value) }
    return buffer
}

func matrix(_ buffer: Buffer<Float>, columns: Int) -> Matrix {
    Matrix(buffer.base, rows: buffer.count / columns, columns: columns)
}

/// Memory of a precision with values, which are rounded if necessary.
struct Stored {
    private let memory: Buffer<UInt8>
    let operand: Operand

    init(_ values: [Double], columns: Int, _ precision: Precision) {
        memory = Buffer(count: values.count * precision.bytes)
        let base = UnsafeMutableRawPointer(memory.base)
        operand = Operand(
            base, rows: values.count / columns, columns: columns, precision: precision)
        for (index, value) in values.enumerated() {
            switch precision {
            case .fp32: base.storeBytes(of: Float(value), toByteOffset: 4 * index, as: Float.self)
            case .bf16:
                base.storeBytes(
                    of: roundedToBF16(Float(value)), toByteOffset: 2 * index, as: UInt16.self)
            }
        }
    }

    /// Makes a matrix of zeros.
    init(rows: Int, columns: Int, _ precision: Precision) {
        self.init([Double](repeating: 0, count: rows * columns), columns: columns, precision)
    }

    var floats: [Float] {
        (0..<operand.rows * operand.columns).map { index in
            switch operand.precision {
            case .fp32: operand.base.load(fromByteOffset: 4 * index, as: Float.self)
            case .bf16:
                Float(
                    bitPattern: UInt32(
                        operand.base.load(fromByteOffset: 2 * index, as: UInt16.self))
                        << 16)
            }
        }
    }

    var doubles: [Double] { floats.map(Double.init) }
}

/// Returns the upper half of a finite float, rounded to nearest, ties to even.
func roundedToBF16(_ x: Float) -> UInt16 {
    let (upper, lower) = (UInt16(x.bitPattern >> 16), x.bitPattern & 0xffff)
    let isUp = lower > 0x8000 || lower == 0x8000 && upper & 1 == 1
    return isUp ? upper + 1 : upper
}

extension Precision {
    /// Returns the allowed error of a result, relative to its norm, if it is `kept` in this
    /// precision.
    func tolerance(_ single: Double, kept: Bool = true) -> Double {
        self == .bf16 && kept ? 1.0 / 256 : single
    }

    /// Returns a count, rounded up to an even one if this precision requires it.
    func even(_ count: Int) -> Int { self == .bf16 ? count + count % 2 : count }
}

extension Buffer<Float> {
    var vector: Vector { Vector(base, count: count) }
    var doubles: [Double] { elements.map(Double.init) }
}

/// Returns |x - y| / |y| in the Euclidean norm.
func relativeError(_ x: [Double], _ y: [Double]) -> Double {
    precondition(x.count == y.count)
    let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let norm = y.reduce(0) { $0 + $1 * $1 }
    return (difference / max(norm, 1e-300)).squareRoot()
}

/// Returns the places of about 150 elements, because the differences at all elements of a large
/// array would take minutes.
func sampledPlaces(of x: [Double]) -> [Int] {
    Array(stride(from: 0, to: x.count, by: max(1, x.count / 150)))
}

/// Returns the gradient of `loss` at `x` by central differences in double precision, of all
/// elements or those at some places.
func finiteDifferences(
    _ x: [Double], at places: [Int]? = nil, _ loss: ([Double]) -> Double
) -> [Double] {
    let h = 1e-5
    return (places ?? Array(x.indices)).map { index in
        var plus = x
        var minus = x
        plus[index] += h
        minus[index] -= h
        return (loss(plus) - loss(minus)) / (2 * h)
    }
}

func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }
