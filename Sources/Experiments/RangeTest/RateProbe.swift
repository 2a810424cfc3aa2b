import Statistics
import Support

/// A short run with one peak learning rate, which shows how good that rate is.
///
/// All probes of a test begin with the same state and take the same batches, so the differences
/// between their losses have little noise.
package struct RateProbe: RateTrial, Equatable {
    /// The peak rate.
    package let rate: Double
    package let steps: Int
    private let decay: RateDecay
    package private(set) var losses: [Double] = []
    /// Whether the loss was not finite or exceeded twice its first value, which ends the probe.
    package private(set) var hasDiverged = false

    /// The divisors of the number of steps that give the steps of warmup and, at the end, the steps
    /// whose mean loss counts.
    private static let (warmupParts, lossParts) = (10, 4)
    private static let divergence = 2.0
    /// The number of steps by default.
    ///
    /// `Tests/Studies/find-lr` shows that it suffices for runs of a few hundred steps. With 50
    /// steps, rates at which LAMB diverges later still look good, and with 100 steps, momentum
    /// gets rates that are too high.
    package static let usualSteps = 150
    /// The fewest steps: five losses count.
    package static let fewestSteps = 20
    private static let mostSteps = 1_000_000

    /// Creates a probe that has taken none of its steps.
    package init(rate: Double, steps: Int, decay: RateDecay = .none) {
        self.rate = rate
        self.steps = steps
        self.decay = decay
        losses.reserveCapacity(steps)
    }

    /// Checks that probes can have that many steps.
    ///
    /// - Throws: `Failure` (usage) if the number is out of range.
    package static func requireSteps(_ steps: Int) throws(Failure) {
        try requireOption(
            "--probe-steps", steps, in: fewestSteps...mostSteps,
            remedy: "use \(usualSteps), or more for a rate that suits longer runs")
    }

    /// The rate of the next step, which rises during warmup and then follows the decay; nil if the
    /// probe has ended.
    package var nextRate: Double? {
        guard !hasDiverged, losses.count < steps else { return nil }
        let warmup = steps / Self.warmupParts
        let step = losses.count
        guard step >= warmup else { return rate * Double(step + 1) / Double(warmup) }
        return rate * decay.factor(at: step - warmup, of: steps - warmup)
    }

    /// Adds the loss of a step, in nats per token.
    ///
    /// - Parameter isFinite: whether the gradient was finite; if it was not, the probe has diverged.
    package mutating func add(_ loss: Double, isFinite: Bool) {
        losses.append(loss)
        let limit = Self.divergence * losses[0]
        hasDiverged = !(loss.isFinite && isFinite && loss <= limit)
    }

    /// The behavior of the loss that ended the probe early, as a predicate; nil if the probe did not
    /// diverge.
    ///
    /// Unlike a training run that diverged, a probe ends while the loss may still be finite, and a
    /// longer run at its rate may recover.
    package var divergence: String? {
        guard hasDiverged, let last = losses.last else { return nil }
        return last.isFinite && last > Self.divergence * losses[0]
            ? "rises above twice its start" : "is no longer finite"
    }

    private var counted: ArraySlice<Double> { losses.suffix(steps / Self.lossParts) }

    /// The mean loss of the last quarter of the steps; infinite if the probe diverged.
    package var loss: Double {
        hasDiverged ? .infinity : Sample(Array(counted)).mean
    }

    /// The mean loss of the quarter of the steps before those that count; infinite if the probe
    /// diverged.
    package var earlierLoss: Double {
        hasDiverged
            ? .infinity : Sample(Array(losses.dropLast(counted.count).suffix(counted.count))).mean
    }

    /// The difference between the first loss and `loss`; negative and infinite if the probe
    /// diverged.
    package var fall: Double { losses[0] - loss }

    /// Returns the standard error of the difference between the losses of two probes that did not
    /// diverge.
    package func noise(comparedWith other: RateProbe) -> Double {
        let differences = Sample(zip(counted, other.counted).map { $0 - $1 })
        return (differences.standardDeviation ?? 0) / Double(differences.count).squareRoot()
    }
}
