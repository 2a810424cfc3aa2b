import Report
import Support

/// What one run's losses and its way look like, without its parameters.
package struct RegimeCurve: Sendable {
    /// The parameters after some steps.
    package struct Snapshot: Sendable, Equatable {
        package let step: Int
        package let validationLoss: Double
        /// The place on the runs' common plane, from their start.
        package let x: Double
        package let y: Double
        /// From the start, in the whole space.
        package let distance: Double

        package init(step: Int, validationLoss: Double, x: Double, y: Double, distance: Double) {
            self.step = step
            self.validationLoss = validationLoss
            self.x = x
            self.y = y
            self.distance = distance
        }
    }

    package let regime: Regime
    package let learningRate: Double
    /// Of each step that was taken.
    package let losses: [Double]
    /// By rising step, the first at 0.
    package let snapshots: [Snapshot]
    package let hasDiverged: Bool

    package init(
        regime: Regime, learningRate: Double, losses: [Double], snapshots: [Snapshot],
        hasDiverged: Bool
    ) {
        precondition(!snapshots.isEmpty, "a run has a start")
        self.regime = regime
        self.learningRate = learningRate
        self.losses = losses
        self.snapshots = snapshots
        self.hasDiverged = hasDiverged
    }

    /// The validation loss before the first step, and after the last.
    package var start: Double { snapshots[0].validationLoss }
    package var end: Double { snapshots[snapshots.count - 1].validationLoss }

    /// How a run ends beside the others.
    package enum Ending: Sendable, Equatable {
        /// Its losses stopped being finite.
        case diverged
        /// Above where it began.
        case above
        /// About as low as the lowest.
        case lowest
        /// Higher, and the last fifth of the steps still brought a good part of what it gained.
        case falling
        /// Higher, and hardly changing or going up and down.
        case stuck
    }

    /// - Parameter best: the lowest end of all runs.
    package func ending(best: Double) -> Ending {
        if hasDiverged || !end.isFinite { return .diverged }
        if end > start { return .above }
        let most = start - best
        if end - best <= Self.small * most { return .lowest }
        let before = snapshots.last { 5 * $0.step <= 4 * losses.count }?.validationLoss ?? start
        return before - end > Self.small * (start - end) ? .falling : .stuck
    }

    /// The part of a fall that is no more than noise.
    private static let small = 0.05

    /// What the run shows, in a sentence.
    ///
    /// - Parameter best: the lowest end of all runs.
    package func sentence(best: Double) -> String {
        let number = NumberStyle.plain
        let (from, to) = (number.text(start), number.text(end))
        let more = Format.significant(end - best, digits: 2)
        let steps = "\(Format.count(losses.count)) steps"
        let rate = "The rate \(NumberStyle.scientific.text(learningRate))"
        let verdict: (Regime, String)
        switch ending(best: best) {
        case .diverged:
            verdict = (.large, "after \(steps) losses and gradients are not finite any more")
        case .above:
            verdict = (
                .large, "the loss ends at \(to), above the \(from) from which it started"
            )
        case .lowest:
            let lowest = end == best ? "the lowest of all" : "within \(more) of the lowest"
            verdict = (.good, "the loss falls from \(from) to \(to) in \(steps), \(lowest)")
        case .falling:
            verdict = (
                .small,
                "after \(steps) the loss is \(to), \(more) above the lowest, and still falls"
            )
        case .stuck:
            verdict = (
                .large, "the loss falls from \(from) but stays at \(to), \(more) above the lowest"
            )
        }
        if verdict.0 == regime { return "\(rate) is \(regime.rawValue): \(verdict.1)." }
        return "\(rate) was meant to be \(regime.rawValue), but looks \(verdict.0.rawValue): "
            + "\(verdict.1); give other --rates."
    }
}
