import Compute
import MPI
import Recipes
import Statistics
import Support
import Training
import Verdicts

/// The durations of a recipe's start, steps and evaluations on a layout, measured over a few of each.
package struct RunCost: Sendable, Equatable {
    /// The duration from reading the recipe to the first step.
    package let secondsToStart: Double
    package let secondsPerStep: Double
    package let secondsPerEvaluation: Double

    /// The number of steps before the measurement, in which memory is touched for the first time.
    private static let warmupSteps = 2
    /// The least and the greatest number of measured steps. Of short steps, as many as take a second
    /// are measured.
    private static let measuredSteps = (least: 5, most: 100)
    private static let measuredChunks = 8
    private static let measuredEvaluations = 3

    /// Measures the cost of a training. Collective: every rank must call this.
    ///
    /// - Parameter start: the time before the training was prepared, of `MonotonicClock`.
    /// - Throws: `Failure` if MPI fails.
    static func measure(
        _ input: TrainingInput, since start: Int64, on communicator: Communicator,
        engine: ComputeEngine
    ) throws(Failure) -> RunCost {
        let runner = try StepRunner(plan: input.plan, communicator: communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        let toStart = Double(MonotonicClock.nanoseconds - start) * 1e-9
        func seconds(ofSteps count: Int) throws(Failure) -> Double {
            var seconds = 0.0
            for _ in 0..<count { seconds += try runner.take(batches: batches).0.times.total }
            return seconds
        }
        _ = try seconds(ofSteps: warmupSteps)
        var count = measuredSteps.least
        var total = try slowest(seconds(ofSteps: count), communicator)
        // All ranks know the same total, so they take the same number of steps.
        let more = min(Double(measuredSteps.most), Double(count) / max(total, 1e-9)) - Double(count)
        if more >= 1 {
            count += Int(more)
            total += try slowest(seconds(ofSteps: Int(more)), communicator)
        }
        let evaluation = try evaluationSeconds(runner, input, on: communicator)
        try runner.free()
        return RunCost(
            secondsToStart: try slowest(toStart, communicator),
            secondsPerStep: total / Double(count),
            secondsPerEvaluation: try slowest(evaluation, communicator))
    }

    /// Returns the seconds of an evaluation, extrapolated from a part of the validation set.
    private static func evaluationSeconds(
        _ runner: StepRunner, _ input: TrainingInput, on communicator: Communicator
    ) throws(Failure) -> Double {
        let microBatch = input.plan.lanes.microBatch
        let allWindows = input.data.validationWindows.count
        let windows = min(allWindows, measuredChunks * microBatch * communicator.size)
        let evaluator = Evaluator(
            data: input.data, microBatch: microBatch, windowLimit: windows,
            communicator: communicator)
        _ = try evaluator.run(runner.model, parameters: runner.state.parameters)
        var times: [Double] = []
        for _ in 0..<measuredEvaluations {
            let start = MonotonicClock.nanoseconds
            _ = try evaluator.run(runner.model, parameters: runner.state.parameters)
            times.append(Double(MonotonicClock.nanoseconds - start) * 1e-9)
        }
        return median(times) * Double(allWindows) / Double(windows)
    }

    private static func slowest(
        _ seconds: Double, _ communicator: Communicator
    ) throws(Failure) -> Double {
        Double(try communicator.allReduce(Int64(seconds * 1e9), .maximum)) * 1e-9
    }
}
