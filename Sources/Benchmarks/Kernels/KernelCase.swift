import Compute

/// A kernel on the shape that it has in a step of some size, to be measured.
struct KernelCase {
    let name: String
    /// The shape as text, such as "1024 x 768 x 2304".
    let shape: String
    /// The floating-point operations of a product; 0 if memory limits the kernel.
    let flops: Double
    /// The fewest bytes that the kernel must read and write.
    let bytes: Double
    let run: () -> Void

    /// Returns the case of a matrix product of (rows, depth) and (depth, columns) in a precision;
    /// the result is fp32.
    static func product(
        _ name: String, rows: Int, columns: Int, depth: Int, _ precision: Precision,
        run: @escaping () -> Void
    ) -> KernelCase {
        KernelCase(
            name: name, shape: "\(rows) x \(depth) x \(columns)",
            flops: 2 * Double(rows) * Double(columns) * Double(depth),
            bytes: Double(precision.bytes * (rows + columns) * depth + 4 * rows * columns),
            run: run)
    }

    /// Returns the case of a pass over memory that reads or writes `arrays` arrays of `count`
    /// floats.
    static func pass(
        _ name: String, shape: String, arrays: Int, of count: Int, run: @escaping () -> Void
    ) -> KernelCase {
        KernelCase(
            name: name, shape: shape, flops: 0, bytes: 4 * Double(arrays) * Double(count), run: run)
    }
}

/// The resources that the cases of a size share: its shape, and memory with plausible numbers. The
/// memory lives as long as this object.
final class KernelBench {
    let size: BenchmarkSize
    let precision: Precision
    let engine: ComputeEngine
    private var memory: [AnyObject] = []
    private let random = CounterRandom(seed: 1, stream: .initialization)

    init(size: BenchmarkSize, precision: Precision, engine: ComputeEngine) {
        self.size = size
        self.precision = precision
        self.engine = engine
    }

    /// The number of rows of a micro-batch (N = B T).
    var rows: Int { size.sequencesPerRank * size.sequenceLength }

    /// Returns the cases of all kernels of a training step, in the order of the step.
    ///
    /// To measure another kernel, add a case to one of these lists.
    func cases() -> [KernelCase] {
        blockCases() + headCases() + optimizerCases()
    }

    private func blockCases() -> [KernelCase] {
        guard size.architecture == "llama" else {
            return embeddingCases() + normCases() + linearCases() + attentionCases()
                + elementwiseCases()
        }
        return rmsNormCases() + transposedLinearCases() + rotaryCases() + attentionCases()
    }

    /// Returns a matrix of numbers between -0.5 and 0.5.
    func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(buffer(rows * columns).base, rows: rows, columns: columns)
    }

    /// Returns an operand of products, of numbers between -0.5 and 0.5.
    func operand(_ rows: Int, _ columns: Int) -> Operand {
        let matrix = matrix(rows, columns)
        guard precision == .bf16 else { return matrix.operand }
        roundToOperand(matrix.base, count: rows * columns, into: matrix.base)
        return Operand(matrix.base, rows: rows, columns: columns, precision: precision)
    }

    /// Returns a vector of numbers between -0.5 and 0.5.
    func vector(_ count: Int) -> Vector { Vector(buffer(count).base, count: count) }

    /// Returns a buffer of numbers between -0.5 and 0.5.
    func buffer(_ count: Int) -> Buffer<Float> {
        let buffer = Buffer<Float>(count: count)
        // A few numbers repeat, because the speed does not depend on the values.
        let some = (0..<1009).map { Float(random.uniform(UInt64($0)) - 0.5) }
        for place in 0..<count { buffer.base[place] = some[place % 1009] }
        memory.append(buffer)
        return buffer
    }

    /// Returns memory for the loss of each row.
    func losses() -> UnsafeMutablePointer<Double> {
        let losses = Buffer<Double>(count: rows)
        memory.append(losses)
        return losses.base
    }

    /// Returns a token of the vocabulary for each row.
    func tokens() -> UnsafePointer<Int32> {
        let tokens = Buffer<Int32>(count: rows)
        for row in 0..<rows {
            tokens.base[row] = Int32(random.bits(UInt64(row)) % UInt64(size.vocabulary))
        }
        memory.append(tokens)
        return UnsafePointer(tokens.base)
    }
}
