import Support
import Telemetry

/// A sign of a problem in a training run, named as in metrics.jsonl.
package enum DiagnosisSign: String, Sendable, CaseIterable {
    /// The loss stays at its starting value.
    case lossNotFalling = "loss not falling"
    /// The loss swings up and down far beyond the batches' noise.
    case strongOscillation = "strong oscillation"
    /// One loss is far above the losses before it.
    case lossSpike = "loss spike"
    /// The loss or the gradient is not finite; the step is skipped.
    case notANumber = "not a number"
    /// The validation loss rises while the training loss keeps falling.
    case overfitting = "overfitting"
}

/// A sign that was detected in a training run, with its likely cause and a remedy.
package struct Diagnosis: Sendable, Equatable {
    /// The number of steps taken when the sign was detected.
    package let step: Int
    package let sign: DiagnosisSign
    package let cause: String
    package let remedy: String

    /// The diagnosis as a message.
    package var sentence: String {
        "step \(Format.count(step)): \(sign.rawValue): \(cause); \(remedy)"
    }
}

extension Diagnosis {
    /// Reads a line of metrics.jsonl; nil if it is not a diagnosis.
    package init?(_ record: MetricsRecord) {
        guard let step = record.step, case .string(let name) = record.fields["diagnosis"],
            let sign = DiagnosisSign(rawValue: name),
            case .string(let cause) = record.fields["cause"],
            case .string(let remedy) = record.fields["remedy"]
        else { return nil }
        self.init(step: step, sign: sign, cause: cause, remedy: remedy)
    }
}
