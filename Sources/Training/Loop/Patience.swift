import MPI
import Support
import Telemetry

/// The rule by which a run stops early: after a number of evaluations in a row that did not lower
/// the validation loss.
struct Patience {
    /// The number of evaluations without a lower loss after which the run stops; nil if it never stops early.
    let limit: Int?
    /// The evaluation with the lowest loss; nil before the first with a finite loss.
    private(set) var best: BestEvaluation?
    /// The number of evaluations since the best one.
    private(set) var evaluationsSinceBest = 0

    init(limit: Int?) { self.limit = limit }

    /// Whether the run stops.
    var isExhausted: Bool { limit.map { evaluationsSinceBest >= $0 } ?? false }

    /// Counts an evaluation. A loss that is not finite does not lower the best one.
    mutating func add(loss: Double, step: Int) {
        let isBetter = loss.isFinite && best.map { loss < $0.loss } ?? true
        if isBetter { best = BestEvaluation(step: step, loss: loss) }
        evaluationsSinceBest = isBetter ? 0 : evaluationsSinceBest + 1
    }

    /// Counts a line of the metrics if it is an evaluation.
    mutating func add(_ record: MetricsRecord) {
        guard record.fields["validation_loss"] != nil, let step = record.step else { return }
        add(loss: record["validation_loss"] ?? .nan, step: step)
    }

    /// Returns the first rank's counts. Collective: every rank must call this.
    func shared(over communicator: Communicator) throws(Failure) -> Patience {
        let counts = try communicator.broadcast([
            Int64(evaluationsSinceBest), Int64(best?.step ?? -1),
        ])
        let loss = try communicator.broadcast([best?.loss ?? 0])[0]
        var patience = Patience(limit: limit)
        patience.evaluationsSinceBest = Int(counts[0])
        patience.best = counts[1] < 0 ? nil : BestEvaluation(step: Int(counts[1]), loss: loss)
        return patience
    }
}

/// The end of a run that stopped before its last step, because its validation loss no longer fell.
package struct EarlyStop: Sendable {
    /// The evaluation of the last step that was taken.
    package let evaluation: Evaluation
    /// The last step that was taken.
    package let step: Int
    /// The number of steps in the recipe.
    package let steps: Int
    /// The number of evaluations in a row that did not lower the loss.
    package let evaluations: Int
    /// The step and the loss of the best evaluation; nil if no loss was finite.
    package let lowest: (step: Int, loss: Double)?
    /// The step of the best checkpoint; nil if none is kept.
    package let bestCheckpoint: Int?

    /// The last line of the run's output, given the run's folder.
    package func text(run: String) -> String {
        let lowest = lowest.map {
            "below \(Format.fixed($0.loss, decimals: 4)), that of step \(Format.count($0.step))"
        }
        let best = bestCheckpoint.map { ", its best checkpoint of step \($0)" } ?? ""
        return "stopped early after step \(Format.count(step)) of \(Format.count(steps)), because "
            + "\(Format.counted(evaluations, "evaluation")) in a row had no loss "
            + "\(lowest ?? "that is a number"); validation loss "
            + "\(Format.fixed(evaluation.loss, decimals: 4)) over "
            + "\(Format.count(evaluation.targets)) targets; the run is in \(run)\(best)"
    }
}
