import COneDNN
import Tensors

/// A planned matrix product C = A B, C = A B + bias or C += A B in fp32, run by oneDNN.
///
/// The output is split into tiles that depend on its shape alone; the team shares the tiles out, and
/// oneDNN computes each with one thread, so the bits do not depend on the number of threads.
package final class MatrixProduct {
    /// What is multiplied: A is (rows, inner) and B is (inner, columns), each stored row-major as
    /// it is or transposed, with rows of the stored matrix `stride` elements apart.
    package struct Shape: Hashable, Sendable {
        package var rows: Int
        package var columns: Int
        package var inner: Int
        package var transposesA = false
        package var transposesB = false
        package var strideA: Int
        package var strideB: Int
        package var strideC: Int
        package var hasBias = false
        package var accumulates = false

        /// A product of contiguous matrices unless strides are given.
        package init(
            rows: Int, columns: Int, inner: Int, transposesA: Bool = false,
            transposesB: Bool = false, strideA: Int? = nil, strideB: Int? = nil,
            strideC: Int? = nil, hasBias: Bool = false, accumulates: Bool = false
        ) {
            self.rows = rows
            self.columns = columns
            self.inner = inner
            self.transposesA = transposesA
            self.transposesB = transposesB
            self.strideA = strideA ?? (transposesA ? rows : inner)
            self.strideB = strideB ?? (transposesB ? inner : columns)
            self.strideC = strideC ?? columns
            self.hasBias = hasBias
            self.accumulates = accumulates
        }
    }

    package let shape: Shape
    private let engine: ComputeEngine
    private let tiles: [Tile]

    /// A part of the output, and the primitive that computes parts of its size.
    private struct Tile {
        let row: Int
        let column: Int
        let primitive: ProductPrimitive
    }

    /// Plans a product; `splits: false` keeps it in one piece, for use inside another loop's tiles.
    package init(_ shape: Shape, engine: ComputeEngine, splits: Bool = true) {
        self.shape = shape
        self.engine = engine
        var primitives: [Shape: ProductPrimitive] = [:]
        tiles = Self.parts(of: shape, splits: splits).map { rows, columns in
            var part = shape
            part.rows = rows.count
            part.columns = columns.count
            let primitive = primitives[part] ?? ProductPrimitive(part, engine: engine)
            primitives[part] = primitive
            return Tile(row: rows.lowerBound, column: columns.lowerBound, primitive: primitive)
        }
    }

    /// Computes the product with the whole team.
    package func run(
        _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
        into c: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>? = nil
    ) {
        engine.team.forEach(tiles.count) { index, thread in
            run(tiles[index], a, b, c, bias, thread)
        }
    }

    /// Computes the product on the thread that is already running one of a team's tiles.
    func run(
        _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
        into c: UnsafeMutablePointer<Float>, thread: Int
    ) {
        for tile in tiles { run(tile, a, b, c, nil, thread) }
    }

    private func run(
        _ tile: Tile, _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
        _ c: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>?, _ thread: Int
    ) {
        tile.primitive.execute(
            a + tile.row * (shape.transposesA ? 1 : shape.strideA),
            b + tile.column * (shape.transposesB ? shape.strideB : 1),
            c + tile.row * shape.strideC + tile.column,
            bias: bias.map { $0 + tile.column }, thread: thread)
    }

    /// Splits the longer side of the output into at most eight parts of at least 4 MFLOP each.
    ///
    /// More parts would serve more threads; fewer keep oneDNN's packing of the other operand cheap.
    private static func parts(
        of shape: Shape, splits: Bool
    ) -> [(rows: Range<Int>, columns: Range<Int>)] {
        let work = 2 * shape.rows * shape.columns * shape.inner
        let longer = max(shape.rows, shape.columns)
        let wanted = splits ? max(1, min(8, work / 4_000_000, longer / 64)) : 1
        // Multiples of 64 keep every part on whole registers and cache lines.
        let size = (longer + wanted - 1) / wanted
        let step = wanted == 1 ? longer : (size + 63) / 64 * 64
        return stride(from: 0, to: longer, by: max(1, step)).map { start in
            let part = start..<min(longer, start + step)
            return shape.rows >= shape.columns
                ? (part, 0..<shape.columns) : (0..<shape.rows, part)
        }
    }
}

/// A oneDNN matmul primitive with the memory objects that each thread passes to it.
private final class ProductPrimitive {
    private let primitive: dnnl_primitive_t
    private let engine: ComputeEngine
    // Element i belongs to thread i alone.
    private let arguments: [[dnnl_exec_arg_t]]

    private enum Place {
        static let a = 0
        static let b = 1
        static let c = 2
        static let scratchpad = 3
        static let bias = 4
    }

