import Report
import Support

/// The losses and the path of a run, without its parameters.
package struct RegimeCurve: Sendable {
    /// The state of a run after some steps.
    package struct Snapshot: Sendable, Equatable {
        package let step: Int
        package let validationLoss: Double
        /// The position on the runs' common plane, relative to their start.
        package let x: Double
        package let y: Double
        /// The distance from the start in the space of all parameters.
        package let distance: Double
        /// The sharpness as the optimizer sees it; nil if it was not measured.
        package let sharpness: Sharpness?

        package init(
            step: Int, validationLoss: Double, x: Double, y: Double, distance: Double,
            sharpness: Sharpness? = nil
        ) {
            self.step = step
            self.validationLoss = validationLoss
            self.x = x
            self.y = y
            self.distance = distance
            self.sharpness = sharpness
        }
    }

    /// The largest eigenvalue of the loss's Hessian, and the one above which the optimizer diverges
    /// on a quadratic loss.
    package struct Sharpness: Sendable, Equatable {
        package let value: Double
        package let stable: Double

        package init(value: Double, stable: Double) {
            self.value = value
            self.stable = stable
        }
    }

    package let regime: Regime
    package let learningRate: Double
    /// The loss of each step.
    package let losses: [Double]
    /// The snapshots in ascending order of steps, beginning with step 0.
    package let snapshots: [Snapshot]
    /// The number of steps whose gradient was clipped.
    package let clippedSteps: Int
    package let hasDiverged: Bool

    /// Creates the curve of a run; `snapshots` has at least that of the start.
    package init(
        regime: Regime, learningRate: Double, losses: [Double], snapshots: [Snapshot],
        clippedSteps: Int = 0, hasDiverged: Bool
    ) {
        precondition(!snapshots.isEmpty, "a run must have a snapshot of its start")
        self.regime = regime
        self.learningRate = learningRate
        self.losses = losses
        self.snapshots = snapshots
        self.clippedSteps = clippedSteps
        self.hasDiverged = hasDiverged
    }

    /// The validation loss before the first step.
    package var start: Double { snapshots[0].validationLoss }
    /// The validation loss after the last step.
    package var end: Double { snapshots[snapshots.count - 1].validationLoss }

    /// The last sharpness that was measured and is a number.
    package var lastSharpness: Sharpness? {
        snapshots.compactMap(\.sharpness).last { $0.value.isFinite }
    }

    /// The end of a run compared with the other runs.
    package enum Ending: Sendable, Equatable {
        /// The losses stopped being finite.
        case diverged
        /// The loss is higher than at the start.
        case above
        /// The loss is about as low as the lowest loss of all runs.
        case lowest
        /// The loss is higher than the lowest, and the last fifth of the steps still contributed a
        /// good part of its fall.
        case falling
        /// The loss is higher than the lowest, and hardly changes or oscillates.
        case stuck
    }

    /// Returns how the run ended compared with the others.
    ///
    /// - Parameter best: the lowest final loss of all runs.
    package func ending(best: Double) -> Ending {
        if hasDiverged || !end.isFinite { return .diverged }
        if end > start { return .above }
        let most = start - best
        if end - best <= Self.small * most { return .lowest }
        let before = snapshots.last { 5 * $0.step <= 4 * losses.count }?.validationLoss ?? start
        return before - end > Self.small * (start - end) ? .falling : .stuck
    }

    /// The fraction of a fall that counts as noise.
    private static let small = 0.05

    /// Returns a sentence about the effect of the run's rate.
    ///
    /// - Parameters:
    ///   - best: the run with the lowest final loss; nil if no loss is finite.
    ///   - remedy: the advice if the rate looks different than intended.
    package func sentence(best: RegimeCurve?, remedy: String) -> String {
        let number = NumberStyle.plain
        let least = best?.end ?? .nan
        let (from, to) = (number.text(start), number.text(end))
        let more = Format.significant(end - least, digits: 2)
        let steps = "\(Format.count(losses.count)) steps"
        let rate = "The rate \(NumberStyle.scientific.text(learningRate))"
        let above = "\(more) above the lowest"
        let lowest = end == least ? "the lowest of all" : "within \(more) of the lowest"
        // A worse rate is too large if it is above the best one, also while its loss still falls.
        let isAboveBest = best.map { learningRate > $0.learningRate } ?? true
        let (looks, fact): (Regime, String) =
            switch ending(best: least) {
            case .diverged: (.large, "after \(steps) the losses and gradients are no longer finite")
            case .above: (.large, "the loss ends at \(to), above the \(from) from which it started")
            case .lowest: (.good, "the loss falls from \(from) to \(to) in \(steps), \(lowest)")
            case .falling:
                (
                    isAboveBest ? .large : .small,
                    "after \(steps) the loss is \(to), \(above), and still falls"
                )
            case .stuck:
                (
                    isAboveBest ? .large : .small,
                    "the loss falls from \(from) but stays at \(to), \(above)"
                )
            }
        let recovers =
            looks == .large && ending(best: least) == .falling ? ", although the run recovers" : ""
        if looks == regime { return "\(rate) is \(regime.rawValue)\(recovers): \(fact)." }
        return "\(rate) was meant to be \(regime.rawValue), but looks \(looks.rawValue)"
            + "\(recovers): \(fact); \(remedy)."
    }
}
