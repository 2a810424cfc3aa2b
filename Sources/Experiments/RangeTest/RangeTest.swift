import Support
import Training

/// A learning-rate range test: steps of training with a rate that rises from one to the next.
package struct RangeTest: Sendable {
    package let ramp: RateRamp

    package init(_ ramp: RateRamp) { self.ramp = ramp }

    /// Takes the steps from the state that `step` is in, and brings that state back bit for bit;
    /// all ranks must come here, and get the same curve.
    ///
    /// - Parameters:
    ///   - observe: told of each loss.
    ///   - isStopped: asked before each step on all ranks, which must be answered alike.
    ///   - batches: where the steps' micro-batches come from.
    /// - Returns: nil where it was stopped.
    /// - Throws: what MPI reports.
    package func run(
        step: TrainingStep, observe: (RangeCurve) -> Void = { _ in },
        isStopped: () throws(Failure) -> Bool = { () throws(Failure) in false },
        batches: TrainingStep.Batches
    ) throws(Failure) -> RangeCurve? {
        let before = try step.snapshot()
        var curve = RangeCurve(ramp)
        while let rate = curve.nextRate {
            if try isStopped() {
                try step.restore(before)
                return nil
            }
            let (record, _) = try step.take(learningRate: rate, batches: batches)
            curve.add(record.loss, isFinite: !record.isSkipped)
            observe(curve)
        }
        try step.restore(before)
        return curve
    }
}
