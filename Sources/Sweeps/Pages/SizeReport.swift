import Recipes
import Report
import Support
import Verdicts

/// The sections of a page about the transfer of rates to larger models.
struct SizeReport {
    let findings: SizeFindings

    /// Returns a page about the findings.
    ///
    /// - Parameters:
    ///   - about: a sentence about the runs.
    ///   - limits: the limits of the runs. Warnings follow the answer, and the others the findings.
    ///   - confounds: the properties of the runs that a comparison would mistake for an effect of
    ///     the size.
    func page(
        title: String, about: String, limits: [Page.Item], confounds: [Page.Item] = []
    ) -> Page {
        let tolerance = Format.significant(findings.tolerance, digits: 3)
        let warnings = limits.filter(Self.isWarning)
        let others = limits.filter { !Self.isWarning($0) }
        return Page(
            title: title,
            subtitle: "\(about) Does the best rate of the smallest model suit the larger ones? It "
                + "transfers to a model if the whole interval of its regret, the loss at this rate "
                + "minus the loss at the model's best rate, is at most \(tolerance) nats.",
            sections: [Page.Section("Answer", items: answers + gaps + warnings)] + sections
                + (others.isEmpty ? [] : [Page.Section("Limits", items: others)])
                + (confounds.isEmpty ? [] : [Page.Section("Confounds", items: confounds)]))
    }

    /// The models without an answer.
    private var gaps: [Page.Item] { findings.gaps.map { .note(.information, $0) } }

    private static func isWarning(_ item: Page.Item) -> Bool {
        if case .note(.warning, _) = item { true } else { false }
    }

    /// The answers of each parametrization. Batches and comparisons with the same finding share an
    /// answer.
    private var answers: [Page.Item] {
        var groups: [(answer: SizeAnswer, transfers: [SizeTransfer])] = []
        for transfer in findings.distinctTransfers {
            let answer = SizeAnswer(transfer.analysis)
            let place = groups.firstIndex {
                $0.answer.finding == answer.finding && $0.answer.kind == answer.kind
                    && $0.transfers[0].parametrization == transfer.parametrization
            }
            if let place {
                groups[place].transfers.append(transfer)
            } else {
                groups.append((answer, [transfer]))
            }
        }
        return groups.map { answer, transfers in
            let name = transfers[0].parametrization
            let all = findings.distinctTransfers.filter { $0.parametrization == name }
            // The finding of all comparisons does not name them.
            let places =
                all.count == transfers.count
                ? ""
                : " " + Format.list(transfers.map { "at batch \($0.batch) by \($0.comparisons)" })
            let isOnly = Set(findings.transfers.map(\.parametrization)).count == 1
            let start = isOnly && name.name.isEmpty ? "" : "with \(name.title)"
            let context = (start + places).trimmingPrefix(" ")
            let finding =
                context.isEmpty
                ? answer.finding : sentence(answer.finding, in: String(context))
            let first =
                transfers.count > 1 && transfers.contains { SizeAnswer($0.analysis) != answer }
                ? "At batch \(transfers[0].batch) by \(transfers[0].comparisons): " : ""
            return .verdict(Verdict(answer.kind, finding, text: first + answer.outlook))
        }
    }

    /// A section for each batch and comparison, which has all parametrizations.
    private var sections: [Page.Section] {
        var titles: [String] = []
        let transfers = findings.distinctTransfers
        for title in transfers.map(title) where !titles.contains(title) {
            titles.append(title)
        }
        let comparisons = titles.map { title in
            section(title, transfers.filter { self.title($0) == title })
        }
        guard !findings.fits.isEmpty else { return comparisons }
        return comparisons + [
            Page.Section(
                "Joint fits",
                items: findings.fits.map { parametrization, fit in
                    .note(.information, "With \(parametrization.title): \(fit.sentence)")
                })
        ]
    }

    private func title(_ transfer: SizeTransfer) -> String {
        "Transfer at batch \(transfer.batch), by \(transfer.comparisons)"
    }

    private func section(_ title: String, _ transfers: [SizeTransfer]) -> Page.Section {
        let charts =
            [rateChart(transfers)] + (regretChart(transfers).map { [$0] } ?? [])
            + transfers.map(lossChart)
        return Page.Section(
            title,
            items: charts.map { .chart($0) } + transfers.map { .verdict(verdict($0)) }
                + transfers.map { .table(table($0)) })
    }

    private func verdict(_ transfer: SizeTransfer) -> Verdict {
        let verdict = transfer.analysis.verdict
        let kind: Verdict.Kind =
            verdict.failsFrom != nil
            ? .fails : verdict.undecided.isEmpty && verdict.holdsUpTo != nil ? .holds : .undecided
        return Verdict(
            kind, "With \(transfer.parametrization.title), \(transfer.analysis.sentence)",
            text: transfer.analysis.details.joined(separator: " "))
    }

    private func table(_ transfer: SizeTransfer) -> Table {
        var table = transfer.analysis.table
        table.caption = "Best rates and regrets with \(transfer.parametrization.title)"
        return table
    }

