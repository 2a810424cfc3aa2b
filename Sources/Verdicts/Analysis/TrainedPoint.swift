import Support

/// A point of a training run's validation curve.
package struct CurvePoint: Sendable, Equatable {
    /// The number of optimizer steps before this point.
    package let step: Int
    /// The number of tokens that all ranks have trained on before this point.
    package let tokens: Int
    /// The validation loss in nats per token.
    package let validationLoss: Double

    package init(step: Int, tokens: Int, validationLoss: Double) {
        self.step = step
        self.tokens = tokens
        self.validationLoss = validationLoss
    }
}

/// One training run of a sweep over learning rate, batch and seed.
package struct TrainedPoint: Sendable, Equatable {
    /// The name that stands for the rule of runs whose rate was given directly.
    package static let grid = "grid"

    /// The name of the rule that prescribed this run's rate, and perhaps other settings; `grid` if
    /// the rate was given directly.
    package let rule: String
    /// The global batch, in sequences.
    package let batch: Int
    /// The peak rate of the schedule.
    package let learningRate: Double
    package let seed: UInt64
    /// Whether training diverged. The run then counts as one with an infinite loss.
    package let diverged: Bool
    /// The validation loss before the first step, in nats per token; infinite if it is unknown.
    package let initialLoss: Double
    /// The validation curve, sorted by step.
    package let curve: [CurvePoint]
    package let secondsPerStep: Double
    /// The duration of the whole run, with its evaluations; nil if it is unknown.
    package let seconds: Double?
    /// The gradient noise scale at the end of training, in sequences, or nil if it is unknown.
    package let noiseScale: Double?
    /// Whether the last evaluation counts as one at a mark that it narrowly misses. The runs of a
    /// sweep end at its marks, but those of other trainers may not.
    package let allowsNearMarks: Bool

    package init(
        rule: String = TrainedPoint.grid, batch: Int, learningRate: Double, seed: UInt64,
        diverged: Bool = false, initialLoss: Double, curve: [CurvePoint], secondsPerStep: Double,
        seconds: Double? = nil, noiseScale: Double? = nil, allowsNearMarks: Bool = false
    ) {
        self.rule = rule
        self.batch = batch
        self.learningRate = learningRate
        self.seed = seed
        self.diverged = diverged
        self.initialLoss = initialLoss
        self.curve = curve
        self.secondsPerStep = secondsPerStep
        self.seconds = seconds
        self.noiseScale = noiseScale
        self.allowsNearMarks = allowsNearMarks
    }

    /// Returns a failure about this run: `the run of RULE ...: problem; remedy.`
    func failure(_ problem: String, remedy: String) -> Failure {
        .about(
            .badData,
            "the run of rule \"\(rule)\" at batch \(batch) with rate \(learningRate) and seed "
                + "\(seed)",
            problem, remedy: remedy)
    }

    /// Checks every value.
    ///
    /// - Throws: `Failure` (bad data) that names the run and the first invalid value.
    package func validate() throws(Failure) {
        func refuse(_ problem: String) -> Failure {
            failure(problem, remedy: "remove it from the sweep, or train it again")
        }
        guard batch >= 1 else { throw refuse("has a batch of less than one sequence") }
        guard learningRate > 0, learningRate.isFinite else {
            throw refuse("has a rate that is not a positive number")
        }
        guard diverged || !curve.isEmpty else { throw refuse("has no evaluation") }
        guard diverged || curve.allSatisfy(\.validationLoss.isFinite) else {
            throw refuse("has a loss that is not a number but is not marked as diverged")
        }
        guard initialLoss > -.infinity else {
            throw refuse("has an initial loss that is not a number")
        }
        guard secondsPerStep >= 0, secondsPerStep.isFinite else {
            throw refuse("has a time per step that is negative or not a number")
        }
        for (earlier, later) in zip(curve, curve.dropFirst())
        where later.step <= earlier.step || later.tokens <= earlier.tokens {
            throw refuse(
                "has evaluations out of order (step \(later.step) after step \(earlier.step))")
        }
    }
}
