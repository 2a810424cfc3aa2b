import Failures
import Training

/// A learning-rate range test: steps of training with a rate that rises from one to the next.
package struct RangeTest: Sendable {
    package let ramp: RateRamp

    package init(_ ramp: RateRamp) { self.ramp = ramp }

    /// Takes the steps from the state that `step` is in, and brings that state back bit for bit; all
    /// ranks must come here, and get the same curve.
    ///
    /// - Parameters:
    ///   - observe: told of each loss.
    ///   - batches: where the steps' micro-batches come from.
    /// - Throws: what MPI reports.
    package func run(
        step: TrainingStep, observe: (RangeCurve) -> Void = { _ in },
        batches: TrainingStep.Batches
    ) throws(Failure) -> RangeCurve {
        let before = try step.snapshot()
        var curve = RangeCurve(ramp)
        while let rate = curve.nextRate {
            let (record, _) = try step.take(learningRate: rate, batches: batches)
            curve.add(record.loss, isFinite: !record.isSkipped)
            observe(curve)
        }
        try step.restore(before)
        return curve
    }
}
