import Kernels
import Tensors

// Reference kernels in double precision, written for clarity, and the tools to compare with them.

/// Rows of doubles.
typealias Rows = [[Double]]

/// Reproducible numbers in (-1, 1) times `scale`, representable in fp32.
func numbers(_ count: Int, seed: UInt64, scale: Double = 1) -> [Double] {
    let random = CounterRandom(key: seed)
    return (0..<count).map { Double(Float((2 * random.uniform(UInt64($0)) - 1) * scale)) }
}

func rows(_ flat: [Double], _ columns: Int) -> Rows {
    stride(from: 0, to: flat.count, by: columns).map { Array(flat[$0..<$0 + columns]) }
}

/// fp32 memory with some values in it.
func buffer(_ values: [Double]) -> Buffer<Float> {
    let buffer = Buffer<Float>(count: values.count)
    for (index, value) in values.enumerated() { buffer.base[index] = Float(value) }
    return buffer
}

func matrix(_ buffer: Buffer<Float>, columns: Int) -> Matrix {
    Matrix(buffer.base, rows: buffer.count / columns, columns: columns)
}

extension Buffer<Float> {
    var vector: Vector { Vector(base, count: count) }
    var doubles: [Double] { elements.map(Double.init) }
}

/// |x - y| / |y| in the Euclidean norm.
func relativeError(_ x: [Double], _ y: [Double]) -> Double {
    precondition(x.count == y.count)
    let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let norm = y.reduce(0) { $0 + $1 * $1 }
    return (difference / max(norm, 1e-300)).squareRoot()
}

/// The gradient of `loss` at `x` by central differences in double.
func finiteDifferences(_ x: [Double], _ loss: ([Double]) -> Double) -> [Double] {
    let h = 1e-5
    return x.indices.map { index in
        var plus = x
        var minus = x
        plus[index] += h
        minus[index] -= h
        return (loss(plus) - loss(minus)) / (2 * h)
    }
}

func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }
