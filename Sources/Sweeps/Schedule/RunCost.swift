import Compute
import MPI
import Recipes
import Statistics
import Support
import Training
import Verdicts

/// The durations of a recipe's steps and evaluations on a layout, measured over a few of each.
package struct RunCost: Sendable, Equatable {
    package let secondsPerStep: Double
    package let secondsPerEvaluation: Double

    /// The number of steps before the measurement, in which memory is touched for the first time.
    private static let warmupSteps = 2
    private static let measuredSteps = 5
    private static let measuredChunks = 8
    private static let measuredEvaluations = 3

    /// Measures the cost of a training. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` if MPI fails.
    static func measure(
        _ input: TrainingInput, on communicator: Communicator, engine: ComputeEngine
    ) throws(Failure) -> RunCost {
        let runner = try StepRunner(plan: input.plan, communicator: communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        var times: [Double] = []
        for index in 0..<warmupSteps + measuredSteps {
            let (record, _) = try runner.take(batches: batches)
            if index >= warmupSteps { times.append(record.times.total) }
        }
        let evaluation = try evaluationSeconds(runner, input, on: communicator)
        try runner.free()
        return RunCost(
            secondsPerStep: try slowest(median(times), communicator),
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
