import Compute

/// The stability of training at a learning rate (Cohen et al. 2022, 2207.14484).
///
/// Near a minimum, a rule with fixed state moves the parameters by -rate P^-1 m, where m is the
/// momentum of the gradient and P is diagonal. On a quadratic loss with the Hessian H it diverges
/// if rate times the largest eigenvalue of P^-1/2 H P^-1/2 exceeds a number, which depends on the
/// momentum only. Weight decay and clipping are not taken into account.
extension Optimizer {
    /// The product of rate and largest eigenvalue above which the rule diverges on a quadratic
    /// loss: 2 without momentum.
    package var stableProduct: Double { rule.stableProduct }

    /// Writes P^-1 after the last step, for every element of the arena.
    ///
    /// Elements outside the shard get 0, so that the sum of all ranks' factors is that of the whole
    /// optimizer. Gaps between tensors get any value.
    package func writeStepFactors(into factors: Buffer<Float>) {
        precondition(factors.count == count, "every element of the arena has a factor")
        factors.elements.update(repeating: 0)
        shard.forEachPiece(of: 0..<count) { owned, start in
            forEachOverlap(of: owned, with: ranges) { index, part in
                let place = start + part.lowerBound - owned.lowerBound
                let scalars = scalars(runs[index], gradientScale: 1)
                rule.writeStepFactors(
                    times: scalars.learningRate * (trust?[index] ?? 1),
                    state: place..<place + part.count,
                    into: factors.vector(part), scalars)
            }
        }
    }
}
