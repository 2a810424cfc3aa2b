// LAMB's two passes over a range: the first updates the moments and measures norms, the second
// updates the parameters. Both compute the direction, which is cheaper than writing and reading it.

import CCompute

/// The scalars of one step of LAMB, computed in double and rounded to fp32.
package struct LambCoefficients {
    /// Adam's coefficients, for a rate of 1 and without decay.
    package let adam: AdamCoefficients
    /// The factor of the parameter in the direction.
    package let weightDecay: Float

    package init(_ adam: AdamCoefficients, weightDecay: Float) {
        self.adam = adam
        self.weightDecay = weightDecay
    }
}

/// Computes m = m + (1 - beta1) (g - m) and v = beta2 v + (1 - beta2) g^2, and returns the sums of
/// squares of p and of the direction u = mhat / (sqrt(vhat) + epsilon) + weightDecay p.
///
/// You et al. 2020, "Large Batch Optimization for Deep Learning", Algorithm 2.
package func advanceLamb(
    _ coefficients: LambCoefficients, parameters: UnsafePointer<Float>,
    gradients: UnsafePointer<Float>, means: UnsafeMutablePointer<Float>,
    squares: UnsafeMutablePointer<Float>, count: Int
) -> NormSums {
    let moments = MomentUpdate(coefficients.adam)
    let direction = LambDirection(coefficients)
    let scale = Floats(repeating: coefficients.adam.scale)
    var parameterSquares = SIMD8<Double>()
    var directionSquares = SIMD8<Double>()
    var index = 0
    while index < count {
        let parameter = parameters.load8(index)
        let (mean, square) = moments(
            scale * gradients.load8(index), mean: means.load8(index), square: squares.load8(index))
        means.store8(mean, index)
        squares.store8(square, index)
        addSquares(parameter, to: &parameterSquares)
        addSquares(direction(parameter, mean: mean, square: square), to: &directionSquares)
        index += 8
    }
    return NormSums(parameters: parameterSquares.sum(), compared: directionSquares.sum())
}

/// Computes p = p + rate u; `rate` is the negative learning rate times the tensor's trust ratio.
package func moveByLamb(
    _ coefficients: LambCoefficients, rate: Float, parameters: UnsafeMutablePointer<Float>,
    means: UnsafePointer<Float>, squares: UnsafePointer<Float>, count: Int
) {
    let direction = LambDirection(coefficients)
    let rate = Floats(repeating: rate)
    var index = 0
    while index < count {
        let parameter = parameters.load8(index)
        let update = direction(parameter, mean: means.load8(index), square: squares.load8(index))
        parameters.store8(parameter.addingProduct(rate, update), index)
        index += 8
    }
}

/// The direction u for eight parameters.
private struct LambDirection {
    private let meanFactor: Floats
    private let correction: Floats
    private let epsilon: Floats
    private let weightDecay: Floats

    init(_ coefficients: LambCoefficients) {
        meanFactor = Floats(repeating: -coefficients.adam.rate)
        correction = Floats(repeating: coefficients.adam.correction)
        epsilon = Floats(repeating: coefficients.adam.epsilon)
        weightDecay = Floats(repeating: coefficients.weightDecay)
    }

    @inline(__always)
    func callAsFunction(_ parameter: Floats, mean: Floats, square: Floats) -> Floats {
        let denominator = lockstep_sqrt8(square) / correction + epsilon
        return (meanFactor * mean / denominator).addingProduct(weightDecay, parameter)
    }
}

@inline(__always)
private func addSquares(_ values: Floats, to sums: inout SIMD8<Double>) {
    let doubles = lockstep_doubles8(values)
    sums.addProduct(doubles, doubles)
}
