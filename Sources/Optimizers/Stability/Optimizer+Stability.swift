import Compute
import Recipes

/// The stability of training at a learning rate (Cohen et al. 2022, 2207.14484).
///
/// Near a minimum, a rule with fixed state moves the parameters by -rate P^-1 m, where m is the
/// momentum of the gradient and P is diagonal. On a quadratic loss with the Hessian H it diverges
/// if rate times the largest eigenvalue of P^-1/2 H P^-1/2 exceeds a number, which depends on the
/// momentum only. Weight decay and clipping are not taken into account.
extension Optimizer {
    /// The product of rate and largest eigenvalue above which the rule diverges on a quadratic
    /// loss: 2 without momentum.
    package var stableProduct: Double { configuration.stableProduct }

    /// Writes P^-1 after the last step, for every element of the arena.
    ///
    /// Elements outside the shard get 0, so that the sum of all ranks' factors is that of the whole
    /// optimizer. Gaps between tensors get any value.
    package func writeStepFactors(into factors: Buffer<Float>) {
        precondition(factors.count == count, "every element of the arena has a factor")
        factors.elements.update(repeating: 0)
        shard.forEachPiece(of: 0..<count) { owned, start in
            forEachOverlap(of: owned, with: ranges) { index, part in
                let stateStart = start + part.lowerBound - owned.lowerBound
                let scalars = scalars(runs[index], gradientScale: 1)
                let shared = scalars.learningRate * (trust?[index] ?? 1)
                for place in 0..<part.count {
                    factors.base[part.lowerBound + place] = Float(
                        shared * rule.stepFactor(at: stateStart + place, scalars))
                }
            }
        }
    }
}

extension OptimizerConfiguration {
    /// The bound of rate times eigenvalue: with the eigenvalue a, x' = x - rate m' and m' = k m +
    /// (1 - d) a x have an eigenvalue of -1 at rate a = 2 (1 + k) / (1 - d).
    fileprivate var stableProduct: Double {
        // Adam's momentum admits 1 - beta1 of the gradient: 38 / rate for a beta1 of 0.9.
        if name.isAdam { return 2 * (1 + beta1) / (1 - beta1) }
        // Nesterov's step is k m' + a x instead of m'.
        return 2 * (1 + momentum) / (nesterov ? 1 + 2 * momentum : 1 - dampening)
    }
}

extension Moments {
    /// Returns the factor of Adam's step: the inverse of the root of the corrected mean square, and
    /// of the mean's correction.
    func stepFactor(
        at index: Int, _ scalars: StepScalars, _ configuration: OptimizerConfiguration
    ) -> Double {
        guard scalars.step > 0 else { return 1 }
        let corrections = AdamCorrections(configuration, step: scalars.step)
        let root = (Double(square.base[index]) / corrections.square).squareRoot()
        return 1 / (corrections.mean * (root + configuration.epsilon * scalars.epsilonFactor))
    }
}
