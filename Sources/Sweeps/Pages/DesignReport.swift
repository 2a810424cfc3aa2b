import Report
import Support
import Verdicts

/// The part of a page about the analysis of runs by one design.
struct DesignReport {
    let analysis: DesignAnalysis
    let baseBatch: Int
    let tolerance: Double
    let level: Double

    init(_ design: DesignAnalysis, analysis: Analysis) {
        self.analysis = design
        baseBatch = analysis.baseBatch
        tolerance = analysis.tolerance
        level = analysis.level
    }

    /// The charts, then the verdicts in the terms of the analysis, then the tables.
    var section: Page.Section {
        let charts =
            (analysis.hasOneBatch ? [] : ruleCharts) + [bestRateChart, lossChart]
            + (analysis.repeatsTargets ? [] : targetCharts)
        return Page.Section(
            "By \(analysis.design.name)",
            items: charts.map { .chart($0) } + (heatMap.map { [.chart($0)] } ?? [])
                + (analysis.hasOneBatch
                    ? [.table(analysis.optimaTable)]
                    : [.table(verdictTable)] + notes + [
                        .table(analysis.optimaTable), .table(analysis.regretTableByBatch),
                    ] + laws)
                + [.table(analysis.sensitivityTable)] + targets)
    }

    private var ruleCharts: [LineChart] { (regretChart.map { [$0] } ?? []) + collapseCharts }

    var batchAxis: ChartAxis {
        ChartAxis("batch, sequences", scale: .log, chosen: analysis.optima.map { Double($0.batch) })
    }

    /// Returns the color of a batch.
    func color(ofBatch batch: Int) -> SeriesColor {
        let index = analysis.optima.firstIndex { $0.batch == batch } ?? 0
        return .ordered(index, of: analysis.optima.count)
    }

    /// Returns the color of a rule, which is the same on every page for the common rules.
    func color(of verdict: RuleVerdict) -> SeriesColor {
        if let common = CommonRule(rawValue: verdict.rule) { return .palette(common.paletteIndex) }
        let others = analysis.verdicts.filter { CommonRule(rawValue: $0.rule) == nil }
        let index = others.firstIndex { $0.name == verdict.name } ?? 0
        return .palette([1, 2, 5][index % 3] + 6 * (index / 3))
    }

    // MARK: - Verdicts

    /// The verdicts with the reasons why a batch is undecided.
    private var verdictTable: Table {
        Table(
            caption: "Verdicts", columns: [.init("rule", .left), .init("verdict", .left)],
            rows: analysis.verdicts.map { verdict in
                let sentence = verdict.sentence
                let start = verdict.name + " "
                return .init([
                    verdict.name,
                    sentence.hasPrefix(start) ? String(sentence.dropFirst(start.count)) : sentence,
                ])
            })
    }

    /// The best guess, the runs that would decide more, and the law of the best rates.
    private var notes: [Page.Item] {
        let sentences = [
            analysis.bestGuess, analysis.nextRuns?.sentence ?? analysis.settledSentence,
            analysis.exponentSentence,
            analysis.trainedElsewhere,
        ].compactMap(\.self)
        return sentences.isEmpty ? [] : [.note(.information, sentences.joined(separator: " "))]
    }

    /// The table of the laws, and notes on the laws that it lacks.
    private var laws: [Page.Item] {
        (analysis.lawTable.rows.isEmpty ? [] : [.table(analysis.lawTable)])
            + [analysis.lawSentence, analysis.refusedLaws].compactMap {
                $0.map { .note(.information, $0) }
            }
    }

    private var targets: [Page.Item] {
        guard !analysis.repeatsTargets else {
            return [.note(.information, DesignAnalysis.sameTargets)]
        }
        return analysis.targets.flatMap { target in
            [.table(target.table), .note(.information, target.sentences.joined(separator: " "))]
        }
    }
}

extension CommonRule {
    /// The place of the rule's color in the palette; the other rules have the places between.
    fileprivate var paletteIndex: Int {
        switch self {
        case .squareRoot: 0
        case .linear: 3
        case .unchanged: 4
        }
    }
}
