import Support

/// Counts the steps that were skipped because their loss or gradient was not finite.
///
/// All ranks see the same global loss and norm, so they skip, count and stop together.
package struct NonFiniteGuard: Equatable, Sendable {
    /// Skipped steps in a row that end the run.
    package let limit: Int
    /// Steps skipped since the run began.
    package var skipped = 0
    /// Steps skipped since the last good one.
    package var skippedInARow = 0

    package init(limit: Int) { self.limit = limit }

    /// Notes a step whose loss and gradient were finite.
    package mutating func passed() { skippedInARow = 0 }

    /// Notes a step that is skipped.
    package mutating func skip() {
        skipped += 1
        skippedInARow += 1
    }

    /// Whether the run must end because too many steps in a row were skipped.
    package var isHopeless: Bool { skippedInARow >= limit }

    /// Returns the failure that ends a hopeless run, with advice.
    ///
    /// - Parameter goodCheckpoint: a clause that names the newest good checkpoint.
    package func failure(
        loss: Double, step: Int, peakLearningRate: Double, goodCheckpoint: String
    ) -> Failure {
        let what = loss.isFinite ? "gradient norm" : "loss"
        return Failure(
            .configuration,
            "The \(what) was not finite in \(limit) steps in a row, the last of them step \(step), "
                + "because the learning rate is far too large (the peak is \(peakLearningRate)) or a "
                + "number overflowed; lower [optimizer] learning_rate three to ten times, or lengthen "
                + "[schedule] warmup_steps, check the data, and start a new run (\(goodCheckpoint))."
        )
    }
}
