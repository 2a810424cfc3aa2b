import Data
import Model
import Recipes
import Support

extension TrainingPlan {
    /// Returns the plan as text, which is printed once at the start: quantities per rank and over
    /// all ranks, and the learning rate.
    ///
    /// - Parameters:
    ///   - mixture: the tokens and epochs of each folder of a mixture; empty for one folder.
    ///   - validationTargets: the number of targets that an evaluation predicts.
    ///   - decayedTensors: the names of the tensors with weight decay, out of `tensorCount`.
    ///   - start: the model from which the run starts; empty for new parameters.
    package func summary(
        ranks: Int, threads: Int, hosts: Int, runPath: String, trainingTokens: Int,
        mixture: String = "",
        validationTargets: Int, validationTokens: Int, decayedTensors: [String], tensorCount: Int,
        start: String = "", memory: MemoryPlan
    ) -> String {
        let model = recipe.model
        let steps = recipe.training.steps
        let total = tokens(after: steps)
        let layoutText =
            Format.layout(ranks: ranks, threads: threads)
            + (hosts > 1 ? " on \(hosts) hosts" : "")
        let kind = model.isLlama ? "LLaMA" : "GPT"
        let first =
            "training a \(kind) of \(Format.count(model.parameterCount)) parameters for "
            + "\(Format.counted(steps, "step")) on \(layoutText), into \(runPath)"
        let rows: [(String, String)] = [
            (
                "model",
                "\(Format.counted(model.layers, "layer")), \(headText), width \(model.width), context "
                    + "\(model.contextLength), vocabulary \(Format.count(model.vocabularySize))"
                    + (model.dropout > 0 ? ", dropout \(model.dropout)" : "")
            ),
            ("start", start),
            ("size", sizeText),
            (
                "step",
                "\(Format.counted(lanes.globalBatch, "sequence")) over all ranks = \(Format.count(tokensPerStep)) "
                    + "tokens; \(Format.count(total)) tokens in all"
                    + (mixture.isEmpty ? ", \(epochText(total, of: trainingTokens))" : "")
            ),
            ("mixture", mixture),
            ("batches", batchesText),
            ("lanes", laneText(ranks)),
            ("per rank", perRankText(ranks)),
            ("rate", rateText),
            ("matrices", matrixText),
            ("typical", typicalRateText),
            ("betas", betasText),
            ("epsilon", epsilonText),
            ("schedule", scheduleText),
            ("decay", decayText(decayedTensors, of: tensorCount)),
            ("evaluation", evaluationText(validationTargets, of: validationTokens)),
            ("memory", memoryText(memory, ranks: ranks)),
        ].filter { !$0.1.isEmpty }
        let width = rows.map(\.0.count).max() ?? 0
        return
            ([first]
            + rows.map { name, text in
                "  \(name)\(String(repeating: " ", count: width - name.count))  \(text)"
            }).joined(separator: "\n")
    }

    private func epochText(_ tokens: Int, of available: Int) -> String {
        "\(Format.significant(Double(tokens) / Double(max(1, available)), digits: 3)) epochs of "
            + Format.count(available)
    }

    /// The tokens and epochs of each folder of the mixture; empty if nothing is mixed.
    func mixtureText(_ order: MixtureOrder) -> String {
        guard !recipe.data.mixture.isEmpty else { return "" }
        let samples = order.sampleCounts(
            ofFirst: self.samples(after: recipe.training.steps))
        return zip(recipe.data.mixture, zip(order.parts, samples)).map { folder, part in
            let tokens = part.1 * recipe.model.contextLength
            return "\(folder.path): \(Format.count(tokens)) tokens, "
                + epochText(tokens, of: part.0.tokenCount)
        }.joined(separator: "; ")
    }

    /// The number of heads and, for a LLaMA, those that share keys and values and the hidden width.
    private var headText: String {
        let model = recipe.model
        let heads = Format.counted(model.heads, "head")
        guard model.isLlama else { return heads }
        let sharing =
            model.kvHeadCount == model.heads
            ? "" : " that share \(model.kvHeadCount) of keys and values"
        return "\(heads)\(sharing), hidden width \(model.mlpWidth)"
    }

    /// The model's size relative to that of its parametrization; empty for the standard one.
    private var sizeText: String {
        let model = recipe.model
        guard let baseWidth = model.baseWidth else { return "" }
        func factor(_ value: Double) -> String { "x \(Format.significant(value, digits: 4))" }
        let layers = model.baseLayers.map {
            " and \(factor(model.depthRatio)) the base of \(Format.counted($0, "layer"))"
        }
        let (inner, outer) = (model.factors(of: .blockMatrix), model.factors(of: .residualMatrix))
        let rates =
            inner.rate == outer.rate
            ? factor(inner.rate)
            : "\(factor(inner.rate)), or \(factor(outer.rate)) before the residual stream"
        return "\(model.parametrization.rawValue), \(factor(model.widthRatio)) the base width "
            + "\(baseWidth)\(layers ?? ""): the matrices of blocks learn at the rate \(rates)"
    }

