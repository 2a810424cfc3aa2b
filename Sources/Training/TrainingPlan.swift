import Collectives
import Model
import Optimizers
import Support
import Telemetry

/// A recipe resolved for its data and a number of ranks: everything a run will do, in numbers.
package struct TrainingPlan: Sendable {
    /// The recipe with nothing left silent; what `[scaling]` makes of its values is in `rate`.
    package let recipe: Recipe
    package let lanes: LaneConfiguration
    /// What the scaling rule made of the recipe's optimizer, which the steps are taken with.
    package let rate: ScaledRate
    package let schedule: Schedule
    /// Tokens in a sequence: the recipe's context length, or fewer in a benchmark.
    package let sequenceLength: Int

    /// Resolves a recipe whose model's vocabulary is known.
    ///
    /// - Parameter sequenceLength: tokens in a sequence; where silent, the context length.
    /// - Throws: `Failure` (configuration) that names the nearest values that would work.
    package init(
        _ recipe: Recipe, ranks: Int, sequenceLength: Int? = nil
    ) throws(Failure) {
        try recipe.validate()
        self.sequenceLength = sequenceLength ?? recipe.model.contextLength
        lanes = try LaneConfiguration(
            globalBatch: recipe.training.globalBatch, lanes: recipe.reduction.lanes,
            microBatch: recipe.training.microBatch, ranks: ranks)
        rate = try recipe.scaling.resolve(
            recipe.optimizer, globalBatch: recipe.training.globalBatch)
        schedule = try recipe.schedule.resolve(rate, trainingSteps: recipe.training.steps)
        self.recipe = Self.settled(recipe, lanes: lanes, rate: rate)
    }

    /// The recipe with the values that silent keys stand for.
    ///
    /// A run that is resumed reads this, so a later default, rank count or number of steps cannot
    /// change what is computed.
    private static func settled(
        _ recipe: Recipe, lanes: LaneConfiguration, rate: ScaledRate
    ) -> Recipe {
        var recipe = recipe
        recipe.reduction.lanes = lanes.laneCount
        recipe.training.microBatch = lanes.microBatch
        recipe.scaling.baseBatch = rate.baseBatch
        if rate.rule == .noiseScale {
            recipe.scaling.noiseExponent = recipe.scaling.noiseExponent(for: recipe.optimizer.name)
        }
        let name = recipe.schedule.name
        if name != .sequence {
            recipe.schedule.warmupSteps = recipe.schedule.warmupSteps(
                trainingSteps: recipe.training.steps)
        }
        if name != .sequence, name != .constant {
            recipe.schedule.decaySteps = recipe.schedule.decaySteps(
                trainingSteps: recipe.training.steps, at: rate)
            recipe.schedule.minimumLearningRate =
                recipe.schedule.minimumLearningRate ?? rate.baseLearningRate / 10
        }
        if let last = recipe.schedule.parts.indices.last, recipe.schedule.parts[last].steps == nil {
            let before = recipe.schedule.parts.dropLast().reduce(
                recipe.schedule.decaySteps ?? 0
            ) { $0 + ($1.steps ?? 0) }
            recipe.schedule.parts[last].steps = max(1, recipe.training.steps - before)
        }
        return recipe
    }

    /// Tokens in one optimizer step, over all ranks.
    package var tokensPerStep: Int { recipe.training.globalBatch * sequenceLength }

    /// Tokens that go through the model at once.
    package var tokensPerMicroBatch: Int { lanes.microBatch * sequenceLength }

    /// The rate of the step that follows `step` finished ones.
    package func learningRate(after step: Int) -> Double { schedule.learningRate(at: step) }
}

/// What a plan's summary tells beside the plan.
package struct PlanSurroundings: Sendable {
    package var ranks: Int
    package var threads: Int
    package var hosts: Int
    package var runPath: String
    package var trainingTokens: Int
    package var validationTargets: Int
    package var validationTokens: Int
    package var decayedTensors: [String]
    package var tensorCount: Int
    package var memory: MemoryPlan

    package init(
        ranks: Int, threads: Int, hosts: Int, runPath: String, trainingTokens: Int,
        validationTargets: Int, validationTokens: Int, decayedTensors: [String], tensorCount: Int,
        memory: MemoryPlan
    ) {
        self.ranks = ranks
        self.threads = threads
        self.hosts = hosts
        self.runPath = runPath
        self.trainingTokens = trainingTokens
        self.validationTargets = validationTargets
        self.validationTokens = validationTokens
        self.decayedTensors = decayedTensors
        self.tensorCount = tensorCount
        self.memory = memory
    }
}

