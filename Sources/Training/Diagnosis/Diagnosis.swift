import Support
import Telemetry

/// What may be wrong with a training, by names in metrics.jsonl.
package enum DiagnosisSign: String, Sendable, CaseIterable {
    /// The loss stays where it began.
    case lossNotFalling = "loss not falling"
    /// The loss swings up and down far beyond the batches' noise.
    case strongOscillation = "strong oscillation"
    /// One loss far above those before it.
    case lossSpike = "loss spike"
    /// A loss or a gradient that is not a finite number; the step is skipped.
    case notANumber = "not a number"
    /// The validation loss rises while the training loss goes on falling.
    case overfitting = "overfitting"
}

/// A sign that was seen in a training, with what it likely comes from and what to do.
package struct Diagnosis: Sendable, Equatable {
    /// Steps taken when it was seen.
    package let step: Int
    package let sign: DiagnosisSign
    package let cause: String
    package let remedy: String

    package init(step: Int, sign: DiagnosisSign, cause: String, remedy: String) {
        self.step = step
        self.sign = sign
        self.cause = cause
        self.remedy = remedy
    }

    /// Reads a line of metrics.jsonl; nil where it is about something else.
    package init?(_ record: MetricsRecord) {
        guard let step = record.step, case .string(let name) = record.fields["diagnosis"],
            let sign = DiagnosisSign(rawValue: name),
            case .string(let cause) = record.fields["cause"],
            case .string(let remedy) = record.fields["remedy"]
        else { return nil }
        self.init(step: step, sign: sign, cause: cause, remedy: remedy)
    }

    /// As a message says it.
    package var sentence: String {
        "step \(Format.count(step)): \(sign.rawValue): \(cause); \(remedy)"
    }
}
