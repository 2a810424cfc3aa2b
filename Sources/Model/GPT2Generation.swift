import Compute
import Recipes

/// A runner of GPT-2's blocks on one token, which caches the keys and values of earlier tokens.
///
/// The operands of matrix products are rounded to the parameters' precision, as in training and
/// evaluation, except for the attention probabilities.
struct GPT2Generation: GenerationStep {
    private let plan: ModelPlan
    private let parameters: Parameters
    private let norm: LayerNorm
    private let products: RowProducts
    private let caches: [Matrix]  // (T, 2C) for each layer
    private let normalized: LayerNorm.Activations  // (1, C)
    private let branch: Matrix  // (1, C)
    private let qkv: Matrix  // (1, 3C)
    private let wide: Matrix  // (1, 4C)
    private let scores: Vector  // (T)

    init(_ plan: ModelPlan, parameters: Parameters, in memory: inout ArenaCursor) {
        self.plan = plan
        self.parameters = parameters
        let (c, t) = (plan.configuration.width, plan.configuration.contextLength)
        norm = LayerNorm(plan)
        products = RowProducts(
            parameters: parameters, engine: plan.engine, widest: 4 * c, in: &memory)
        caches = (0..<plan.configuration.layers).map { _ in memory.matrix(t, 2 * c) }
        normalized = LayerNorm.Activations(plan, in: &memory)
        branch = memory.matrix(1, c)
        qkv = memory.matrix(1, 3 * c)
        wide = memory.matrix(1, 4 * c)
        scores = memory.vector(t)
    }

    var bytes: Int { 0 }

    func run(_ layer: Int, _ layout: GPT2Block.Layout, position: Int, residual: Matrix) {
        guard let row = normalized.output.matrix else { preconditionFailure("rows are in fp32") }
        let engine = plan.engine
        norm.forward(residual, layout.attentionNorm, into: normalized, parameters: parameters)
        products.project(row, layout.qkv, into: qkv)
        products.round(qkv)
        attend(to: caches[layer], position: position, into: row)
        products.project(row, layout.attentionProjection, into: branch)
        add(residual, branch, into: residual, engine: engine)
        norm.forward(residual, layout.feedForwardNorm, into: normalized, parameters: parameters)
        products.project(row, layout.up, into: wide)
        geluForward(wide, into: wide, engine: engine)
        products.project(wide, layout.down, into: branch)
        add(residual, branch, into: residual, engine: engine)
    }

    /// Computes the attention of the newest query over the cached keys.
    private func attend(to cache: Matrix, position: Int, into output: Matrix) {
        let c = plan.configuration.width
        cache.row(position).update(from: qkv.base + c, count: 2 * c)
        attendToCache(
            query: qkv.base, cache: cache.rows(0..<position + 1),
            heads: plan.configuration.heads, kvHeads: plan.configuration.heads, scores: scores,
            into: output)
    }
}

/// The matrix products with one token's row.
struct RowProducts {
    let parameters: Parameters
    let engine: ComputeEngine
    /// The memory for a row that is rounded to bf16 for a product.
    private let rounded: Operand

    /// Allocates memory for rounding rows of at most `widest` columns.
    init(
        parameters: Parameters, engine: ComputeEngine, widest: Int, in memory: inout ArenaCursor
    ) {
        self.parameters = parameters
        self.engine = engine
        rounded = memory.operand(1, widest, .bf16)
    }

    /// Computes `output` = `input` W + b.
    func project(_ input: Matrix, _ projection: Projection, into output: Matrix) {
        projection.linear(parameters).forward(
            operand(input), into: output.operand, engine: engine)
    }

    /// Returns a row as an operand of a product, rounded in bf16. It is valid until the next call.
    func operand(_ row: Matrix) -> Operand {
        guard parameters.precision == .bf16 else { return row.operand }
        roundToOperand(row.base, count: row.columns, into: rounded.base)
        return Operand(rounded.base, rows: 1, columns: row.columns, precision: .bf16)
    }

    /// Rounds a row that attention reads in place if the parameters are in bf16.
    func round(_ row: Matrix) {
        guard parameters.precision == .bf16 else { return }
        roundToBFloat16(row)
    }
}
