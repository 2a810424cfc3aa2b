// The elementwise loops: eight parameters at a time. `addingProduct` is one rounding (a fused
// multiply-add); everything else rounds once an operation, in the order in which it is written.
// Ranges have both ends on multiples of 16, so there is never a remainder.

import CVector

private typealias Floats = SIMD8<Float>

extension UnsafePointer<Float> {
    @inline(__always)
    func load8(_ index: Int) -> SIMD8<Float> {
        UnsafeRawPointer(self + index).loadUnaligned(as: SIMD8<Float>.self)
    }
}

extension UnsafeMutablePointer<Float> {
    @inline(__always)
    func load8(_ index: Int) -> SIMD8<Float> { UnsafePointer(self).load8(index) }

    @inline(__always)
    func store8(_ value: SIMD8<Float>, _ index: Int) {
        UnsafeMutableRawPointer(self + index).storeBytes(of: value, as: SIMD8<Float>.self)
    }
}

/// g = scale g + weightDecay p; p = p + rate g, where `rate` is the negative learning rate.
func descend(
    _ parameters: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>,
    _ range: Range<Int>, rate: Float, scale: Float, weightDecay: Float
) {
    let rate = Floats(repeating: rate)
    let scale = Floats(repeating: scale)
    let weightDecay = Floats(repeating: weightDecay)
    var index = range.lowerBound
    while index < range.upperBound {
        let parameter = parameters.load8(index)
        let gradient = (scale * gradients.load8(index)).addingProduct(weightDecay, parameter)
        parameters.store8(parameter.addingProduct(rate, gradient), index)
        index += 8
    }
}

/// The scalars of one step of SGD with momentum, rounded to fp32.
struct MomentumCoefficients {
    /// The negative learning rate.
    let rate: Float
    /// Multiplies the gradient first.
    let scale: Float
    /// Times the parameter, added to the gradient.
    let weightDecay: Float
    /// The look-ahead's weight.
    let momentum: Float
    /// What the buffer keeps of itself: the momentum, or 0 in the first step.
    let retained: Float
    /// What it takes of the gradient: 1 - dampening, or 1 in the first step.
    let admitted: Float
    let nesterov: Bool
}

/// b = retained b + admitted g; p = p + rate b, or with Nesterov p = p + rate (g + momentum b).
///
/// Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in
/// PyTorch's form, where the learning rate multiplies the buffer instead of entering it.
func descendWithMomentum(
    _ parameters: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>,
    _ buffer: UnsafeMutablePointer<Float>, _ range: Range<Int>, _ coefficients: MomentumCoefficients
) {
    let rate = Floats(repeating: coefficients.rate)
    let scale = Floats(repeating: coefficients.scale)
    let weightDecay = Floats(repeating: coefficients.weightDecay)
    let momentum = Floats(repeating: coefficients.momentum)
    let retained = Floats(repeating: coefficients.retained)
    let admitted = Floats(repeating: coefficients.admitted)
    let nesterov = coefficients.nesterov
    var index = range.lowerBound
    while index < range.upperBound {
        let parameter = parameters.load8(index)
        let gradient = (scale * gradients.load8(index)).addingProduct(weightDecay, parameter)
        let moved = (retained * buffer.load8(index)).addingProduct(admitted, gradient)
        let direction = nesterov ? gradient.addingProduct(momentum, moved) : moved
        buffer.store8(moved, index)
        parameters.store8(parameter.addingProduct(rate, direction), index)
        index += 8
    }
}

/// The scalars of one step of Adam or AdamW, computed in double and rounded to fp32.
struct AdamCoefficients {
    /// The negative learning rate over the mean's bias correction, 1 - beta1^step.
    let rate: Float
    /// Multiplies the gradient first.
    let scale: Float
    /// Adam's L2 decay: times the parameter, added to the gradient; 0 in AdamW.
    let coupledDecay: Float
    /// AdamW's decoupled decay: what the parameter keeps of itself; 1 in Adam.
    let kept: Float
    /// 1 - beta1: how far the mean goes towards the gradient.
    let meanWeight: Float
    let beta2: Float
    /// 1 - beta2.
    let newSquare: Float
    /// The root of the square's bias correction, sqrt(1 - beta2^step).
    let correction: Float
    let epsilon: Float
}

/// m = m + (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2, for eight gradients.
///
/// Where beta1 is at most 1/2 the mean is computed as g - beta1 (g - m), as PyTorch's `lerp` does,
/// so that with beta1 = 0 it is g exactly.
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

    /// The new moments.
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

/// m = m + (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2;
/// p = kept p + rate m / (sqrt(v) / correction + epsilon).
///
/// Kingma & Ba 2015, Algorithm 1; Loshchilov & Hutter 2019, Algorithm 2.
func adam(
    _ parameters: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>,
    _ means: UnsafeMutablePointer<Float>, _ squares: UnsafeMutablePointer<Float>,
    _ range: Range<Int>, _ coefficients: AdamCoefficients
) {
    let rate = Floats(repeating: coefficients.rate)
    let scale = Floats(repeating: coefficients.scale)
    let coupledDecay = Floats(repeating: coefficients.coupledDecay)
    let kept = Floats(repeating: coefficients.kept)
    let moments = MomentUpdate(coefficients)
    let correction = Floats(repeating: coefficients.correction)
    let epsilon = Floats(repeating: coefficients.epsilon)
    var index = range.lowerBound
    while index < range.upperBound {
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
