import Compute
import Recipes

/// The plan of a model: its shape, its micro-batches, and the values that forward keeps for
/// backward.
struct ModelPlan {
    /// The values that stay in memory until backward.
    enum Kept {
        /// Everything that backward reads.
        case all
        /// The residual stream before and after each block; all blocks share memory for the rest.
        case residuals
        /// Nothing, for a model that only evaluates.
        case nothing
    }

    let configuration: GPTConfiguration
    /// The tokens in a sequence (T).
    let sequenceLength: Int
    /// The sequences in a micro-batch (B).
    let microBatch: Int
    /// The precision of the inputs of matrix products.
    let precision: Precision
    let kept: Kept
    var engine: ComputeEngine

    /// The tokens of a micro-batch (N = B T).
    var rows: Int { microBatch * sequenceLength }
    /// Whether the model has a backward pass.
    var isTraining: Bool { kept != .nothing }
}

/// The inputs of a pass over a micro-batch.
struct Pass {
    let batch: TokenBatch
    let parameters: Parameters
    let dropout: DropoutKey?

    /// Writes `input` with elements dropped to `output`, both (N, C); does nothing without dropout.
    func drop(_ input: Matrix, into output: Operand, at site: DropoutSite, _ plan: ModelPlan) {
        guard let dropout else { return }
        Compute.dropout(
            input, into: output, sequenceLength: plan.sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: dropout, engine: plan.engine)
    }
}

/// The destination of the parameters' gradients.
struct GradientArena {
    let values: Buffer<Float>
    /// Whether gradients are added to the arena's values instead of overwriting them.
    let accumulates: Bool
}

/// The residual stream's gradient on its way from the head to the embedding.
struct ResidualGradient: Planned {
    let residual: Matrix  // (N, C)
    /// The gradient (N, C) as an operand of products; in fp32 it shares the memory of `residual`.
    let rounded: Operand
    /// The operand (N, C) with elements dropped, in memory that is free when it is needed.
    let dropped: Operand
    let branch: Matrix  // (N, C), the gradient of a norm's output

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

    /// Returns the operand to which a norm also writes its sum, for the products that read it next;
    /// nil if they read the sum itself, in fp32, or a copy with elements dropped.
    func rounding(_ pass: Pass) -> Operand? {
        rounded.precision == .bf16 && pass.dropout == nil ? rounded : nil
    }

    /// Returns the gradient that enters a residual branch: the stream's, or a copy with elements
    /// dropped.
    func entering(_ site: DropoutSite, _ pass: Pass, _ plan: ModelPlan) -> Operand {
        guard pass.dropout != nil else { return rounded }
        pass.drop(residual, into: dropped, at: site, plan)
        return dropped
    }
}
