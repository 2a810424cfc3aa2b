// Elementwise loops over eight parameters at a time. `addingProduct` rounds once (a fused
// multiply-add); every other operation rounds once, in the order of the code. Counts are
// multiples of 16, so there is never a remainder.

import CCompute

/// The scalars of one step of Adam or AdamW, computed in double and rounded to fp32.
package struct AdamCoefficients {
    /// The negative learning rate over the mean's bias correction, 1 - beta1^step.
    package let rate: Float
    /// The factor that multiplies the gradient first.
    package let scale: Float
    /// Adam's L2 decay: the factor of the parameter that is added to the gradient; 0 in AdamW.
    package let coupledDecay: Float
    /// AdamW's decoupled decay: the fraction of the parameter that is kept; 1 in Adam.
    package let kept: Float
    /// 1 - beta1: the fraction by which the mean moves toward the gradient.
    package let meanWeight: Float
    package let beta2: Float
    /// 1 - beta2: the weight of the gradient's square.
    package let newSquare: Float
    /// The root of the square's bias correction, sqrt(1 - beta2^step).
    package let correction: Float
    package let epsilon: Float

    package init(
        rate: Float, scale: Float, coupledDecay: Float, kept: Float, meanWeight: Float,
        beta2: Float, newSquare: Float, correction: Float, epsilon: Float
    ) {
        self.rate = rate
        self.scale = scale
        self.coupledDecay = coupledDecay
        self.kept = kept
        self.meanWeight = meanWeight
        self.beta2 = beta2
        self.newSquare = newSquare
        self.correction = correction
        self.epsilon = epsilon
    }
}

/// Computes m = m + (1 - beta1) (g - m) and v = beta2 v + (1 - beta2) g^2 for eight gradients.
///
/// If beta1 is at most 1/2, the mean is computed as g - beta1 (g - m), as in PyTorch's `lerp`, so
/// that it equals g exactly if beta1 = 0.
struct MomentUpdate {
    private let weight: SIMD8<Float>
    private let fromGradient: SIMDMask<SIMD8<Int32>>
    private let beta2: SIMD8<Float>
    private let newSquare: SIMD8<Float>

    init(_ coefficients: AdamCoefficients) {
        let startsFromGradient = coefficients.meanWeight >= 0.5
        weight = Floats(
            repeating: startsFromGradient ? coefficients.meanWeight - 1 : coefficients.meanWeight)
        fromGradient = SIMDMask(repeating: startsFromGradient)
        beta2 = Floats(repeating: coefficients.beta2)
        newSquare = Floats(repeating: coefficients.newSquare)
    }

    /// Returns the new moments.
    @inline(__always)
    func callAsFunction(
        _ gradient: SIMD8<Float>, mean: SIMD8<Float>, square: SIMD8<Float>
    ) -> (mean: SIMD8<Float>, square: SIMD8<Float>) {
        (
            mean.replacing(with: gradient, where: fromGradient)
                .addingProduct(weight, gradient - mean),
            (beta2 * square).addingProduct(newSquare * gradient, gradient)
        )
    }
}

/// Computes m = m + (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2;
/// p = kept p + rate m / (sqrt(v) / correction + epsilon).
///
/// Kingma & Ba 2015, Algorithm 1; Loshchilov & Hutter 2019, Algorithm 2.
package func adam(
    _ coefficients: AdamCoefficients, parameters: Vector, gradients: Vector, means: Vector,
    squares: Vector
) {
    let count = parameters.count
    let (parameters, gradients) = (parameters.base, gradients.base)
    let (means, squares) = (means.base, squares.base)
    let rate = Floats(repeating: coefficients.rate)
    let scale = Floats(repeating: coefficients.scale)
    let coupledDecay = Floats(repeating: coefficients.coupledDecay)
    let kept = Floats(repeating: coefficients.kept)
    let moments = MomentUpdate(coefficients)
    let correction = Floats(repeating: coefficients.correction)
    let epsilon = Floats(repeating: coefficients.epsilon)
    var index = 0
    while index < count {
        let parameter = parameters.load8(index)
        let gradient = (scale * gradients.load8(index)).addingProduct(coupledDecay, parameter)
        let (mean, square) = moments(
            gradient, mean: means.load8(index), square: squares.load8(index))
        means.store8(mean, index)
        squares.store8(square, index)
        let denominator = lockstep_sqrt8(square) / correction + epsilon
        parameters.store8(kept * parameter + rate * mean / denominator, index)
        index += 8
    }
}

/// Writes `shared / (mean correction * (sqrt(v / square correction) + epsilon))`, computed in
/// double: the factor by which Adam multiplies each element of its mean.
///
/// - Parameters:
///   - squares: one element of v for each factor.
///   - corrections: the corrections of the bias of the mean and of the square.
package func writeAdamFactors(
    into factors: Vector, squares: Vector, shared: Double,
    corrections: (mean: Double, square: Double), epsilon: Double
) {
    for index in 0..<factors.count {
        let root = (Double(squares.base[index]) / corrections.square).squareRoot()
        factors.base[index] = Float(shared * (1 / (corrections.mean * (root + epsilon))))
    }
}