extension TrainingPlan {
    /// The plan for a reader, printed once: what is per rank and what is global, and the rate.
    package func summary(_ around: PlanSurroundings) -> String {
        let model = recipe.model
        let steps = recipe.training.steps
        let total = tokensPerStep * steps
        let layoutText =
            Format.layout(ranks: around.ranks, threads: around.threads)
            + (around.hosts > 1 ? " on \(around.hosts) hosts" : "")
        let first =
            "training a GPT of \(Format.count(model.parameterCount)) parameters for "
            + "\(Format.counted(steps, "step")) on \(layoutText), into \(around.runPath)"
        let rows: [(String, String)] = [
            (
                "model",
                "\(Format.counted(model.layers, "layer")), \(Format.counted(model.heads, "head")), width \(model.width), context "
                    + "\(model.contextLength), vocabulary \(Format.count(model.vocabularySize))"
                    + (model.dropout > 0 ? ", dropout \(model.dropout)" : "")
            ),
            (
                "step",
                "\(Format.counted(lanes.globalBatch, "sequence")) over all ranks = \(Format.count(tokensPerStep)) "
                    + "tokens; \(Format.count(total)) tokens in all, "
                    + "\(Format.significant(Double(total) / Double(max(1, around.trainingTokens)), digits: 3)) "
                    + "epochs of \(Format.count(around.trainingTokens))"
            ),
            ("lanes", laneText),
            ("per rank", perRankText(around.ranks)),
            ("rate", rateText),
            ("betas", betasText),
            ("epsilon", epsilonText),
            ("schedule", scheduleText),
            ("decay", decayText(around)),
            (
                "evaluation",
                evaluationText(around)
            ),
            ("memory", memoryText(around)),
        ].filter { !$0.1.isEmpty }
        let width = rows.map(\.0.count).max() ?? 0
        return
            ([first]
            + rows.map { name, text in
                "  \(name)\(String(repeating: " ", count: width - name.count))  \(text)"
            }).joined(separator: "\n")
    }

    private var laneText: String {
        let accumulation =
            lanes.microBatchesPerLane == 1
            ? "at once" : "in \(lanes.microBatchesPerLane) micro-batches of \(lanes.microBatch)"
        return
            "\(Format.counted(lanes.laneCount, "lane")) of "
            + "\(Format.counted(lanes.sequencesPerLane, "sequence")), each \(accumulation)"
            + "; at most \(Format.counted(lanes.laneCount, "rank"))"
    }

    private func perRankText(_ ranks: Int) -> String {
        let least = lanes.laneCount / ranks
        let most = (lanes.laneCount + ranks - 1) / ranks
        let perLane = lanes.sequencesPerLane
        let range = { (least: Int, most: Int, thing: String) in
            (least == most ? "" : "\(Format.count(least)) or ") + Format.counted(most, thing)
        }
        let tokens = most * perLane * sequenceLength
        return "\(range(least, most, "lane")) = "
            + "\(range(least * perLane, most * perLane, "sequence")) = "
            + (least == most ? "" : "up to ") + "\(Format.count(tokens)) tokens a step; "
            + "\(Format.count(tokensPerMicroBatch)) tokens a micro-batch"
    }

    private var rateText: String {
        let base = "\(rate.baseLearningRate) at batch \(rate.baseBatch)"
        return
            "\(base), rule \(ruleText): x \(Format.significant(rate.factor, digits: 6)) for batch "
            + "\(rate.globalBatch), peak \(Format.significant(rate.peakLearningRate, digits: 6))"
    }

    /// The rule's name, with the numbers that it was given.
    private var ruleText: String {
        let scaling = recipe.scaling
        let name = rate.rule.rawValue
        let noise = Format.significant(scaling.noiseScale ?? 0, digits: 6)
        switch rate.rule {
        case .power: return "\(name) \(scaling.exponent ?? 0)"
        case .beta2HalfLife: return name + (scaling.exponent.map { " with exponent \($0)" } ?? "")
        case .noiseScale:
            return "\(name) \(noise) with exponent \(scaling.noiseExponent ?? 0)"
        case .surge: return "\(name) at noise scale \(noise)"
        case .formula: return (scaling.formula ?? "").debugDescription
        case .linear, .sqrt, .none, .adamSDE: return name
        }
    }

    /// What the rule made of the betas; empty where they are as the recipe has them.
    private var betasText: String {
        let (base, scaled) = (recipe.optimizer, rate.optimizer)
        guard base.beta1 != scaled.beta1 || base.beta2 != scaled.beta2 else { return "" }
        return scaledText(
            "\(Format.significant(scaled.beta1, digits: 6)) and "
                + Format.significant(scaled.beta2, digits: 6),
            from: "\(base.beta1) and \(base.beta2)")
    }

