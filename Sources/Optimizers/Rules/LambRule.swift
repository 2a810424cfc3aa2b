import Compute
import Recipes

/// Adam's direction with decay, scaled to each tensor's norm (You et al. 2020, "Large Batch
/// Optimization for Deep Learning", Algorithm 2, with the identity for phi).
struct LambRule: UpdateRule {
    private let configuration: OptimizerConfiguration
    private let moments: Moments

    init(_ configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        moments = Moments(count: count)
    }

    var states: [Optimizer.State] { moments.states }

    func measure(_ part: ArenaPart, _ scalars: StepScalars) -> NormSums {
        advanceLamb(
            part.parameters, part.gradients, moments.mean.base + part.stateStart,
            moments.square.base + part.stateStart, 0..<part.count, coefficients(scalars))
    }

    func trustRatio(parameterNorm: Double, comparedNorm: Double, _ scalars: StepScalars) -> Double {
        parameterNorm / comparedNorm
    }

    func update(_ part: ArenaPart, _ scalars: StepScalars) {
        moveByLamb(
            part.parameters, moments.mean.base + part.stateStart,
            moments.square.base + part.stateStart, 0..<part.count,
            rate: Float(-scalars.learningRate * scalars.trust), coefficients(scalars))
    }

    /// Returns the coefficients of the direction, which has a rate of 1.
    private func coefficients(_ scalars: StepScalars) -> LambCoefficients {
        let direction = StepScalars(
            step: scalars.step, learningRate: 1, gradientScale: scalars.gradientScale,
            weightDecay: 0)
        return LambCoefficients(
            AdamCoefficients(configuration, direction, coupledDecay: 0, kept: 1),
            weightDecay: Float(scalars.weightDecay))
    }
}
