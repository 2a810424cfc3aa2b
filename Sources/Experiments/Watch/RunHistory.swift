import Statistics
import Support
import Telemetry
import Training

/// The history of a run, kept small enough to be drawn again every second.
package struct RunHistory: Sendable {
    /// The numbers of a step, or their means over several adjacent steps.
    struct Point: Sendable {
        var step: Int
        var loss: Double
        var learningRate: Double
        var tokensPerSecond: Double
    }

    /// The points of the whole run.
    private(set) var points: [Point] = []
    /// The last steps.
    private(set) var recent: [MetricsRecord] = []
    private(set) var evaluations: [(step: Int, loss: Double)] = []
    private(set) var diagnoses: [Diagnosis] = []
    private(set) var highestRate = 0.0
    /// The total time of the added steps in seconds. It lacks the steps that `MetricsFollower` left
    /// out.
    private(set) var stepSeconds = 0.0
    /// The number of steps that a point stands for.
    private var stepsPerPoint = 1
    private var pending: [Point] = []

    /// The even number of points at which neighbors are joined.
    private static let pointLimit = 4096
    /// The number of the last steps that are kept.
    static let recentLimit = 200

    package init() {}

    /// The number of points of the whole run.
    package var pointCount: Int { points.count }

    /// The step of the last line; 0 if there is none.
    package var lastStep: Int {
        max(recent.last?.step ?? 0, evaluations.last?.step ?? 0)
    }

    /// Whether a step was taken.
    var hasSteps: Bool { !recent.isEmpty }

    /// The median time of the last steps in seconds; 0 if there is none.
    package var usualStepSeconds: Double {
        let seconds = recent.compactMap { $0["step_seconds"] }
        return seconds.isEmpty ? 0 : median(seconds)
    }

    /// The mean tokens per second in the last steps; nil if there is none.
    var tokensPerSecond: Double? {
        var (tokens, seconds) = (0.0, 0.0)
        for record in recent.suffix(Self.recentLimit / 4) {
            guard let rate = record["tokens_per_second"], let time = record["step_seconds"] else {
                continue
            }
            tokens += rate * time
            seconds += time
        }
        return seconds > 0 ? tokens / seconds : nil
    }

    /// Adds a line of the log.
    package mutating func add(_ record: MetricsRecord) {
        guard let step = record.step, step >= 0 else { return }
        if let diagnosis = Diagnosis(record) {
            diagnoses.append(diagnosis)
        } else if record.fields["validation_loss"] != nil {
            evaluations.append((step, record["validation_loss"] ?? .nan))
        } else if record.fields["loss"] != nil {
            add(record, step: step)
        }
    }

    private mutating func add(_ record: MetricsRecord, step: Int) {
        recent.append(record)
        if recent.count > Self.recentLimit { recent.removeFirst() }
        let rate = record["learning_rate"] ?? .nan
        highestRate = max(highestRate, rate.isFinite ? rate : 0)
        stepSeconds += record["step_seconds"] ?? 0
        pending.append(
            Point(
                step: step, loss: record["loss"] ?? .nan, learningRate: rate,
                tokensPerSecond: record["tokens_per_second"] ?? .nan))
        guard pending.count == stepsPerPoint else { return }
        points.append(Self.mean(pending[...]))
        pending.removeAll(keepingCapacity: true)
        guard points.count == Self.pointLimit else { return }
        points = stride(from: 0, to: points.count, by: 2).map { Self.mean(points[$0...$0 + 1]) }
        stepsPerPoint *= 2
    }

    /// Returns the mean of some points, at the step of the last one.
    private static func mean(_ points: ArraySlice<Point>) -> Point {
        func mean(_ value: (Point) -> Double) -> Double {
            points.reduce(0) { $0 + value($1) } / Double(points.count)
        }
        return Point(
            step: points.last?.step ?? 0, loss: mean(\.loss), learningRate: mean(\.learningRate),
            tokensPerSecond: mean(\.tokensPerSecond))
    }
}
