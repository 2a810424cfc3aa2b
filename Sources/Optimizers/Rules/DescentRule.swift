import Compute
import Recipes

/// Stochastic gradient descent with L2 decay, momentum and Nesterov's variant, as PyTorch's `SGD`.
struct DescentRule: UpdateRule {
    private let configuration: OptimizerConfiguration
    /// The momentum, or nil if it is 0.
    private let buffer: Buffer<Float>?

    init(_ configuration: OptimizerConfiguration, count: Int) {
        self.configuration = configuration
        buffer = configuration.momentum == 0 ? nil : Buffer(count: count)
    }

    var states: [Optimizer.State] {
        buffer.map { [Optimizer.State(name: "momentum_buffer", buffer: $0)] } ?? []
    }

    /// The product rate a = 2 (1 + k) / (1 - d) at which x' = x - rate m' and m' = k m + (1 - d) a x,
    /// with an eigenvalue a of the Hessian, have an eigenvalue of -1. Nesterov's step is k m' + a x
    /// instead of m'.
    var stableProduct: Double {
        let momentum = configuration.momentum
        return 2 * (1 + momentum)
            / (configuration.nesterov ? 1 + 2 * momentum : 1 - configuration.dampening)
    }

    func update(_ part: ArenaPart, _ scalars: StepScalars) {
        let rate = Float(-scalars.learningRate)
        let scale = Float(Double(scalars.gradientScale) * scalars.trust)
        let weightDecay = Float(scalars.weightDecay * scalars.trust)
        guard let buffer else {
            descend(
                parameters: part.parameters, gradients: part.gradients, rate: rate, scale: scale,
                weightDecay: weightDecay)
            return
        }
        // The first momentum is the gradient itself, whatever the dampening.
        let isFirst = scalars.step == 1
        descendWithMomentum(
            MomentumCoefficients(
                rate: rate, scale: scale, weightDecay: weightDecay,
                momentum: Float(configuration.momentum),
                retained: isFirst ? 0 : Float(configuration.momentum),
                admitted: isFirst ? 1 : Float(1 - configuration.dampening),
                nesterov: configuration.nesterov),
            parameters: part.parameters, gradients: part.gradients,
            buffer: buffer.vector(part.state))
    }
}
