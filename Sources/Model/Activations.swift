import Compute
import Recipes

/// Where each activation of a micro-batch lies in one arena.
///
/// N = B T rows are the tokens of B sequences; C channels, H heads, V padded vocabulary. What
/// enters products is of the model's precision, all else fp32.
struct Activations {
    /// What stays in memory until backward.
    enum Kept {
        /// Everything that backward reads.
        case all
        /// The residual stream before and behind each block; the rest is in the last block's place.
        case residuals
        /// Nothing, for a model that only evaluates.
        case nothing
    }

    let buffer: Buffer<Float>
    /// The residual stream before each block and behind the last, L + 1 times (N, C).
    let residuals: [Matrix]
    /// What each block computes; those of which nothing is kept have one place.
    let blocks: [Block]
    let finalNorm: Normalized
    let logits: Matrix  // (rows of a head chunk, V)
    let branch: Matrix  // (N, C), a residual branch before it is added
    /// Gradients in flight; nil in a model that only evaluates.
    let gradients: Gradients?

    struct Block {
        let attentionNorm: Normalized
        let qkv: Operand  // (N, 3C)
        let attention: Operand  // (N, C)
        let logSumExp: Vector  // (B H T)
        let middle: Matrix  // (N, C), the residual stream after attention
        let feedForwardNorm: Normalized
        let slope: Operand  // (N, 4C), GELU's derivative
        let activated: Operand  // (N, 4C), behind GELU
    }

    struct Normalized {
        let output: Operand  // (N, C)
        let mean: Vector  // (N)
        let rstd: Vector  // (N)
    }

    struct Gradients {
        let logits: Operand  // (rows of a head chunk, V), in the memory of the logits
        let residual: Matrix  // (N, C)
        /// (N, C), the residual stream's as products take it: in fp32 the same memory.
        let rounded: Operand
        /// (N, C), the same with elements dropped, in memory that is free then.
        let dropped: Operand
        let branch: Matrix  // (N, C)
        let attention: Operand  // (N, C), in the memory of the activations' `branch`
        let wide: Operand  // (N, 4C), in the memory of the logits
        let qkv: Operand  // (N, 3C), in the memory of `wide`
    }

    init(
        _ shape: GPTConfiguration, rows n: Int, keeping kept: Kept, logitRows: Int,
        precision: Precision
    ) {
        let c = shape.width
        var layout = ArenaLayout()
        func reserve(_ rows: Int, _ columns: Int) -> NamedTensor {
            layout.append("", shape: [rows, columns])
        }
        func reserveOperand(_ columns: Int) -> NamedTensor {
            reserve(n, columns * precision.bytes / MemoryLayout<Float>.stride)
        }
        typealias NormPlan = (output: NamedTensor, mean: NamedTensor, rstd: NamedTensor)
        func reserveNorm() -> NormPlan { (reserveOperand(c), reserve(1, n), reserve(1, n)) }

        // A block may write over its input, which it reads no more when its output is made.
        let residuals = (0..<(kept == .nothing ? 1 : shape.layers + 1)).map { _ in reserve(n, c) }
        let blockPlans = (0..<(kept == .all ? shape.layers : 1)).map { _ in
            (
                attentionNorm: reserveNorm(), qkv: reserveOperand(3 * c),
                attention: reserveOperand(c), logSumExp: reserve(1, n * shape.heads),
                middle: reserve(n, c), feedForwardNorm: reserveNorm(),
                slope: reserveOperand(4 * c), activated: reserveOperand(4 * c)
            )
        }
        let finalNorm = reserveNorm()
        // Backward has no use for logits once it comes to the blocks, nor before for what is wide.
        let isTraining = kept != .nothing
        let wide = isTraining ? n * 4 * c * precision.bytes / MemoryLayout<Float>.stride : 0
        let logits = reserve(1, max(wide, logitRows * shape.paddedVocabularySize))
        let branch = reserve(n, c)
        let gradients =
            isTraining
            ? (
                residual: reserve(n, c), rounded: precision == .fp32 ? nil : reserveOperand(c),
                branch: reserve(n, c)
            ) : nil

        let buffer = Buffer<Float>(count: layout.count)
        self.buffer = buffer
        func operand(_ tensor: NamedTensor, _ columns: Int) -> Operand {
            Operand(buffer.base + tensor.offset, rows: n, columns: columns, precision: precision)
        }
        func norm(_ plan: NormPlan) -> Normalized {
            Normalized(
                output: operand(plan.output, c), mean: buffer.vector(plan.mean),
                rstd: buffer.vector(plan.rstd))
        }
        let planned = blockPlans.map { plan in
            Block(
                attentionNorm: norm(plan.attentionNorm), qkv: operand(plan.qkv, 3 * c),
                attention: operand(plan.attention, c), logSumExp: buffer.vector(plan.logSumExp),
                middle: buffer.matrix(plan.middle), feedForwardNorm: norm(plan.feedForwardNorm),
                slope: operand(plan.slope, 4 * c), activated: operand(plan.activated, 4 * c))
        }
        blocks = (0..<shape.layers).map { planned[kept == .all ? $0 : 0] }
        self.residuals = (0...shape.layers).map {
            buffer.matrix(residuals[kept == .nothing ? 0 : $0])
        }
        self.finalNorm = norm(finalNorm)
        self.logits = Matrix(
            buffer.base + logits.offset, rows: logitRows, columns: shape.paddedVocabularySize)
        self.branch = buffer.matrix(branch)
        self.gradients = gradients.map { plan in
            Gradients(
                logits: Operand(
                    buffer.base + logits.offset, rows: logitRows,
                    columns: shape.paddedVocabularySize,
                    stride: shape.paddedVocabularySize * MemoryLayout<Float>.stride
                        / precision.bytes, precision: precision),
                residual: buffer.matrix(plan.residual),
                rounded: operand(plan.rounded ?? plan.residual, c),
                dropped: operand(plan.rounded ?? plan.branch, c),
                branch: buffer.matrix(plan.branch), attention: operand(branch, c),
                wide: operand(logits, 4 * c), qkv: operand(logits, 3 * c))
        }
    }
}
