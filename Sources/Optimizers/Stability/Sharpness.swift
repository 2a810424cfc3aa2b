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

    let center = Buffer<Float>(count: count)
    gradient(parameters, center)
    let start = Buffer<Float>(count: count)
    for index in 0..<count { start.base[index] = roots.base[index] * center.base[index] }
    var length = longestDifference
    return largestEigenvalue(start: start) { vector, image in
        var squares = 0.0
        for index in 0..<count {
            let way = Double(roots.base[index] * vector.base[index])
            squares += way * way
        }
        while true {
            let step = Float(length / squares.squareRoot())
            gradientBeyond(step, vector, into: above)
            gradientBeyond(-step, vector, into: below)
            var (change, asymmetry) = (0.0, 0.0)
            for index in 0..<count {
                let (root, middle) = (roots.base[index], center.base[index])
                let difference = root * (above.base[index] - below.base[index])
                let bend = root * ((above.base[index] - middle) - (middle - below.base[index]))
                image.base[index] = difference / (2 * step)
                change += Double(difference) * Double(difference)
                asymmetry += Double(bend) * Double(bend)
            }
            let isStraight = asymmetry <= mostAsymmetry * mostAsymmetry * change
            if isStraight || length < 2 * shortestDifference { break }
            length /= 10
        }
    }
}

/// The distance of each of the two gradients from the parameters. A tenth of it would show more of
/// the rounding of gradients in fp32.
private let longestDifference = 1e-3
/// The distance that is not shortened any more.
private let shortestDifference = 1e-6
/// The ratio of the second difference of gradients to the first above which the distance is
/// shortened. The error of the Hessian is about its square. Training that has gone wrong can reach
/// places where the Hessian changes within a thousandth of the usual distance.
private let mostAsymmetry = 0.1
