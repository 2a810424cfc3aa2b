import Report
import Support

extension Branches {
    /// A page with the critical batch over the training, and the branches of each checkpoint.
    package var page: Page {
        let rate = design.decays ? "a rate that decays to 0" : "a constant rate"
        let times = design.repeats == 1 ? "once" : "\(design.repeats) times on different tokens"
        return Page(
            title: "Branches of \(FileSystem.name(of: design.run))",
            subtitle: "From \(Format.counted(checkpoints.count, "checkpoint")) of a run with batch "
                + "\(design.trunkBatch), branches at other batches with rule "
                + "\(design.rule.rawValue) and \(rate), for \(Format.count(design.tokens)) tokens, "
                + "each \(times).",
            sections: [
                Page.Section(
                    "The local critical batch",
                    items: [.verdict(verdict)]
                        + checkpoints.compactMap(\.phaseSentence).map { .note(.information, $0) }
                        + checkpoints.map { .note(.information, $0.doublingSentence) }
                        + (trainingCheckpoints.isEmpty ? [] : [.chart(criticalChart)])
                        + [.chart(excessChart), .table(criticalTable)]),
                Page.Section("Method", text: method),
            ] + checkpoints.map(section))
    }

    private var verdict: Verdict {
        let isSafe = warmup.contains { $0.step != nil }
        let isRefuted = trainingCheckpoints.last?.doublingStanding.map {
            $0 == .above || $0 == .diverged
        }
        return Verdict(
            isSafe ? .holds : isRefuted == true ? .fails : .undecided, warmupSentence)
    }

    /// An axis of batches.
    private var batchAxis: ChartAxis {
        ChartAxis(
            "batch, sequences", scale: .log, chosen: design.batches.map(Double.init))
    }

    /// The labeled values of an axis of tokens; nil for round numbers if there are many
    /// checkpoints.
    private var checkpointTicks: [Double]? {
        trainingCheckpoints.count > 8 ? nil : trainingCheckpoints.map { Double($0.tokensSeen) }
    }

    private var criticalChart: LineChart {
        let points = trainingCheckpoints.map { checkpoint in
            let critical = checkpoint.critical
            // No bound above is known beyond the largest batch that was tried.
            let above = critical.below ?? design.batches[design.batches.count - 1]
            return LineChart.Point(
                Double(checkpoint.tokensSeen), Double(critical.estimate),
                interval: Double(critical.least)...Double(max(above, critical.estimate)))
        }
        let run = trainingCheckpoints.map {
            LineChart.Point(Double($0.tokensSeen), Double(design.trunkBatch))
        }
        return LineChart(
            title: "Critical batch over the training",
            sentence: "A whisker extends from the largest batch whose interval is within the "
                + "tolerance to the first whose interval is above it, or to the largest tried.",
            x: ChartAxis("tokens trained on", style: .count, chosen: checkpointTicks),
            y: ChartAxis(
                "critical batch, sequences", scale: .log, chosen: design.batches.map(Double.init)),
            series: [
                LineChart.Series("critical batch", .points, points: points),
                LineChart.Series("batch of the run", .dashed, points: run),
            ])
    }

    private var excessChart: LineChart {
        let series = checkpoints.enumerated().map { index, checkpoint in
            LineChart.Series(
                "step \(Format.count(checkpoint.start.step))", .lineAndPoints,
                points: checkpoint.rows.compactMap { row in
                    row.excess.map {
                        LineChart.Point(
                            Double(row.batch), $0.value,
                            interval: $0.interval.map { $0.lower...$0.upper })
                    }
                }, color: index)
        }
        let tolerance = LineChart.Series(
            "tolerance", .dashed,
            points: design.batches.map { LineChart.Point(Double($0), design.tolerance) },
            color: .ink)
        return LineChart(
            title: "Loss compared with the smallest batch",
            sentence: "After the same tokens. A band is the interval of the difference at "
                + "\(CheckpointBranches.levelText).",
            x: batchAxis, y: ChartAxis("loss above that of the smallest batch, nats"),
            series: series + [tolerance])
    }

    private var criticalTable: Table {
        Table(
            columns: [
                .init("step"), .init("tokens"), .init("rate"), .init("critical batch"),
                .init("at least"), .init("below"), .init("doubling", .left),
            ],
            rows: checkpoints.map { checkpoint in
                let critical = checkpoint.critical
                return .init([
                    Format.count(checkpoint.start.step) + checkpoint.mark,
                    NumberStyle.count.text(Double(checkpoint.tokensSeen)),
                    NumberStyle.scientific.text(checkpoint.start.learningRate),
                    critical.isLargestTried
                        ? "\(critical.estimate) or more" : "\(critical.estimate)",
                    "\(critical.least)", critical.below.map { "\($0)" } ?? "unknown",
                    checkpoint.doublingStanding?.verdict ?? "not tried",
                ])
            })
    }

