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

    func writeStepFactors(
        times shared: Double, state: Range<Int>, into factors: Vector, _ scalars: StepScalars
    ) {
        moments.writeStepFactors(
            times: shared, state: state, into: factors, scalars, configuration)
    }

    var stableProduct: Double { configuration.stableProductOfMean }

    func measure(_ part: ArenaPart, _ scalars: StepScalars) -> NormSums {
        advanceLamb(
            coefficients(scalars), weightDecay: Float(scalars.weightDecay),
            parameters: part.parameters, gradients: part.gradients,
            means: moments.mean.vector(part.state), squares: moments.square.vector(part.state))
    }

    func trustRatio(parameterNorm: Double, comparedNorm: Double, _ scalars: StepScalars) -> Double {
        parameterNorm / comparedNorm
    }

    func update(_ part: ArenaPart, _ scalars: StepScalars) {
        moveByLamb(
            coefficients(scalars), weightDecay: Float(scalars.weightDecay),
            rate: Float(-scalars.learningRate * scalars.trust), parameters: part.parameters,
            means: moments.mean.vector(part.state), squares: moments.square.vector(part.state))
    }

    /// Returns the coefficients of the direction, which has a rate of 1.
    private func coefficients(_ scalars: StepScalars) -> AdamCoefficients {
        let direction = StepScalars(
            step: scalars.step, learningRate: 1, gradientScale: scalars.gradientScale,
            weightDecay: 0)
        return AdamCoefficients(configuration, direction, coupledDecay: 0, kept: 1)
    }
}
