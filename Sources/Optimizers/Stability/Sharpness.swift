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
    roots.fill(withSquareRootsOf: factors)

    /// Writes the gradient at the parameters plus a multiple of `direction` times `roots`.
    func gradientBeyond(_ step: Float, _ direction: Buffer<Float>, into result: Buffer<Float>) {
        moved.fill(from: parameters, movedBy: step, along: direction, scaledBy: roots)
        gradient(moved, result)
    }

    let (center, start) = (Buffer<Float>(count: count), Buffer<Float>(count: count))
    gradient(parameters, center)
    start.fill(withProductOf: roots, center)

    /// Writes the product with a vector from gradients at some distance; returns its norm, and that
    /// of the second difference in the same unit.
    func multiply(
        _ vector: Buffer<Float>, distance: Double, into image: Buffer<Float>
    ) -> (norm: Double, bend: Double) {
        let step = Float(distance / normOfProduct(roots, vector))
        gradientBeyond(step, vector, into: above)
        gradientBeyond(-step, vector, into: below)
        return image.fill(
            withDifferenceOf: above, center, below, step: step, scaledBy: roots)
    }

    let shorter = Buffer<Float>(count: count)
    var (distance, isSettled, largest) = (longestDistance, false, 0.0)
    return largestEigenvalue(start: start) { vector, image in
        var found = multiply(vector, distance: distance, into: image)
        while found.bend > mostBend * max(found.norm, largest), !isSettled,
            distance > shortestDistance
        {
            let next = multiply(vector, distance: distance / 10, into: shorter)
            // The bend's share of the difference falls with the distance, unless both are rounding
            // errors.
            let share = found.bend / max(found.norm, largest)
            isSettled = !(next.bend / max(next.norm, largest) < share / 2)
            if isSettled { break }
            (found, distance) = (next, distance / 10)
            image.fill(from: shorter)
        }
        largest = max(largest, found.norm)
    }
}

/// The distance of each of the two gradients from the parameters. A tenth of it would show more of
/// the rounding of gradients in fp32.
private let longestDistance = 1e-3
/// The distance that is not shortened any more.
private let shortestDistance = 2e-6
/// The second difference of gradients relative to the largest first one, above which the distance
/// is shortened. Training that has gone wrong can reach places where the Hessian changes within a
/// hundredth of the usual distance.
private let mostBend = 0.2
