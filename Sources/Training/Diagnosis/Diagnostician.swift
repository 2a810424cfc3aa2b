import Support
import Telemetry

/// Watches a training for the signs of a wrong rate, bad data and overfitting, and tells each once.
///
/// It sees only what metrics.jsonl holds, so that a resumed run, which reads that again,
/// tells what an uninterrupted one does. Rather than alarm on noise it stays silent: each
/// detector's bounds are many standard deviations wide.
package struct Diagnostician: Sendable {
    private var stall = StallDetector()
    private var oscillation = OscillationDetector()
    private var spike = SpikeDetector()
    private var overfitting = OverfittingDetector()
    private let start: Double
    private var told: Set<DiagnosisSign> = []

    /// - Parameter startingLoss: what a model that knows nothing has, the logarithm of the
    ///   vocabulary's size.
    package init(startingLoss: Double) { start = startingLoss }

    /// Takes a line of the log of a resumed run, about which the user has been warned before.
    package mutating func recall(_ record: MetricsRecord) {
        if let step = ObservedStep(record) {
            _ = add(step)
        } else if let evaluation = ObservedEvaluation(record) {
            _ = add(evaluation)
        }
    }

    /// Takes a step; returns what is told of it for the first time.
    package mutating func add(_ step: ObservedStep) -> [Diagnosis] {
        guard !step.isSkipped, step.loss.isFinite else { return new([.notANumber(step)]) }
        overfitting.add(step)
        let found = [
            spike.add(step, start: start), oscillation.add(step, start: start),
            stall.add(step, start: start),
        ]
        // A loss that is thrown about does not fall either, and a rate cannot be both.
        return new(found.filter { $0?.sign != .lossNotFalling || !isUnstable })
    }

    /// Takes an evaluation; returns what is told of it for the first time.
    package mutating func add(_ evaluation: ObservedEvaluation) -> [Diagnosis] {
        new([overfitting.add(evaluation)])
    }

    private var isUnstable: Bool {
        told.contains(.strongOscillation) || told.contains(.notANumber)
    }

    private mutating func new(_ found: [Diagnosis?]) -> [Diagnosis] {
        found.compactMap { $0 }.filter { told.insert($0.sign).inserted }
    }
}

extension Diagnosis {
    fileprivate static func notANumber(_ step: ObservedStep) -> Diagnosis {
        let what = step.loss.isFinite ? "gradient norm" : "loss"
        return Diagnosis(
            step: step.step, sign: .notANumber,
            cause: "the \(what) is not finite at a learning rate of "
                + "\(rateText(step.learningRate)): the rate is far too large, a number overflowed, "
                + "or the data are bad",
            remedy: "lower [optimizer] learning_rate three to ten times or lengthen [schedule] "
                + "warmup_steps, keep clip_norm at 1, and check the data")
    }
}

/// A rate as messages have it.
func rateText(_ rate: Double) -> String { Format.significant(rate, digits: 3) }

/// A loss as messages have it.
func lossText(_ loss: Double) -> String { Format.significant(loss, digits: 4) }
