import Support

/// A mark on a training run's validation curve.
package struct CurvePoint: Sendable, Equatable {
    /// Optimizer steps taken.
    package let step: Int
    /// Tokens trained on, over all ranks.
    package let tokens: Int
    /// Nats a token.
    package let validationLoss: Double

    package init(step: Int, tokens: Int, validationLoss: Double) {
        self.step = step
        self.tokens = tokens
        self.validationLoss = validationLoss
    }
}

/// One training run of a sweep over learning rate, batch and seed.
package struct TrainedPoint: Sendable, Equatable {
    /// The rule of runs whose rate was given directly.
    package static let grid = "grid"

    /// `grid`, or the name of the rule that made this run's rate (and maybe more) from the batch.
    package let rule: String
    /// The global batch, in sequences.
    package let batch: Int
    /// The schedule's peak.
    package let learningRate: Double
    package let seed: UInt64
    /// Whether training broke down; then the rate counts as one with an infinite loss.
    package let diverged: Bool
    /// The validation loss before the first step, in nats a token.
    package let initialLoss: Double
    /// In the order of steps.
    package let curve: [CurvePoint]
    package let secondsPerStep: Double

    package init(
        rule: String = TrainedPoint.grid, batch: Int, learningRate: Double, seed: UInt64,
        diverged: Bool = false, initialLoss: Double, curve: [CurvePoint], secondsPerStep: Double
    ) {
        self.rule = rule
        self.batch = batch
        self.learningRate = learningRate
        self.seed = seed
        self.diverged = diverged
        self.initialLoss = initialLoss
        self.curve = curve
        self.secondsPerStep = secondsPerStep
    }

    /// The run in words, for messages.
    package var name: String {
        "the run of rule \"\(rule)\" with batch \(batch), rate \(learningRate), seed \(seed)"
    }

    /// Checks every value.
    ///
    /// - Throws: a `.badData` failure that names the run and the first impossible value.
    package func validate() throws(Failure) {
        func refuse(_ problem: String) -> Failure {
            Failure(.badData, "\(name) \(problem): remove it from the sweep, or run it again")
        }
        guard batch >= 1 else { throw refuse("has no sequence in its batch") }
        guard learningRate > 0, learningRate.isFinite else {
            throw refuse("has a rate that is not a positive number")
        }
        guard diverged || !curve.isEmpty else { throw refuse("has no evaluation") }
        guard diverged || curve.allSatisfy(\.validationLoss.isFinite) else {
            throw refuse("has a loss that is not a number, and is not marked as diverged")
        }
        guard initialLoss.isFinite else {
            throw refuse("has an initial loss that is not a number")
        }
        guard secondsPerStep >= 0, secondsPerStep.isFinite else {
            throw refuse("has a time per step that is not a positive number")
        }
        for (earlier, later) in zip(curve, curve.dropFirst())
        where later.step <= earlier.step || later.tokens <= earlier.tokens {
            throw refuse("goes back from step \(earlier.step) to \(later.step) in its evaluations")
        }
    }
}
