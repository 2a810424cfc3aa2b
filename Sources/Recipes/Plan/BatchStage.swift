import Support

/// A part of a run whose steps have the same global batch.
///
/// All stages have the same lanes and the same micro-batch, so the memory and the reduction tree do
/// not change. A lane of a larger batch has more micro-batches.
package struct BatchStage: Sendable {
    /// The number of steps before the stage.
    package let firstStep: Int
    /// The number of sequences in all steps before the stage.
    package let firstSample: Int
    package let lanes: LaneConfiguration
    /// The rate and the optimizer after scaling to the stage's batch.
    package let rate: BatchScaling

    /// Returns the number of sequences in the first `step` steps of the run, which reach this stage and none
    /// after it.
    func samples(after step: Int) -> Int {
        firstSample + (step - firstStep) * lanes.globalBatch
    }
}

extension BatchStage {
    /// Resolves the stages of a recipe for a number of ranks.
    ///
    /// - Throws: `Failure` (configuration) that names the first impossible batch, and batches that
    ///   would work.
    static func stages(of recipe: Recipe, ranks: Int) throws(Failure) -> [BatchStage] {
        let training = recipe.training
        let first = BatchStage(
            firstStep: 0, firstSample: 0, lanes: try firstLanes(of: recipe, ranks: ranks),
            rate: try recipe.scaling.resolve(recipe.optimizer, globalBatch: training.globalBatch))
        guard !training.batchSchedule.isEmpty else { return [first] }
        try require(
            !recipe.scaling.rule.scalesBetas,
            or: .key(
                "[scaling] rule", "\"\(recipe.scaling.rule.rawValue)\"",
                "scales betas, which cannot change during a run as batch_schedule does",
                remedy: "set rule = \"sqrt\", or remove [training] batch_schedule"))
        var stages = [first]
        for (index, change) in training.batchSchedule.enumerated() {
            let before = stages[index]
            let step = before.step(of: change, contextLength: recipe.model.contextLength)
            let key = BatchChangeConfiguration.key(index + 1)
            guard step > before.firstStep else {
                throw .about(
                    .configuration, "\(key) batch = \(change.batch)",
                    "begins after \(Format.counted(step, "step")), but the batch before it begins "
                        + "after \(Format.count(before.firstStep))",
                    remedy: "order the changes by their steps")
            }
            try check(change.batch, first.lanes, key)
            stages.append(
                BatchStage(
                    firstStep: step, firstSample: before.samples(after: step),
                    lanes: try LaneConfiguration(
                        globalBatch: change.batch, lanes: first.lanes.laneCount,
                        microBatch: first.lanes.microBatch, ranks: ranks),
                    rate: try recipe.scaling.resolve(recipe.optimizer, globalBatch: change.batch)))
        }
        return stages
    }

    /// Returns the lanes of the first stage. Unset lanes and an unset micro-batch get values that
    /// suit all stages.
    private static func firstLanes(
        of recipe: Recipe, ranks: Int
    ) throws(Failure) -> LaneConfiguration {
        let training = recipe.training
        var (lanes, microBatch) = (recipe.reduction.lanes, training.microBatch)
        if !training.batchSchedule.isEmpty {
            let common = training.batches.reduce(0, greatestCommonDivisor)
            if lanes == 0 {
                try require(
                    ranks <= common,
                    or: .about(
                        .configuration, Format.counted(ranks, "rank"),
                        "are more than the \(Format.counted(common, "lane")) into which all of the batches "
                            + "\(list(training.batches)) can be divided",
                        remedy:
                            "start at most \(Format.counted(common, "rank")), or use batches that are "
                            + "multiples of \(ranks)"))
                lanes = try LaneConfiguration(globalBatch: common, ranks: ranks).laneCount
            }
            if microBatch == 0, common % lanes == 0 { microBatch = common / lanes }
        }
        return try LaneConfiguration(
            globalBatch: training.globalBatch, lanes: lanes, microBatch: microBatch, ranks: ranks)
    }

    /// Checks that a later batch can be divided into the run's lanes and micro-batches.
    private static func check(
        _ batch: Int, _ lanes: LaneConfiguration, _ key: String
    ) throws(Failure) {
        let unit = lanes.laneCount * lanes.microBatch
        guard batch % unit != 0 else { return }
        let below = batch / unit * unit
        let near = (below > 0 ? "\(below) or " : "") + "\(below + unit)"
        let common = greatestCommonDivisor(lanes.globalBatch, batch)
        let (setting, dividend) =
            batch % lanes.laneCount == 0
            ? ("micro_batch", common / lanes.laneCount) : ("[reduction] lanes", common)
        throw .key(
            "\(key) batch", batch,
            "cannot be divided into \(Format.counted(lanes.laneCount, "lane")) with micro-batches of "
                + "\(lanes.microBatch)",
            remedy: "use \(near), or set \(setting) to "
                + (dividend == 1 ? "1" : "a divisor of \(dividend)"))
    }

    /// Returns the number of steps before a change after this stage.
    private func step(of change: BatchChangeConfiguration, contextLength: Int) -> Int {
        if let steps = change.afterSteps { return steps }
        // Sequences and steps are rounded up.
        let samples = ((change.afterTokens ?? 0) + contextLength - 1) / contextLength
        let rest = samples - firstSample
        return firstStep
            + (rest <= 0 ? 0 : (rest + lanes.globalBatch - 1) / lanes.globalBatch)
    }

    private static func list(_ batches: [Int]) -> String {
        Format.list(batches.map { "\($0)" })
    }
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestCommonDivisor(b, a % b)
}
