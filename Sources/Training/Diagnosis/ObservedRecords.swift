import Telemetry

/// What a diagnosis sees of a step.
package struct ObservedStep: Sendable, Equatable {
    /// Steps taken since the run began, this one included.
    package let step: Int
    /// In nats a token; not finite only in a skipped step.
    package let loss: Double
    package let learningRate: Double
    /// Before clipping.
    package let gradientNorm: Double
    /// Whether loss or gradient were not finite.
    package let isSkipped: Bool

    package init(
        step: Int, loss: Double, learningRate: Double, gradientNorm: Double, isSkipped: Bool
    ) {
        self.step = step
        self.loss = loss
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm
        self.isSkipped = isSkipped
    }

    /// Reads a line of metrics.jsonl, where what is not finite is null; nil where it is of no step.
    init?(_ record: MetricsRecord) {
        guard let step = record.step, record.fields["loss"] != nil,
            let learningRate = record["learning_rate"]
        else { return nil }
        self.init(
            step: step, loss: record["loss"] ?? .nan, learningRate: learningRate,
            gradientNorm: record["gradient_norm"] ?? .nan,
            isSkipped: record.fields["skipped"] == .bool(true))
    }
}

/// What a diagnosis sees of an evaluation.
package struct ObservedEvaluation: Sendable, Equatable {
    /// Steps taken before it.
    package let step: Int
    package let validationLoss: Double

    package init(step: Int, validationLoss: Double) {
        self.step = step
        self.validationLoss = validationLoss
    }

    /// Reads a line of metrics.jsonl; nil where it is of no evaluation.
    init?(_ record: MetricsRecord) {
        guard let step = record.step, record.fields["validation_loss"] != nil else { return nil }
        self.init(step: step, validationLoss: record["validation_loss"] ?? .nan)
    }
}
