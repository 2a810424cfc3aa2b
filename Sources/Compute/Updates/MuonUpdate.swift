// Elementwise loops over eight parameters at a time. `addingProduct` rounds once (a fused
// multiply-add); every other operation rounds once, in the order of the code. Counts are
// multiples of 16, so there is never a remainder.

/// Computes m = m + (1 - momentum) (scale g - m), and the direction d = m, or with Nesterov
/// d = m + (1 - momentum) (scale g - m).
///
/// - Parameter admitted: 1 - momentum.
package func advanceMuon(
    gradients: Vector, momentum: Vector, directions: Vector, scale: Float, admitted: Float,
    nesterov: Bool
) {
    let count = gradients.count
    let (gradients, momentum) = (gradients.base, momentum.base)
    let directions = directions.base
    let scale = Floats(repeating: scale)
    let admitted = Floats(repeating: admitted)
    var index = 0
    while index < count {
        let gradient = scale * gradients.load8(index)
        let before = momentum.load8(index)
        let after = before.addingProduct(admitted, gradient - before)
        momentum.store8(after, index)
        directions.store8(
            nesterov ? after.addingProduct(admitted, gradient - after) : after, index)
        index += 8
    }
}

/// Computes p = kept p + rate d, with the negative learning rate `rate`.
package func move(parameters: Vector, along directions: Vector, rate: Float, kept: Float) {
    let count = parameters.count
    let (parameters, directions) = (parameters.base, directions.base)
    let rate = Floats(repeating: rate)
    let kept = Floats(repeating: kept)
    var index = 0
    while index < count {
        parameters.store8(
            (kept * parameters.load8(index)).addingProduct(rate, directions.load8(index)), index)
        index += 8
    }
}
