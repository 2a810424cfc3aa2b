import Statistics
import Support

/// The branches of a run and what they say about its batch.
package struct Branches: Sendable {
    package let design: BranchDesign
    /// The results in the order of the design's points.
    package let results: [BranchResult]
    package let checkpoints: [CheckpointBranches]

    /// Analyzes branches.
    ///
    /// - Parameter results: a result for every point of the design.
    package init(_ design: BranchDesign, results: [BranchResult]) {
        let byPoint = Dictionary(uniqueKeysWithValues: results.map { ($0.point, $0) })
        let ordered = design.points.compactMap { byPoint[$0] }
        precondition(ordered.count == design.points.count, "every branch has a result")
        self.design = design
        self.results = ordered
        checkpoints = design.starts.map {
            CheckpointBranches($0, of: design, results: ordered)
        }
    }

    /// The checkpoints before the rate decays and before the end, which alone count for a batch
    /// warmup and for the growth of the critical batch.
    package var trainingCheckpoints: [CheckpointBranches] {
        checkpoints.filter { $0.start.phase == .training }
    }

    /// For each batch above the run's, the first checkpoint from which on every checkpoint of the
    /// training phase certainly allows it; nil if the last one does not.
    package var warmup: [(batch: Int, step: Int?)] {
        let checkpoints = trainingCheckpoints
        return design.batches.filter { $0 > design.trunkBatch }.map { batch in
            let last = checkpoints.lastIndex { $0.critical.least < batch }
            let first = last.map { $0 + 1 } ?? 0
            return (batch, first < checkpoints.count ? checkpoints[first].start.step : nil)
        }
    }

    /// A sentence about a batch warmup.
    package var warmupSentence: String {
        let tolerance = Format.significant(design.tolerance, digits: 3)
        guard !trainingCheckpoints.isEmpty else {
            return
                "No checkpoint comes before the decay of the rate and the end of the run, so these "
                + "branches support no batch warmup."
        }
        // Of the batches that are safe from the same step on, the largest is of interest.
        let safe = warmup.enumerated().filter { index, entry in
            entry.step != nil && !warmup[(index + 1)...].contains { $0.step == entry.step }
        }
        guard !safe.isEmpty else {
            return "No batch above \(design.trunkBatch) is certainly within the tolerance of "
                + "\(tolerance) at the last checkpoint, so these branches support no batch warmup."
        }
        let steps = safe.map { "\($1.batch) from step \(Format.count($1.step ?? 0))" }
        let rate = design.decays ? "After a decay" : "At a constant rate"
        let caveat =
            design.decays
            ? ""
            : " A larger batch also jitters less at a constant rate, so confirm this with --decay."
        return "\(rate), a batch warmup to batch \(Format.list(steps)) is safe, among the "
            + "checkpoints and batches tried.\(caveat)"
    }

    // MARK: - Text

    /// The findings as lines: a table of all batches, and sentences.
    package var text: [String] {
        var table = TextTable(
            ["step", "batch", "rate", "steps", "loss", "excess", "interval", "standing"],
            leftColumns: 0)
        for checkpoint in checkpoints {
            for row in checkpoint.rows {
                table.add([
                    "\(checkpoint.start.step)\(checkpoint.mark)", "\(row.batch)",
                    Format.scientific(row.learningRate, digits: 3), "\(row.steps)",
                    row.loss.isFinite ? Format.fixed(row.loss, decimals: 4) : "n/a",
                    row.excess.map { Format.fixed($0.value, decimals: 4) } ?? "n/a",
                    row.intervalText ?? "-", row.standing.rawValue,
                ])
            }
        }
        return table.lines
            + checkpoints.compactMap(\.phaseSentence)
            + checkpoints.flatMap { [$0.criticalSentence, $0.doublingSentence] }
            + efficiencySentences + [warmupSentence]
    }

    /// The sentences about tokens and steps: one for each checkpoint and an explanation of the
    /// critical batches, or one for all checkpoints if the rate decays.
    private var efficiencySentences: [String] {
        let sentences = checkpoints.map(efficiencySentence)
        guard design.decays, case .impossible(let reason)? = checkpoints.first?.efficiency else {
            return sentences + criticalBatchExplanation
        }
        return ["The tokens and steps to one loss are not stated, because \(reason)."]
    }

    /// An explanation of the two critical batches; empty if no checkpoint has both.
    var criticalBatchExplanation: [String] {
        let hasBoth = checkpoints.contains { checkpoint in
            if case .measured(let measured) = checkpoint.efficiency {
                measured.criticalBatch != nil
            } else {
                false
            }
        }
        return hasBoth ? [TokensAndSteps.twoCriticalBatches] : []
    }

    /// Returns a sentence about the tokens and steps to the same loss.
    func efficiencySentence(_ checkpoint: CheckpointBranches) -> String {
        let step = "From step \(Format.count(checkpoint.start.step)): "
        switch checkpoint.efficiency {
        case .measured(let measured): return step + measured.sentence
        case .impossible(let reason):
            return "\(step)the tokens and steps to one loss are not stated, because \(reason)."
        }
    }

    // MARK: - Files

    /// A row for each branch as comma-separated values.
    package var table: String {
        var lines = [
            "checkpoint,batch,repeat,learning_rate,steps,tokens,diverged,"
                + "validation_loss,smoothed_loss,training_loss"
        ]
        for result in results {
            let losses = [result.validationLoss, result.smoothedLoss, result.trainingLoss].map {
                $0.isFinite ? "\($0)" : ""
            }
            lines.append(
                "\(result.point.step),\(result.point.batch),\(result.point.repetition),"
                    + "\(result.learningRate),\(result.steps),\(design.tokens),"
                    + "\(result.hasDiverged),\(losses.joined(separator: ","))")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        [
            "design": .object(design.json), "tokens": .integer(design.tokens),
            "level": .number(CheckpointBranches.level),
            "checkpoints": .array(checkpoints.map { .object($0.json) }),
            "warmup": .array(
                warmup.map {
                    ["batch": .integer($0.batch), "step": $0.step.map(JSONValue.integer) ?? .null]
                }),
            "finding": .string(warmupSentence),
        ]
    }
}

extension CheckpointBranches.Row {
    /// The interval of the excess as text; nil if there is none.
    var intervalText: String? {
        excess?.interval.map {
            "\(Format.fixed($0.lower, decimals: 4)) to \(Format.fixed($0.upper, decimals: 4))"
        }
    }
}

extension CheckpointBranches {
    var json: JSONObject {
        let rows = rows.map { row -> JSONValue in
            [
                "batch": .integer(row.batch), "learning_rate": .number(row.learningRate),
                "steps": .integer(row.steps), "loss": .number(row.loss),
                "losses": .array(row.losses.map(JSONValue.number)),
                "training_loss": .number(row.trainingLoss),
                "excess": row.excess.map { .number($0.value) } ?? .null,
                "interval": Self.json(row.excess), "standing": .string(row.standing.rawValue),
            ]
        }
        return [
            "step": .integer(start.step), "tokens_seen": .integer(tokensSeen),
            "learning_rate": .number(start.learningRate),
            "phase": .string(start.phase.rawValue), "batches": .array(rows),
            "critical_batch": .integer(critical.estimate),
            "critical_batch_least": .integer(critical.least),
            "critical_batch_below": critical.below.map(JSONValue.integer) ?? .null,
            "critical_batch_is_largest_tried": .bool(critical.isLargestTried),
            "doubling": .string(doublingStanding?.rawValue ?? "not tried"),
            "doubling_excess": doubling.map { .number($0.value) } ?? .null,
            "doubling_interval": Self.json(doubling),
            "finding": .string("\(criticalSentence) \(doublingSentence)"),
            "tokens_and_steps": efficiency.json,
        ]
    }

    fileprivate static func json(_ estimate: Estimate?) -> JSONValue {
        estimate?.interval.map { [.number($0.lower), .number($0.upper)] } ?? .null
    }
}

extension TokensAndSteps.Outcome {
    var json: JSONValue {
        switch self {
        case .impossible(let reason): return ["reason": .string(reason)]
        case .measured(let measured):
            let rows = measured.rows.map { row -> JSONValue in
                [
                    "batch": .integer(row.batch), "tokens": .number(row.tokens),
                    "steps": .number(row.steps),
                ]
            }
            return [
                "loss": .number(measured.target), "batches": .array(rows),
                "least_tokens": .number(measured.leastTokens),
                "least_steps": .number(measured.leastSteps),
                "critical_batch": measured.criticalBatch.map { .number($0.value) } ?? .null,
                "interval": CheckpointBranches.json(measured.criticalBatch),
            ]
        }
    }
}