    private var epsilonText: String {
        let (base, scaled) = (recipe.optimizer.epsilon, rate.optimizer.epsilon)
        guard base != scaled else { return "" }
        return scaledText(Format.significant(scaled, digits: 6), from: "\(base)")
    }

    private func scaledText(_ scaled: String, from base: String) -> String {
        "\(scaled) for batch \(rate.globalBatch), from \(base) at batch \(rate.baseBatch)"
    }

    private var scheduleText: String {
        let schedule = recipe.schedule
        guard schedule.name != .sequence else {
            return "a sequence of \(schedule.parts.count) parts" + keptRateText
        }
        let written = schedule.warmupSteps(trainingSteps: recipe.training.steps)
        let warmup = schedule.warmupSteps(trainingSteps: recipe.training.steps, at: rate)
        let atBase =
            warmup == written
            ? "" : "; \(Format.count(written)) steps at batch \(rate.baseBatch)"
        let start = rate.gradualWarmup ? " from the base rate" : ""
        let rise =
            warmup == 0
            ? "no warmup"
            : "warmup over \(Format.counted(warmup, "step")) (\(Format.count(warmup * tokensPerStep)) "
                + "tokens\(atBase))\(start)"
                + (warmup >= recipe.training.steps ? ", where the run ends" : "")
        guard schedule.name != .constant else { return "\(rise), then constant" }
        let lowest = Format.significant(
            (schedule.minimumLearningRate ?? 0) * rate.factor, digits: 6)
        return "\(rise), then \(schedule.name.rawValue) to \(lowest) at step "
            + "\(Format.count(schedule.decaySteps ?? recipe.training.steps))"
            + (schedule.parts.isEmpty
                ? "" : ", then \(Format.counted(schedule.parts.count, "further part"))")
            + keptRateText
    }

    /// The clause that states the rate after the schedule's end; empty if the run ends before.
    private var keptRateText: String {
        let steps = recipe.training.steps
        guard let end = recipe.schedule.end(trainingSteps: steps, at: rate), end < steps else {
            return ""
        }
        let kept = Format.significant(learningRate(after: steps - 1), digits: 6)
        return ", then \(kept) to the last step"
    }

    /// A warning of steps that change nothing because their rate is 0; nil if there are no such steps.
    package var zeroRateWarning: String? {
        let steps = recipe.training.steps
        guard learningRate(after: steps - 1) == 0 else { return nil }
        guard let end = recipe.schedule.end(trainingSteps: steps, at: rate), end < steps else {
            guard steps == 1 else { return nil }
            return
                "the only step trains at rate 0, where the warmup starts, and changes nothing; give "
                + "--set schedule.warmup_steps=0"
        }
        return
            "the steps after step \(end), where the schedule ends, train at rate 0 and change nothing; "
            + "give them a schedule of their own, such as --set "
            + "'schedule.parts=[{name=\"cosine\", steps=\(steps - end), start_factor=0.5, "
            + "end_factor=0.05}]'"
    }

    private func decayText(_ around: PlanSurroundings) -> String {
        guard !around.decayedTensors.isEmpty else { return "no weight decay" }
        let (base, scaled) = (recipe.optimizer.weightDecay, rate.optimizer.weightDecay)
        let decay =
            scaled == base
            ? "\(base)" : "\(scaledText(Format.significant(scaled, digits: 6), from: "\(base)")),"
        return "weight decay \(decay) on \(around.decayedTensors.count) of "
            + "\(around.tensorCount) tensors: "
            + condensed(around.decayedTensors).joined(separator: ", ")
    }

    private func evaluationText(_ around: PlanSurroundings) -> String {
        let every =
            recipe.evaluation.every == 0
            ? "after the last step" : "every \(Format.count(recipe.evaluation.every)) steps"
        let part =
            recipe.evaluation.windows == 0
            ? "all \(Format.count(around.validationTargets)) targets of the validation set"
            : "the first \(Format.count(around.validationTargets)) targets of "
                + "\(Format.count(max(0, around.validationTokens - 1)))"
        return "\(every), on \(part)"
    }

    private func memoryText(_ around: PlanSurroundings) -> String {
        let memory = around.memory
        let host = around.ranks > 1 ? ", \(Format.bytes(memory.hostBytes)) a host" : ""
        return "\(Format.bytes(memory.rankBytes)) a rank\(host): "
            + memory.parts.map { "\($0.name) \(Format.bytes($0.bytes))" }.joined(separator: ", ")
    }

    /// Tensor names with the layers' numbers replaced by a star, each once.
    private func condensed(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.map { name in
            name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }
                .joined(separator: ".")
        }.filter { seen.insert($0).inserted }
    }
}
