import Support
import Telemetry

/// A watcher for signs of a wrong rate, bad data or overfitting in a training run, which reports
/// each sign once.
///
/// It uses only the content of metrics.jsonl, so a resumed run, which reads that file again,
/// reports the same as an uninterrupted run. It prefers a missed sign to a false alarm: each
/// detector's bounds are many standard deviations wide.
package struct Diagnostician: Sendable {
    private var stall = StallDetector()
    private var oscillation = OscillationDetector()
    private var spike = SpikeDetector()
    private var overfitting = OverfittingDetector()
    private let start: Double
    private var told: Set<DiagnosisSign> = []

    /// - Parameter startingLoss: the loss of an untrained model, the logarithm of the vocabulary's
    ///   size.
    package init(startingLoss: Double) { start = startingLoss }

    /// Adds a line of a resumed run's log, about which the user has already been warned.
    package mutating func recall(_ record: MetricsRecord) {
        if let step = ObservedStep(record) {
            _ = add(step)
        } else if let evaluation = ObservedEvaluation(record) {
            _ = add(evaluation)
        }
    }

    /// Adds a step; returns the diagnoses that are reported for the first time.
    package mutating func add(_ step: ObservedStep) -> [Diagnosis] {
        guard !step.isSkipped, step.loss.isFinite else { return new([.notANumber(step)]) }
        overfitting.add(step)
        let found = [
            spike.add(step, start: start), oscillation.add(step, start: start),
            stall.add(step, start: start),
        ]
        // An unstable loss does not fall either, but then the rate is too large, not too small.
        return new(found.filter { $0?.sign != .lossNotFalling || !isUnstable })
    }

    /// Adds an evaluation; returns the diagnoses that are reported for the first time.
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
            remedy: "lower [optimizer] learning_rate by a factor of 3 to 10 or lengthen [schedule] "
                + "warmup_steps, keep clip_norm at 1, and check the data")
    }
}

/// Returns a rate as text for messages.
func rateText(_ rate: Double) -> String { Format.significant(rate, digits: 3) }

/// Returns a loss as text for messages.
func lossText(_ loss: Double) -> String { Format.significant(loss, digits: 4) }
