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

    /// Creates a diagnostician of a run that has taken no step.
    ///
    /// - Parameter startingLoss: the loss of an untrained model, the logarithm of the vocabulary's
    ///   size.
    package init(startingLoss: Double) { start = startingLoss }

    /// Adds a line of metrics.jsonl; returns the diagnoses that are reported for the first time.
    @discardableResult
    package mutating func add(_ record: MetricsRecord) -> [Diagnosis] {
        if let step = ObservedStep(record) { return add(step) }
        guard let step = record.step, record.fields["validation_loss"] != nil else { return [] }
        return new([overfitting.add(record["validation_loss"] ?? .nan, step: step)])
    }

    private mutating func add(_ step: ObservedStep) -> [Diagnosis] {
        guard !step.isSkipped, step.loss.isFinite else { return new([.notANumber(step)]) }
        overfitting.add(step)
        let found = [
            spike.add(step, start: start), oscillation.add(step, start: start),
            stall.add(step, start: start),
        ]
        // An unstable loss does not fall either, but then the rate is too large, not too small.
        return new(found.filter { $0?.sign != .lossNotFalling || !isUnstable })
    }

    private var isUnstable: Bool {
        told.contains(.strongOscillation) || told.contains(.notANumber)
    }

    private mutating func new(_ found: [Diagnosis?]) -> [Diagnosis] {
        found.compactMap { $0 }.filter { told.insert($0.sign).inserted }
    }
}

/// The facts about a step on which diagnoses are based.
struct ObservedStep: Sendable {
    /// The number of steps taken since the run began, this one included.
    let step: Int
    /// The loss in nats per token; not finite only in a skipped step.
    let loss: Double
    let learningRate: Double
    /// Whether the step was skipped because its loss or gradient was not finite.
    let isSkipped: Bool

    /// Reads a line of metrics.jsonl, in which values that are not finite are null; nil if the line
    /// does not describe a step.
    init?(_ record: MetricsRecord) {
        guard let step = record.step, record.fields["loss"] != nil,
            let learningRate = record["learning_rate"]
        else { return nil }
        self.step = step
        loss = record["loss"] ?? .nan
        self.learningRate = learningRate
        isSkipped = record.fields["skipped"] == .bool(true)
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
