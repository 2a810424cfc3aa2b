import Tensors

/// Where each activation of a micro-batch lies in one arena.
///
/// N = B T rows are the tokens of B sequences; C channels, H heads, V padded vocabulary.
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
        let qkv: Matrix  // (N, 3C)
        let attention: Matrix  // (N, C)
        let logSumExp: Vector  // (B H T)
        let middle: Matrix  // (N, C), the residual stream after attention
        let feedForwardNorm: Normalized
        let slope: Matrix  // (N, 4C), GELU's derivative
        let activated: Matrix  // (N, 4C), behind GELU
    }

    struct Normalized {
        let output: Matrix  // (N, C)
        let mean: Vector  // (N)
        let rstd: Vector  // (N)
    }

    struct Gradients {
        let residual: Matrix  // (N, C)
        let branch: Matrix  // (N, C)
        let wide: Matrix  // (N, 4C)
        let qkv: Matrix  // (N, 3C), in the memory of `wide`
    }

    init(_ shape: GPTConfiguration, rows n: Int, keeping kept: Kept, logitRows: Int) {
        let c = shape.width
        var layout = ArenaLayout()
        func reserve(_ rows: Int, _ columns: Int) -> NamedTensor {
            layout.append("", shape: [rows, columns])
        }
        typealias NormPlan = (output: NamedTensor, mean: NamedTensor, rstd: NamedTensor)
        func reserveNorm() -> NormPlan { (reserve(n, c), reserve(1, n), reserve(1, n)) }

        // A block may write over its input, which it reads no more when its output is made.
        let residuals = (0..<(kept == .nothing ? 1 : shape.layers + 1)).map { _ in reserve(n, c) }
        let blockPlans = (0..<(kept == .all ? shape.layers : 1)).map { _ in
            (
                attentionNorm: reserveNorm(), qkv: reserve(n, 3 * c), attention: reserve(n, c),
                logSumExp: reserve(1, n * shape.heads), middle: reserve(n, c),
                feedForwardNorm: reserveNorm(), slope: reserve(n, 4 * c),
                activated: reserve(n, 4 * c)
            )
        }
        let finalNorm = reserveNorm()
        let logits = reserve(logitRows, shape.paddedVocabularySize)
        let branch = reserve(n, c)
        let gradients = kept == .nothing ? nil : (reserve(n, c), reserve(n, c), reserve(n, 4 * c))

        let buffer = Buffer<Float>(count: layout.count)
        self.buffer = buffer
        func norm(_ plan: NormPlan) -> Normalized {
            Normalized(
                output: buffer.matrix(plan.output), mean: buffer.vector(plan.mean),
                rstd: buffer.vector(plan.rstd))
        }
        let planned = blockPlans.map { plan in
            Block(
                attentionNorm: norm(plan.attentionNorm), qkv: buffer.matrix(plan.qkv),
                attention: buffer.matrix(plan.attention),
                logSumExp: buffer.vector(plan.logSumExp), middle: buffer.matrix(plan.middle),
                feedForwardNorm: norm(plan.feedForwardNorm), slope: buffer.matrix(plan.slope),
                activated: buffer.matrix(plan.activated))
        }
        blocks = (0..<shape.layers).map { planned[kept == .all ? $0 : 0] }
        self.residuals = (0...shape.layers).map {
            buffer.matrix(residuals[kept == .nothing ? 0 : $0])
        }
        self.finalNorm = norm(finalNorm)
        self.logits = buffer.matrix(logits)
        self.branch = buffer.matrix(branch)
        self.gradients = gradients.map { residual, branch, wide in
            Gradients(
                residual: buffer.matrix(residual), branch: buffer.matrix(branch),
                wide: buffer.matrix(wide),
                qkv: Matrix(buffer.base + wide.offset, rows: n, columns: 3 * c))
        }
    }
}
