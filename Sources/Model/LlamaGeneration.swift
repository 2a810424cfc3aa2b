import Compute
import Recipes

/// A runner of LLaMA's blocks on one token, which caches the turned keys and the values of earlier
/// tokens.
///
/// The operands of matrix products are rounded to the parameters' precision, as in training and
/// evaluation, except for the attention probabilities.
struct LlamaGeneration: GenerationStep {
    private let plan: ModelPlan
    private let parameters: Parameters
    private let norm: RMSNorm
    private let products: RowProducts
    private let rotary: RotaryEmbedding
    private let caches: [Matrix]  // (T, 2 K D) for each layer
    private let normalized: RMSNorm.Activations  // (1, C)
    private let branch: Matrix  // (1, C)
    private let qkv: Matrix  // (1, (H + 2K) D)
    private let gate: Matrix  // (1, F)
    private let up: Matrix  // (1, F)
    private let scores: Vector  // (T)

    init(_ plan: ModelPlan, parameters: Parameters, in memory: inout ArenaCursor) {
        self.plan = plan
        self.parameters = parameters
        let configuration = plan.configuration
        let (c, f, t) = (
            configuration.width, configuration.mlpWidth, configuration.contextLength
        )
        norm = RMSNorm(plan)
        products = RowProducts(
            parameters: parameters, engine: plan.engine, widest: max(c, f), in: &memory)
        rotary = RotaryEmbedding(
            length: t, frequencies: configuration.rotaryFrequencies, engine: plan.engine)
        caches = (0..<configuration.layers).map { _ in
            memory.matrix(t, configuration.qkvWidth - c)
        }
        normalized = RMSNorm.Activations(plan, in: &memory)
        branch = memory.matrix(1, c)
        qkv = memory.matrix(1, configuration.qkvWidth)
        gate = memory.matrix(1, f)
        up = memory.matrix(1, f)
        scores = memory.vector(t)
    }

    var bytes: Int { rotary.bytes }

    func run(_ layer: Int, _ layout: LlamaBlock.Layout, position: Int, residual: Matrix) {
        guard let row = normalized.output.matrix else { preconditionFailure("rows are in fp32") }
        let engine = plan.engine
        norm.forward(residual, layout.attentionNorm, into: normalized, parameters: parameters)
        layout.qkv.forward(products.operand(row), parameters, into: qkv.operand, engine: engine)
        // Training rounds before and after the turn.
        products.round(qkv)
        rotary.turn(
            qkv.operand, columns: plan.configuration.rotaryWidth, from: position, .forward)
        products.round(qkv)
        attend(to: caches[layer], position: position, into: row)
        products.project(row, layout.attentionProjection, into: branch)
        add(residual, branch, into: residual, engine: engine)
        norm.forward(residual, layout.feedForwardNorm, into: normalized, parameters: parameters)
        products.project(row, layout.gate, into: gate)
        products.project(row, layout.up, into: up)
        products.round(up)
        swiGLU(gate, up)
        products.project(gate, layout.down, into: branch)
        add(residual, branch, into: residual, engine: engine)
    }

    /// Computes the attention of the newest query over the cached keys.
    private func attend(to cache: Matrix, position: Int, into output: Matrix) {
        let configuration = plan.configuration
        cache.row(position).update(from: qkv.base + configuration.width, count: cache.columns)
        attendToCache(
            query: qkv.base, cache: cache.rows(0..<position + 1), heads: configuration.heads,
            kvHeads: configuration.kvHeadCount, scores: scores, into: output)
    }
}
