import Compute

/// Returns the sharpness of a loss as an optimizer sees it: the largest eigenvalue of P^-1/2 H
/// P^-1/2, where H is the Hessian and P is the optimizer's preconditioner (Cohen et al. 2022,
/// 2207.14484). It is not a number if gradients are not finite.
///
/// A product of H with a vector is the difference of two gradients on either side of the
/// parameters. The iteration begins with the gradient, which has large parts along the sharpest
/// directions, and hardly any along elements whose gradients are only rounding errors. P^-1 is huge
/// for those.
///
/// - Parameters:
///   - factors: the diagonal of P^-1.
///   - gradient: a function that writes the gradient at given parameters.
package func sharpness(
    at parameters: Buffer<Float>, factors: Buffer<Float>,
    gradient: (_ parameters: Buffer<Float>, _ into: Buffer<Float>) -> Void
) -> Double {
    let count = parameters.count
    let (roots, moved) = (Buffer<Float>(count: count), Buffer<Float>(count: count))
    let (above, below) = (Buffer<Float>(count: count), Buffer<Float>(count: count))
    for index in 0..<count { roots.base[index] = factors.base[index].squareRoot() }

    /// Writes the gradient at the parameters plus a multiple of `direction` times `roots`.
    func gradientBeyond(_ step: Float, _ direction: Buffer<Float>, into result: Buffer<Float>) {
        for index in 0..<count {
            let way = roots.base[index] * direction.base[index]
            moved.base[index] = parameters.base[index].addingProduct(step, way)
        }
        gradient(moved, result)
    }

    let start = Buffer<Float>(count: count)
    gradient(parameters, start)
    for index in 0..<count { start.base[index] *= roots.base[index] }
    return largestEigenvalue(start: start) { vector, image in
        var squares = 0.0
        for index in 0..<count {
            let way = Double(roots.base[index] * vector.base[index])
            squares += way * way
        }
        let step = Float(differenceLength / squares.squareRoot())
        gradientBeyond(step, vector, into: above)
        gradientBeyond(-step, vector, into: below)
        for index in 0..<count {
            let difference = above.base[index] - below.base[index]
            image.base[index] = roots.base[index] * (difference / (2 * step))
        }
    }
}

/// The distance of each of the two gradients from the parameters. Ten times more would show the
/// change of the Hessian, a tenth the rounding of gradients in fp32.
private let differenceLength = 1e-3