    // MARK: - Charts

    /// Returns a chart of each model's loss against the rate. The best rates are in line if a rate
    /// transfers.
    private func lossChart(_ transfer: SizeTransfer) -> LineChart {
        let analysis = transfer.analysis
        let series = zip(analysis.models, analysis.optima).enumerated().map { index, pair in
            LineChart.Series(
                pair.0.name, .lineAndPoints, points: Self.losses(of: pair.1),
                color: .ordered(index, of: analysis.models.count))
        }
        let best = analysis.optima.compactMap(\.optimum.best)
        let markers = best.first.map {
            [LineChart.Marker($0.rate, "best for \(analysis.models[0].name)")]
        }
        return LineChart(
            title: "Loss against rate with \(transfer.parametrization.title)",
            sentence: "The mean over seeds. Losses far above the best ones are cut off, and rates "
                + "that diverged are left out.",
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis("loss, nats per token", limits: lossLimits), series: series,
            markers: markers ?? [], height: 320)
    }

    /// Losses from just below the best one to above every model's valley, the same for all charts.
    private var lossLimits: ClosedRange<Double>? {
        let losses = findings.transfers.flatMap { transfer in
            transfer.analysis.optima.compactMap { Self.losses(of: $0).map(\.y).min() }
        }
        guard let least = losses.min(), let most = losses.max() else { return nil }
        let height = max(most - least, 0.1)
        return (least - 0.1 * height)...(most + 0.8 * height)
    }

    private static func losses(of optimum: BatchOptimum) -> [LineChart.Point] {
        // The range over seeds would hide the other sizes.
        DesignReport.means(of: optimum).map { LineChart.Point($0.x, $0.y) }
    }

    private func parameterAxis(_ transfers: [SizeTransfer]) -> ChartAxis {
        ChartAxis(
            "parameters outside embeddings and head", scale: .log, style: .count,
            chosen: transfers.first?.analysis.models.map { Double($0.parameters) })
    }

    private func regretChart(_ transfers: [SizeTransfer]) -> LineChart? {
        RegretChart(
            title: "Cost of keeping the smallest model's rate",
            sentence: "The loss at the smallest model's best rate minus that at the model's own, "
                + "with its interval. The rate transfers where the whole interval lies in the gray "
                + "band.",
            x: parameterAxis(transfers),
            lines: transfers.enumerated().map { index, transfer in
                RegretChart.Line(
                    name: transfer.parametrization.label,
                    regrets: transfer.analysis.verdict.regrets, color: .palette(index + 1),
                    base: transfer.analysis.models[0].parameters)
            }, tolerance: findings.tolerance
        ).chart
    }

    private func rateChart(_ transfers: [SizeTransfer]) -> LineChart {
        let series = transfers.enumerated().flatMap { index, transfer in
            let best = LineChart.Series(
                transfer.parametrization.label, .points,
                points: transfer.analysis.optima.compactMap { optimum in
                    optimum.optimum.best.map { best in
                        LineChart.Point(
                            Double(optimum.batch), best.rate,
                            interval: best.interval.map { $0.lower...$0.upper })
                    }
                }, color: index + 1)
            let law = RateLine(transfer.analysis, level: findings.level).map { line in
                LineChart.Series(
                    transfers.count > 1
                        ? "\(transfer.parametrization.label), \(line.name)" : line.name,
                    points: line.points, color: index + 1)
            }
            return [best] + (law.map { [$0] } ?? [])
        }
        let hasLine = series.count > transfers.count
        let published = LineChart.Series(
            "GPT-3", .points, points: Self.publishedRates.map { LineChart.Point($0, $1) },
            color: .ink)
        let typical = LineChart.Series(
            "typical range", .points,
            points: TypicalRates.guide.map { guide in
                let (lower, upper) = (guide.rates.lowerBound, guide.rates.upperBound)
                return LineChart.Point(
                    guide.parameters, (lower * upper).squareRoot(), interval: lower...upper)
            }, color: 0)
        return LineChart(
            title: "Best rate against parameters",
            sentence:
                "The best rate of each model with its interval\(hasLine ? Self.lineClause : "")"
                + ". Black points are the rates of the GPT-3 models, whose batch grew with the "
                + "size, by all their parameters (Brown et al. 2020, table 2.1). A typical range is "
                + "a rough guide to published rates.",
            x: ChartAxis("parameters", scale: .log, style: .count),
            y: ChartAxis("learning rate", scale: .log, style: .scientific),
            series: series + [typical, published])
    }

    private static let lineClause =
        ", and the power of the number of parameters N that was fitted to them, with its interval"

    /// The learning rates of the models of GPT-3 by their number of parameters (Brown et al. 2020,
    /// 2005.14165, table 2.1).
    private static let publishedRates: [(Double, Double)] = [
        (125e6, 6e-4), (350e6, 3e-4), (760e6, 2.5e-4), (1.3e9, 2e-4), (2.7e9, 1.6e-4),
        (6.7e9, 1.2e-4), (13e9, 1e-4), (175e9, 0.6e-4),
    ]
}
