import Compute
import Glibc
import Recipes

/// Muon for the matrices of the blocks, and AdamW for the other tensors (Jordan et al. 2024, "Muon:
/// An optimizer for hidden layers in neural networks").
///
/// A matrix moves by the rate along its momentum, of which `NewtonSchulz` sets all singular values
/// to about 1. Its direction is scaled by 0.2 sqrt(max(rows, columns)), so that its root mean square
/// is that of AdamW's steps, and both parts suit the same rate and weight decay (Liu et al. 2025,
/// "Muon is Scalable for LLM Training", section 2.2).
struct MuonRule: UpdateRule {
    private let configuration: OptimizerConfiguration
    private let moments: Moments
    private let rest: AdamRule
    /// The rate of the other tensors, relative to that of the matrices.
    private let restRate: Double

    init(_ configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        moments = Moments(count: count)
        rest = AdamRule(configuration, moments: moments)
        restRate = configuration.adamLearningRateFactor
    }

    /// A matrix has no mean square. Its elements hold its direction during a step.
    var states: [Optimizer.State] {
        [
            Optimizer.State(name: "exp_avg", buffer: moments.mean),
            Optimizer.State(name: "exp_avg_sq", buffer: moments.square, hasMatrices: false),
        ]
    }

    var directions: Buffer<Float>? { moments.square }

    func advance(_ part: ArenaPart, _ scalars: StepScalars) {
        advanceMuon(
            gradients: part.gradients, momentum: moments.mean.vector(part.state),
            directions: moments.square.vector(part.state), scale: scalars.gradientScale,
            admitted: Float(1 - configuration.momentum), nesterov: configuration.nesterov)
    }

    func update(_ part: ArenaPart, _ scalars: StepScalars) {
        guard let scale = scalars.directionScale else {
            var scalars = scalars
            scalars.learningRate *= restRate
            return rest.update(part, scalars)
        }
        move(
            parameters: part.parameters, along: moments.square.vector(part.state),
            rate: Float(-scalars.learningRate * scale),
            kept: Float(1 - scalars.learningRate * scalars.weightDecay))
    }

    /// The factors of a matrix's step are not diagonal, so there is no such product.
    var stableProduct: Double { .nan }
}

extension LayerMatrix {
    /// The factor of an orthogonalized direction, whose elements have a root mean square of
    /// 1 / sqrt(max(rows, columns)), at which this becomes 0.2, as of AdamW's steps.
    var directionScale: Double { 0.2 * Double(max(rows, columns)).squareRoot() }
}