    private var method: [String] {
        let noise =
            design.repeats > 1
            ? "The branches of one repeat use the same tokens in the same order at every batch, so "
                + "the effects of these tokens cancel out of their differences. The intervals are "
                + "Student's, from the residuals of loss = batch + repeat + noise, with the same "
                + "noise at every batch."
            : "Every branch was trained once, so the noise between branches is unknown and no "
                + "verdict is certain."
        let comparison =
            design.decays
            ? "The rate of each branch decays to 0, so the validation loss at its end does not "
                + "contain the noise of a constant rate."
            : "The compared loss is the mean of the last three points of the curves below, because "
                + "the loss jitters under a constant rate. A larger batch jitters less, so it can "
                + "end with a lower loss although it has made less progress; --decay compares "
                + "branches without this effect."
        return [
            "The local critical batch is the largest batch with which a branch of a checkpoint "
                + "ends at most \(Format.significant(design.tolerance, digits: 3)) nats above the "
                + "branch with the smallest batch (Merrill et al. 2025, arXiv 2505.23971). Each "
                + "branch starts from the parameters and moments of the checkpoint.",
            noise, comparison,
            "A batch can fail because of its rate: a verdict holds for rule "
                + "\(design.rule.rawValue) only.",
        ] + criticalBatchExplanation
    }

    // MARK: - Checkpoints

    private func section(_ checkpoint: CheckpointBranches) -> Page.Section {
        let step = Format.count(checkpoint.start.step)
        var items: [Page.Item] = [
            .table(table(of: checkpoint)), .chart(curveChart(checkpoint, step: step)),
        ]
        if case .measured(let measured) = checkpoint.efficiency {
            items.append(.chart(efficiencyChart(measured, step: step)))
        }
        return Page.Section(
            "From step \(step)",
            text: [checkpoint.criticalSentence, efficiencySentence(checkpoint)], items: items)
    }

    private func table(of checkpoint: CheckpointBranches) -> Table {
        Table(
            columns: [
                .init("batch"), .init("rate"), .init("steps"), .init("loss"), .init("excess"),
                .init("interval"), .init("training loss"), .init("standing", .left),
            ],
            rows: checkpoint.rows.map { row in
                .init(
                    [
                        Format.count(row.batch), NumberStyle.scientific.text(row.learningRate),
                        Format.count(row.steps),
                        row.loss.isFinite ? Format.fixed(row.loss, decimals: 4) : "n/a",
                        row.excess.map { Format.fixed($0.value, decimals: 4) } ?? "n/a",
                        row.intervalText ?? "none",
                        row.trainingLoss.isFinite
                            ? Format.fixed(row.trainingLoss, decimals: 4) : "n/a",
                        row.standing.rawValue,
                    ], isEmphasized: row.batch == checkpoint.critical.estimate)
            })
    }

    private func curveChart(_ checkpoint: CheckpointBranches, step: String) -> LineChart {
        let series = design.batches.enumerated().map { index, batch in
            let group = results.filter {
                $0.point.step == checkpoint.start.step && $0.point.batch == batch
            }
            let count = group.map(\.curve.count).min() ?? 0
            return LineChart.Series(
                "batch \(batch)", .lineAndPoints,
                points: (0..<count).map { mark in
                    let losses = group.map { $0.curve[mark].loss }
                    return LineChart.Point(
                        Double(group[0].curve[mark].tokens),
                        losses.reduce(0, +) / Double(losses.count))
                }, color: .ordered(index, of: design.batches.count))
        }
        return LineChart(
            title: "Validation loss after step \(step)",
            sentence: "The mean over repeats, on the first windows of the validation set.",
            x: ChartAxis("tokens since the checkpoint", style: .count),
            y: ChartAxis("loss, nats per token"), series: series)
    }

    private func efficiencyChart(_ measured: TokensAndSteps, step: String) -> LineChart {
        let points = measured.rows.sorted { $0.steps < $1.steps }
        let batches = [measured.rows[0], measured.rows[measured.rows.count - 1]].map {
            Double($0.batch)
        }
        let length = Double(design.contextLength)
        // E = Emin + B Smin, with S = E / B.
        let fit = stride(from: 0.0, through: 1, by: 0.05).map { part -> LineChart.Point in
            let batch = batches[0] + part * (batches[1] - batches[0])
            let tokens = measured.leastTokens + batch * measured.leastSteps * length
            return LineChart.Point(tokens / (batch * length), tokens)
        }.sorted { $0.x < $1.x }
        return LineChart(
            title: "Tokens against steps to the loss \(Format.fixed(measured.target, decimals: 4))",
            sentence:
                "One point for each batch; a larger batch needs fewer steps. The fit is a line in "
                + "the batch: tokens = Emin + batch x Smin, with the batch in tokens.",
            x: ChartAxis("steps after step \(step)", scale: .log),
            y: ChartAxis("tokens", style: .count, fromZero: true),
            series: [
                LineChart.Series(
                    "branches", .points, points: points.map { LineChart.Point($0.steps, $0.tokens) }
                ),
                LineChart.Series("fit", .dashed, points: fit),
            ])
    }
}

extension CheckpointBranches.Standing {
    /// The standing as a verdict on doubling the batch.
    fileprivate var verdict: String {
        switch self {
        case .within, .reference: "safe"
        case .above, .diverged: "not safe"
        case .undecided: "undecided"
        }
    }
}
