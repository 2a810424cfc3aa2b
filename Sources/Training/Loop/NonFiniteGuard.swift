import Support

/// A counter of the steps that were skipped because their loss or gradient was not finite.
///
/// All ranks see the same global loss and norm, so they skip, count and stop together.
package struct NonFiniteGuard: Equatable, Sendable {
    /// The number of consecutive skipped steps that ends the run.
    package let limit: Int
    /// The number of steps skipped since the run began.
    package var skipped = 0
    /// The number of steps skipped since the last good step.
    package var skippedInARow = 0

    /// Creates a guard that has recorded no step.
    package init(limit: Int) { self.limit = limit }

    /// Records a step whose loss and gradient were finite.
    package mutating func passed() { skippedInARow = 0 }

    /// Records a skipped step.
    package mutating func skip() {
        skipped += 1
        skippedInARow += 1
    }

    /// Whether the run must end because too many steps in a row were skipped.
    package var isHopeless: Bool { skippedInARow >= limit }

    /// Returns the failure that ends a hopeless run, with a remedy.
    ///
    /// - Parameter goodCheckpoint: a clause that names the newest good checkpoint.
    package func failure(
        loss: Double, step: Int, peakLearningRate: Double, goodCheckpoint: String
    ) -> Failure {
        let what = loss.isFinite ? "gradient norm" : "loss"
        return .about(
            .configuration, "step \(step)",
            "is \(limit > 1 ? "the last of \(limit) steps in a row" : "a step") whose \(what) was "
                + "not finite, because the learning rate is far too large (its peak is "
                + "\(peakLearningRate)) or a number overflowed",
            remedy: "lower [optimizer] learning_rate by a factor of 3 to 10, or lengthen "
                + "[schedule] warmup_steps, check the data, and start a new run "
                + "(\(goodCheckpoint))")
    }
}