    init(_ shape: MatrixProduct.Shape, engine: ComputeEngine) {
        self.engine = engine
        var a = describe(shape.rows, shape.inner, shape.strideA, transposed: shape.transposesA)
        var b = describe(shape.inner, shape.columns, shape.strideB, transposed: shape.transposesB)
        var c = describe(shape.rows, shape.columns, shape.strideC, transposed: false)
        var bias = describe(1, shape.columns, shape.columns, transposed: false)

        var operation = dnnl_matmul_desc_t()
        withUnsafePointer(to: &bias) { bias in
            check(
                dnnl_matmul_desc_init(&operation, &a, &b, shape.hasBias ? bias : nil, &c),
                "dnnl_matmul_desc_init")
        }
        let attributes = makeAttributes(accumulates: shape.accumulates)
        defer { dnnl_primitive_attr_destroy(attributes) }
        var description: dnnl_primitive_desc_t?
        check(
            dnnl_primitive_desc_create(&description, &operation, attributes, engine.engine, nil),
            "dnnl_primitive_desc_create")
        defer { dnnl_primitive_desc_destroy(description) }
        var primitive: dnnl_primitive_t?
        check(dnnl_primitive_create(&primitive, description), "dnnl_primitive_create")
        guard let primitive else { fatalError("oneDNN gave no primitive") }
        self.primitive = primitive

        guard let query = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0)
        else { fatalError("oneDNN gave no scratchpad") }
        var scratchpad = query.pointee
        engine.reserveProductScratch(bytes: dnnl_memory_desc_get_size(&scratchpad))

        arguments = (0..<engine.threadCount).map { _ in
            var arguments = [
                argument(DNNL_ARG_SRC, &a, engine), argument(DNNL_ARG_WEIGHTS, &b, engine),
                argument(DNNL_ARG_DST, &c, engine),
                argument(DNNL_ARG_SCRATCHPAD, &scratchpad, engine),
            ]
            if shape.hasBias { arguments.append(argument(DNNL_ARG_BIAS, &bias, engine)) }
            return arguments
        }
    }

    deinit {
        for argument in arguments.joined() { dnnl_memory_destroy(argument.memory) }
        dnnl_primitive_destroy(primitive)
    }

    func execute(
        _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
        _ c: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>?, thread: Int
    ) {
        arguments[thread].withUnsafeBufferPointer { arguments in
            dnnl_memory_set_data_handle(arguments[Place.a].memory, a)
            dnnl_memory_set_data_handle(arguments[Place.b].memory, b)
            dnnl_memory_set_data_handle(arguments[Place.c].memory, c)
            dnnl_memory_set_data_handle(
                arguments[Place.scratchpad].memory, engine.productScratch(thread))
            if arguments.count > Place.bias {
                guard let bias else { preconditionFailure("the product was planned with a bias") }
                dnnl_memory_set_data_handle(arguments[Place.bias].memory, bias)
            }
            check(
                dnnl_primitive_execute(
                    primitive, engine.stream(thread), Int32(arguments.count),
                    arguments.baseAddress),
                "dnnl_primitive_execute")
        }
    }
}

/// The memory descriptor of a rows x columns matrix that is stored as it is or transposed.
private func describe(
    _ rows: Int, _ columns: Int, _ stride: Int, transposed: Bool
) -> dnnl_memory_desc_t {
    var description = dnnl_memory_desc_t()
    let dimensions = [Int64(rows), Int64(columns)]
    let strides = transposed ? [1, Int64(stride)] : [Int64(stride), 1]
    check(
        dnnl_memory_desc_init_by_strides(&description, 2, dimensions, dnnl_f32, strides),
        "dnnl_memory_desc_init_by_strides")
    return description
}

private func makeAttributes(accumulates: Bool) -> dnnl_primitive_attr_t? {
    var attributes: dnnl_primitive_attr_t?
    check(dnnl_primitive_attr_create(&attributes), "dnnl_primitive_attr_create")
    check(
        dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
        "dnnl_primitive_attr_set_scratchpad_mode")
    if accumulates {
        var operations: dnnl_post_ops_t?
        check(dnnl_post_ops_create(&operations), "dnnl_post_ops_create")
        check(dnnl_post_ops_append_sum(operations, 1), "dnnl_post_ops_append_sum")
        check(
            dnnl_primitive_attr_set_post_ops(attributes, operations),
            "dnnl_primitive_attr_set_post_ops")
        dnnl_post_ops_destroy(operations)
    }
    return attributes
}

private func argument(
    _ kind: Int32, _ description: inout dnnl_memory_desc_t, _ engine: ComputeEngine
) -> dnnl_exec_arg_t {
    var memory: dnnl_memory_t?
    check(
        // DNNL_MEMORY_NONE: the data comes with each execution.
        dnnl_memory_create(&memory, &description, engine.engine, nil), "dnnl_memory_create")
    return dnnl_exec_arg_t(arg: kind, memory: memory)
}
