import Support
import Training

/// A learning-rate range test: training steps whose rate rises from one step to the next.
package struct RangeTest: Sendable {
    package let ramp: RateRamp

    package init(_ ramp: RateRamp) { self.ramp = ramp }

    /// Takes the steps from the state of `runner` and restores that state bit for bit. Collective.
    ///
    /// - Parameters:
    ///   - observe: receives the curve after each step.
    ///   - isStopped: returns whether to stop before a step, the same on all ranks.
    ///   - batches: returns the steps' micro-batches.
    /// - Returns: the curve, the same on all ranks; nil if the test was stopped.
    /// - Throws: `Failure` if MPI fails or a step fails.
    package func run(
        runner: StepRunner, observe: (RangeCurve) -> Void = { _ in },
        isStopped: () throws(Failure) -> Bool = { () throws(Failure) in false },
        batches: StepRunner.Batches
    ) throws(Failure) -> RangeCurve? {
        let before = try runner.snapshot()
        var curve = RangeCurve(ramp)
        while let rate = curve.nextRate {
            if try isStopped() {
                try runner.restore(before)
                return nil
            }
            let (record, _) = try runner.take(learningRate: rate, batches: batches)
            curve.add(record.loss, isFinite: !record.isSkipped)
            observe(curve)
        }
        try runner.restore(before)
        return curve
    }
}