    /// The stages of the batch that the run reaches, with the factors of the rate; empty with one
    /// batch.
    private var batchesText: String {
        guard stages.count > 1 else { return "" }
        let reached = stages.filter { $0.firstStep < recipe.training.steps }
        let texts = reached.map { stage in
            let batch = stage.lanes.globalBatch
            return
                "\(Format.counted(batch, "sequence")) = \(Format.count(batch * sequenceLength)) tokens "
                + "from step \(Format.count(stage.firstStep + 1)) on, rate x "
                + Format.significant(stage.rate.factor, digits: 6)
        }
        let rest = stages.count - reached.count
        return
            (texts + (rest == 0 ? [] : ["\(Format.counted(rest, "change")) after the last step"]))
            .joined(separator: "; ")
    }

    private func laneText(_ ranks: Int) -> String {
        let accumulation =
            lanes.microBatchesPerLane == 1
            ? "at once" : "in \(lanes.microBatchesPerLane) micro-batches of \(lanes.microBatch)"
        return
            "\(Format.counted(lanes.laneCount, "lane")) of "
            + "\(Format.counted(lanes.sequencesPerLane, "sequence")), each \(accumulation)"
            + "; at most \(Format.counted(lanes.laneCount, "rank"))\(balanceText(ranks))"
    }

    /// Whether lanes can move between ranks; empty if one rank has them all.
    private func balanceText(_ ranks: Int) -> String {
        if ranks == 1 { return "" }
        if lanes.laneCount == ranks { return "; one per rank, so none can move" }
        return recipe.reduction.balance == .auto
            ? "; slow ranks give lanes away" : "; the division stays equal"
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
            "\(base), rule \(recipe.scaling.title): x \(Format.significant(rate.factor, digits: 6)) for batch "
            + "\(rate.globalBatch), peak \(Format.significant(rate.peakLearningRate, digits: 6))"
    }

    /// The parts of the model that Muon and AdamW update; empty for other optimizers.
    private var matrixText: String {
        guard recipe.optimizer.name.orthogonalizes else { return "" }
        let matrices = GPTLayout(recipe.model).matrices.reduce(0) { $0 + $1.parts }
        let rest = rate.peakLearningRate * rate.optimizer.adamLearningRateFactor
        return
            "Muon moves \(Format.counted(matrices, "matrix", "matrices")) of the blocks, and AdamW the other "
            + "tensors at peak \(Format.significant(rest, digits: 6))"
    }

    /// The betas as scaled by the rule; empty if the rule does not change them.
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

    /// The clause that states the rate after the schedule's end; empty if the run ends before it.
    private var keptRateText: String {
        let steps = recipe.training.steps
        guard let end = recipe.schedule.end(trainingSteps: steps, at: rate), end < steps else {
            return ""
        }
        let kept = Format.significant(learningRate(after: steps - 1), digits: 6)
        return ", then \(kept) to the last step"
    }

    private func decayText(_ decayedTensors: [String], of tensorCount: Int) -> String {
        guard !decayedTensors.isEmpty else { return "no weight decay" }
        let (base, scaled) = (recipe.optimizer.weightDecay, rate.optimizer.weightDecay)
        let decay =
            scaled == base
            ? "\(base)" : "\(scaledText(Format.significant(scaled, digits: 6), from: "\(base)")),"
        return "weight decay \(decay) on \(decayedTensors.count) of \(tensorCount) tensors: "
            + condensed(decayedTensors).joined(separator: ", ")
    }

    private func evaluationText(_ targets: Int, of tokens: Int) -> String {
        let every =
            recipe.evaluation.every == 0
            ? "after the last step" : "every \(Format.count(recipe.evaluation.every)) steps"
        let part =
            recipe.evaluation.windows == 0
            ? "all \(Format.count(targets)) targets of the validation set"
            : "the first \(Format.count(targets)) targets of \(Format.count(max(0, tokens - 1)))"
        return "\(every), on \(part)"
    }

    private func memoryText(_ memory: MemoryPlan, ranks: Int) -> String {
        let host = ranks > 1 ? ", \(Format.bytes(memory.hostBytes)) a host" : ""
        return "\(Format.bytes(memory.rankBytes)) a rank\(host): "
            + memory.parts.map { "\($0.name) \(Format.bytes($0.bytes))" }.joined(separator: ", ")
    }

    /// Returns tensor names with the layers' numbers replaced by a star, without duplicates.
    private func condensed(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.map { name in
            name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }
                .joined(separator: ".")
        }.filter { seen.insert($0).inserted }
    }
}
