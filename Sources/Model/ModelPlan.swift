import Compute
import Recipes

/// What a model is planned for: its shape, its micro-batches, and what forward keeps for backward.
struct ModelPlan {
    /// What stays in memory until backward.
    enum Kept {
        /// Everything that backward reads.
        case all
        /// The residual stream before and behind each block; the rest is in the last block's place.
        case residuals
        /// Nothing, for a model that only evaluates.
        case nothing
    }

    let configuration: GPTConfiguration
    /// The tokens in a sequence (T).
    let sequenceLength: Int
    /// The sequences in a micro-batch (B).
    let microBatch: Int
    /// The precision of what enters matrix products.
    let precision: Precision
    let kept: Kept
    let engine: ComputeEngine

    /// The tokens of a micro-batch (N = B T).
    var rows: Int { microBatch * sequenceLength }
    /// Whether the model has a backward pass.
    var isTraining: Bool { kept != .nothing }
}

/// What a pass over a micro-batch is given.
struct Pass {
    let batch: TokenBatch
    let parameters: Parameters
    let dropout: DropoutKey?

    /// `output` = `input` with elements dropped, both (N, C), where there is dropout.
    func drop(_ input: Matrix, into output: Operand, at site: DropoutSite, _ plan: ModelPlan) {
        guard let dropout else { return }
        Compute.dropout(
            input, into: output, sequenceLength: plan.sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: dropout, engine: plan.engine)
    }
}

/// Where the parameters' gradients go.
struct GradientArena {
    let values: Buffer<Float>
    /// Whether gradients are added to what is there, instead of written over it.
    let accumulates: Bool
}

/// The residual stream's gradient on its way from the head to the embedding.
struct ResidualGradient: Planned {
    let residual: Matrix  // (N, C)
    /// (N, C), the residual stream's as products take it: in fp32 the same memory.
    let rounded: Operand
    /// (N, C), the same with elements dropped, in memory that is free then.
    let dropped: Operand
    let branch: Matrix  // (N, C), the gradient behind a norm

    init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
        let (n, c) = (plan.rows, plan.configuration.width)
        residual = memory.matrix(n, c)
        branch = memory.matrix(n, c)
        if plan.precision == .fp32 {
            (rounded, dropped) = (residual.operand, branch.operand)
        } else {
            rounded = memory.operand(n, c, plan.precision)
            dropped = rounded
        }
    }

    /// Returns the gradient that enters a residual branch: the stream's own, or a dropped copy.
    func entering(_ site: DropoutSite, _ pass: Pass, _ plan: ModelPlan) -> Operand {
        guard pass.dropout != nil else { return rounded }
        pass.drop(residual, into: dropped, at: site, plan)
        return dropped
    }
}
