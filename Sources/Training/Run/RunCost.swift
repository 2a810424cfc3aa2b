import Compute
import MPI
import Recipes
import Statistics
import Support

/// How long a recipe's steps and evaluations take on a layout, from a few of each.
package struct RunCost: Sendable, Equatable {
    package let secondsPerStep: Double
    package let secondsPerEvaluation: Double

    /// Steps that are not measured: the first ones touch memory for the first time.
    private static let warmupSteps = 2
    private static let measuredSteps = 5
    private static let measuredChunks = 8
    private static let measuredEvaluations = 3

    /// Measures; all ranks must come here.
    ///
    /// - Throws: what MPI reports.
    package static func measure(
        plan: TrainingPlan, data: TrainingData, communicator: Communicator, engine: ComputeEngine
    ) throws(Failure) -> RunCost {
        let step = try TrainingStep(plan: plan, communicator: communicator, engine: engine)
        try step.initialize()
        let loader = SampleLoader(
            dataset: data.training, contextLength: plan.recipe.model.contextLength,
            microBatch: plan.lanes.microBatch)
        var times: [Double] = []
        for index in 0..<warmupSteps + measuredSteps {
            let (record, _) = try step.take { sample, sequence in
                loader.load(firstSample: sample, order: data.order, firstSequence: sequence)
            }
            if index >= warmupSteps { times.append(record.times.total) }
        }
        let evaluation = try evaluationSeconds(step, plan, data, communicator)
        try step.free()
        return RunCost(
            secondsPerStep: try slowest(median(times), communicator),
            secondsPerEvaluation: try slowest(evaluation, communicator))
    }

    /// From part of the validation set, in proportion.
    private static func evaluationSeconds(
        _ step: TrainingStep, _ plan: TrainingPlan, _ data: TrainingData,
        _ communicator: Communicator
    ) throws(Failure) -> Double {
        let windows = min(
            data.validationWindows.count,
            measuredChunks * plan.lanes.microBatch * communicator.size)
        let evaluator = Evaluator(
            data: data, microBatch: plan.lanes.microBatch, windowLimit: windows,
            communicator: communicator)
        _ = try evaluator.run(step.model, parameters: step.state.parameters)
        var times: [Double] = []
        for _ in 0..<measuredEvaluations {
            let start = MonotonicClock.nanoseconds
            _ = try evaluator.run(step.model, parameters: step.state.parameters)
            times.append(Double(MonotonicClock.nanoseconds - start) * 1e-9)
        }
        return median(times) * Double(data.validationWindows.count)
            / Double(windows)
    }

    private static func slowest(
        _ seconds: Double, _ communicator: Communicator
    ) throws(Failure) -> Double {
        Double(try communicator.allReduce(Int64(seconds * 1e9), .maximum)) * 1e-9
    }
}
