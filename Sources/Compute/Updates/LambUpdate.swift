// LAMB's two passes over a range: the first updates the moments and measures norms, the second
// updates the parameters. Both compute the direction, which is cheaper than writing and reading it.

import CCompute

/// The sums of squares of a part of a tensor and of the values whose norm it is compared with: the
/// gradient in LARS, the direction in LAMB.
package typealias NormSums = (parameters: Double, compared: Double)

/// Computes m = m + (1 - beta1) (g - m) and v = beta2 v + (1 - beta2) g^2, and returns the sums of
/// squares of p and of the direction u = mhat / (sqrt(vhat) + epsilon) + weightDecay p.
///
/// You et al. 2020, "Large Batch Optimization for Deep Learning", Algorithm 2.
///
/// - Parameter coefficients: Adam's, for a rate of 1 and without decay.
package func advanceLamb(
    _ coefficients: AdamCoefficients, weightDecay: Float, parameters: Vector, gradients: Vector,
    means: Vector, squares: Vector
) -> NormSums {
    let count = parameters.count
    let (parameters, gradients) = (parameters.base, gradients.base)
    let (means, squares) = (means.base, squares.base)
    let moments = MomentUpdate(coefficients)
    let direction = LambDirection(coefficients, weightDecay: weightDecay)
    let scale = Floats(repeating: coefficients.scale)
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
    return (parameterSquares.sum(), directionSquares.sum())
}

/// Computes p = p + rate u; `rate` is the negative learning rate times the tensor's trust ratio.
package func moveByLamb(
    _ coefficients: AdamCoefficients, weightDecay: Float, rate: Float, parameters: Vector,
    means: Vector, squares: Vector
) {
    let count = parameters.count
    let (parameters, means, squares) = (parameters.base, means.base, squares.base)
    let direction = LambDirection(coefficients, weightDecay: weightDecay)
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

    init(_ coefficients: AdamCoefficients, weightDecay: Float) {
        meanFactor = Floats(repeating: -coefficients.rate)
        correction = Floats(repeating: coefficients.correction)
        epsilon = Floats(repeating: coefficients.epsilon)
        self.weightDecay = Floats(repeating: weightDecay)
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
