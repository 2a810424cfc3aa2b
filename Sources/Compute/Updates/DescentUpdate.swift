// Elementwise loops over eight parameters at a time. `addingProduct` rounds once (a fused
// multiply-add); every other operation rounds once, in the order of the code. Counts are
// multiples of 16, so there is never a remainder.

/// Computes g = scale g + weightDecay p; p = p + rate g, with the negative learning rate `rate`.
package func descend(
    parameters: Vector, gradients: Vector, rate: Float, scale: Float, weightDecay: Float
) {
    let count = parameters.count
    let (parameters, gradients) = (parameters.base, gradients.base)
    let rate = Floats(repeating: rate)
    let scale = Floats(repeating: scale)
    let weightDecay = Floats(repeating: weightDecay)
    var index = 0
    while index < count {
        let parameter = parameters.load8(index)
        let gradient = (scale * gradients.load8(index)).addingProduct(weightDecay, parameter)
        parameters.store8(parameter.addingProduct(rate, gradient), index)
        index += 8
    }
}

/// The scalars of one step of SGD with momentum, rounded to fp32.
package struct MomentumCoefficients {
    /// The negative learning rate.
    package let rate: Float
    /// The factor that multiplies the gradient first.
    package let scale: Float
    /// The factor of the parameter that is added to the gradient.
    package let weightDecay: Float
    /// The weight of the look-ahead.
    package let momentum: Float
    /// The fraction of the buffer that is kept: the momentum, or 0 in the first step.
    package let retained: Float
    /// The fraction of the gradient that is added: 1 - dampening, or 1 in the first step.
    package let admitted: Float
    package let nesterov: Bool

    package init(
        rate: Float, scale: Float, weightDecay: Float, momentum: Float, retained: Float,
        admitted: Float, nesterov: Bool
    ) {
        self.rate = rate
        self.scale = scale
        self.weightDecay = weightDecay
        self.momentum = momentum
        self.retained = retained
        self.admitted = admitted
        self.nesterov = nesterov
    }
}

/// Computes b = retained b + admitted g; p = p + rate b, or with Nesterov
/// p = p + rate (g + momentum b).
///
/// Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in
/// PyTorch's form, where the learning rate multiplies the buffer instead of entering it.
package func descendWithMomentum(
    _ coefficients: MomentumCoefficients, parameters: Vector, gradients: Vector, buffer: Vector
) {
    let count = parameters.count
    let (parameters, gradients, buffer) = (parameters.base, gradients.base, buffer.base)
    let rate = Floats(repeating: coefficients.rate)
    let scale = Floats(repeating: coefficients.scale)
    let weightDecay = Floats(repeating: coefficients.weightDecay)
    let momentum = Floats(repeating: coefficients.momentum)
    let retained = Floats(repeating: coefficients.retained)
    let admitted = Floats(repeating: coefficients.admitted)
    let nesterov = coefficients.nesterov
    var index = 0
    while index < count {
        let parameter = parameters.load8(index)
        let gradient = (scale * gradients.load8(index)).addingProduct(weightDecay, parameter)
        let moved = (retained * buffer.load8(index)).addingProduct(admitted, gradient)
        let direction = nesterov ? gradient.addingProduct(momentum, moved) : moved
        buffer.store8(moved, index)
        parameters.store8(parameter.addingProduct(rate, direction), index)
        index += 8
    }
}
