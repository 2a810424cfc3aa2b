import Support
import Training

/// Steps with prescribed learning rates, and their losses.
package protocol RateTrial: Sendable {
    /// The rate of the next step; nil at the end.
    var nextRate: Double? { get }

    /// Adds the loss of the step with `nextRate`.
    ///
    /// - Parameter isFinite: whether the step's gradient was finite.
    mutating func add(_ loss: Double, isFinite: Bool)
}

extension StepRunner {
    /// Takes the steps of a trial and restores the state bit for bit. Collective: every rank must
    /// call this.
    ///
    /// - Parameters:
    ///   - observe: receives the trial after each step.
    ///   - isStopped: returns whether to stop before a step, the same on all ranks.
    ///   - batches: returns the steps' micro-batches.
    /// - Returns: the finished trial, the same on all ranks; nil if it was stopped.
    /// - Throws: `Failure` if MPI fails or a step fails.
    package func run<Trial: RateTrial>(
        _ trial: Trial, observe: (Trial) -> Void = { _ in },
        isStopped: () throws(Failure) -> Bool = { () throws(Failure) in false },
        batches: Batches
    ) throws(Failure) -> Trial? {
        let before = try snapshot()
        var trial = trial
        while let rate = trial.nextRate {
            if try isStopped() {
                try restore(before)
                return nil
            }
            let (record, _) = try take(learningRate: rate, batches: batches)
            trial.add(record.loss, isFinite: !record.isSkipped)
            observe(trial)
        }
        try restore(before)
        return trial
    }
}
