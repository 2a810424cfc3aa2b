import Telemetry

/// The facts about a step on which diagnoses are based.
package struct ObservedStep: Sendable, Equatable {
    /// The number of steps taken since the run began, this one included.
    package let step: Int
    /// The loss in nats per token; not finite only in a skipped step.
    package let loss: Double
    package let learningRate: Double
    /// The norm of the gradient before clipping.
    package let gradientNorm: Double
    /// Whether the step was skipped because its loss or gradient was not finite.
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

    /// Reads a line of metrics.jsonl, in which values that are not finite are null; nil if the line
    /// does not describe a step.
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

/// The facts about an evaluation on which diagnoses are based.
package struct ObservedEvaluation: Sendable, Equatable {
    /// The number of steps taken before the evaluation.
    package let step: Int
    package let validationLoss: Double

    package init(step: Int, validationLoss: Double) {
        self.step = step
        self.validationLoss = validationLoss
    }

    /// Reads a line of metrics.jsonl; nil if it does not describe an evaluation.
    init?(_ record: MetricsRecord) {
        guard let step = record.step, record.fields["validation_loss"] != nil else { return nil }
        self.init(step: step, validationLoss: record["validation_loss"] ?? .nan)
    }
}
