import Compute
import Glibc
import Recipes

/// Adam with L2 decay (Kingma & Ba 2015, Algorithm 1) and AdamW with decoupled decay (Loshchilov &
/// Hutter 2019, Algorithm 2).
struct AdamRule: UpdateRule {
    private let configuration: OptimizerConfiguration
    private let moments: Moments

    init(_ configuration: OptimizerConfiguration, count: Int) {
        self.init(configuration, moments: Moments(count: count))
    }

    init(_ configuration: OptimizerConfiguration, moments: Moments) {
        self.configuration = configuration
        self.moments = moments
    }

    var states: [Optimizer.State] { moments.states }

    func writeStepFactors(
        times shared: Double, state: Range<Int>, into factors: Vector, _ scalars: StepScalars
    ) {
        moments.writeStepFactors(
            times: shared, state: state, into: factors, scalars, configuration)
    }

    var stableProduct: Double { configuration.stableProductOfMean }

    func update(_ part: ArenaPart, _ scalars: StepScalars) {
        let isDecoupled = configuration.name.decouplesDecay
        adam(
            AdamCoefficients(
                configuration, scalars, coupledDecay: isDecoupled ? 0 : Float(scalars.weightDecay),
                kept: isDecoupled ? Float(1 - scalars.learningRate * scalars.weightDecay) : 1),
            parameters: part.parameters, gradients: part.gradients,
            means: moments.mean.vector(part.state), squares: moments.square.vector(part.state))
    }
}

/// The state of Adam and similar rules.
struct Moments: Sendable {
    let mean: Buffer<Float>
    let square: Buffer<Float>

    init(count: Int) {
        mean = Buffer(count: count)
        square = Buffer(count: count)
    }

    var states: [Optimizer.State] {
        [
            Optimizer.State(name: "exp_avg", buffer: mean),
            Optimizer.State(name: "exp_avg_sq", buffer: square),
        ]
    }

    /// Writes the factors of Adam's step. Each is `shared` before the first step.
    func writeStepFactors(
        times shared: Double, state: Range<Int>, into factors: Vector, _ scalars: StepScalars,
        _ configuration: OptimizerConfiguration
    ) {
        guard scalars.step > 0 else {
            factors.elements.update(repeating: Float(shared))
            return
        }
        let corrections = AdamCorrections(configuration, step: scalars.step)
        writeAdamFactors(
            into: factors, squares: square.vector(state), shared: shared,
            corrections: (corrections.mean, corrections.square),
            epsilon: configuration.epsilon * scalars.epsilonFactor)
    }
}

/// The corrections of the bias of Adam's moments toward zero.
struct AdamCorrections {
    let mean: Double
    let square: Double

    init(_ configuration: OptimizerConfiguration, step: Int) {
        mean = 1 - pow(configuration.beta1, Double(step))
        square = 1 - pow(configuration.beta2, Double(step))
    }
}

extension OptimizerConfiguration {
    /// The stable product of rules that step along Adam's mean, which admits 1 - beta1 of the
    /// gradient: 38 for a beta1 of 0.9.
    var stableProductOfMean: Double { 2 * (1 + beta1) / (1 - beta1) }
}

extension AdamCoefficients {
    /// Creates the coefficients of a step, with its bias corrections.
    init(
        _ configuration: OptimizerConfiguration, _ scalars: StepScalars, coupledDecay: Float,
        kept: Float
    ) {
        let corrections = AdamCorrections(configuration, step: scalars.step)
        self.init(
            rate: Float(-scalars.learningRate / corrections.mean), scale: scalars.gradientScale,
            coupledDecay: coupledDecay, kept: kept, meanWeight: Float(1 - configuration.beta1),
            beta2: Float(configuration.beta2), newSquare: Float(1 - configuration.beta2),
            correction: Float(corrections.square.squareRoot()),
            epsilon: Float(configuration.epsilon * scalars.epsilonFactor))
    }
}
