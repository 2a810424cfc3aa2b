import Compute
import Recipes

/// SGD whose gradient with L2 decay is scaled to each tensor's norm (You et al. 2017, "Large Batch
/// Training of Convolutional Networks", Algorithm 1).
///
/// As in SGD, the learning rate multiplies the momentum instead of entering it. Both variants are
/// equal while the rate is constant.
struct LarsRule: UpdateRule {
    private let configuration: OptimizerConfiguration
    private let descent: DescentRule

    init(_ configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        descent = DescentRule(configuration, count: count)
    }

    var states: [Optimizer.State] { descent.states }

    var stableProduct: Double { descent.stableProduct }

    func measure(_ part: ArenaPart, _ scalars: StepScalars) -> NormSums {
        (
            SumOfSquares.of(part.parameters.base, count: part.parameters.count),
            SumOfSquares.of(part.gradients.base, count: part.gradients.count)
        )
    }

    func trustRatio(parameterNorm: Double, comparedNorm: Double, _ scalars: StepScalars) -> Double {
        let gradientNorm = comparedNorm * Double(abs(scalars.gradientScale))
        return configuration.trustCoefficient * parameterNorm
            / (gradientNorm + configuration.weightDecay * parameterNorm)
    }

    func update(_ part: ArenaPart, _ scalars: StepScalars) { descent.update(part, scalars) }
}
