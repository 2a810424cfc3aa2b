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
    ///   - limits: the sections before the findings.
    func page(title: String, about: String, limits: [Page.Section]) -> Page {
        let tolerance = Format.significant(findings.tolerance, digits: 3)
        return Page(
            title: title,
            subtitle: "\(about) Does the best rate of the smallest model suit the larger ones? It "
                + "transfers to a model if the whole interval of its regret, the loss at this rate "
                + "minus the loss at the model's best rate, is at most \(tolerance) nats.",
            sections: limits + sections)
    }

    /// A section for each batch and comparison, which has all parametrizations.
    private var sections: [Page.Section] {
        var titles: [String] = []
        for title in findings.transfers.map(title) where !titles.contains(title) {
            titles.append(title)
        }
        let comparisons = titles.map { title in
            section(title, findings.transfers.filter { self.title($0) == title })
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
        "Transfer at batch \(transfer.batch), by \(transfer.comparison)"
    }

    private func section(_ title: String, _ transfers: [SizeTransfer]) -> Page.Section {
        let charts =
            transfers.map(lossChart) + (regretChart(transfers).map { [$0] } ?? [])
            + [rateChart(transfers)]
        return Page.Section(
            title,
            items: transfers.map { .verdict(verdict($0)) } + charts.map { .chart($0) }
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

    /// The loss of each model against the rate. The best rates are in line if a rate transfers.
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
        let series = transfers.enumerated().map { index, transfer in
            LineChart.Series(
                transfer.parametrization.label, .points,
                points: transfer.analysis.optima.compactMap { optimum in
                    optimum.optimum.best.map { best in
                        LineChart.Point(
                            Double(optimum.batch), best.rate,
                            interval: best.interval.map { $0.lower...$0.upper })
                    }
                }, color: index + 1)
        }
        let usual = LineChart.Series(
            "usual rates of large models", .points,
            points: Self.usualRates.map { parameters, range in
                LineChart.Point(
                    parameters, (range.lowerBound * range.upperBound).squareRoot(),
                    interval: range)
            }, color: .ink)
        return LineChart(
            title: "Best rate against parameters",
            sentence: "The best rate of each model with its interval, and the rates that are "
                + "usual for AdamW with the standard parametrization at 100 million to 100 billion "
                + "parameters.",
            x: ChartAxis("parameters", scale: .log, style: .count),
            y: ChartAxis("learning rate", scale: .log, style: .scientific),
            series: series + [usual])
    }

    /// The ranges of published rates by the number of parameters.
    private static let usualRates: [(Double, ClosedRange<Double>)] = [
        (1e8, 3e-4...1e-3), (1e9, 1e-4...3e-4), (1e10, 3e-5...1e-4), (1e11, 1e-5...3e-5),
    ]
}
