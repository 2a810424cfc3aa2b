import Glibc
import Report
import Statistics
import Support
import Verdicts

/// The charts of the losses and the best rates.
extension DesignReport {
    // MARK: - Losses

    /// The chart of the loss against the rate: the mean over seeds with their range, and the fitted
    /// valleys.
    var lossChart: LineChart {
        let limits = lossLimits
        let top = limits?.upperBound ?? .infinity
        var series: [LineChart.Series] = []
        var (above, diverged) = (0, 0)
        for optimum in analysis.optima {
            let color = color(ofBatch: optimum.batch)
            let losses = optimum.seeds.flatMap(\.losses.entries)
            above += losses.count { $0.loss > top && $0.loss.isFinite }
            diverged += losses.count { !$0.loss.isFinite }
            series.append(
                LineChart.Series(
                    "B = \(optimum.batch)", .points,
                    points: Self.means(of: optimum) + highRates(of: optimum, above: top),
                    color: color))
            let fit = fit(of: optimum)
            guard !fit.isEmpty else { continue }
            series.append(
                LineChart.Series(
                    "B = \(optimum.batch), fit", points: fit, color: color, isListed: false))
        }
        return LineChart(
            title: "Loss against rate",
            sentence:
                "Validation loss: the mean over seeds with their range, and the fitted valley "
                + "around the best rate."
                + RegretChart.edgeSentence(
                    triangles: .init(
                        above, "the rate of a run above the axis", "runs above the axis",
                        after: "the rates of "),
                    crosses: .init(
                        diverged, "the rate of a run that diverged", "runs that diverged",
                        after: "the rates of ")),
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis("loss, nats per token", limits: limits, marksBeyond: true),
            series: series, height: 340)
    }

    /// The losses of the valleys, with room above them for other rates, and with the whole range
    /// over seeds below them; nil if no loss is finite.
    private var lossLimits: ClosedRange<Double>? {
        guard let valleys = valleyLimits else { return nil }
        let least = analysis.optima.flatMap { Self.means(of: $0) }
            .compactMap { $0.interval?.lowerBound }.min()
        let room = 0.03 * (valleys.upperBound - valleys.lowerBound)
        let bottom = min(valleys.lowerBound, least.map { $0 - room } ?? .infinity)
        return bottom...valleys.upperBound
    }

    /// The losses of the valleys, with room above them; nil if no loss is finite. Batches without a
    /// valley count with the lower part of their losses. Rates far from the best ones have losses
    /// that would make the valleys flat.
    private var valleyLimits: ClosedRange<Double>? {
        let parts = analysis.optima.map { optimum -> [Double] in
            let fit = fit(of: optimum).map(\.y)
            guard fit.isEmpty else { return fit }
            let losses = Self.means(of: optimum).map(\.y).sorted()
            return Array(losses.prefix((losses.count + 1) / 2))
        }.joined()
        guard let least = parts.min(), let most = parts.max(), least < most else { return nil }
        return (least - 0.1 * (most - least))...(most + 0.5 * (most - least))
    }

    /// Returns the mean over seeds at each rate that no seed diverged at.
    static func means(of optimum: BatchOptimum) -> [LineChart.Point] {
        let entries = optimum.seeds.flatMap(\.losses.entries)
        let rates = Set(entries.map(\.logRate)).sorted()
        return rates.compactMap { rate in
            let losses = entries.filter { $0.logRate == rate }.map(\.loss)
            guard let least = losses.min(), let most = losses.max(), most.isFinite else {
                return nil
            }
            return LineChart.Point(
                exp(rate), losses.reduce(0, +) / Double(losses.count), interval: least...most)
        }
    }

    /// Returns a point for each rate at which a run diverged or, while the mean is on the axis, a
    /// run lies above it.
    private func highRates(of optimum: BatchOptimum, above top: Double) -> [LineChart.Point] {
        let entries = optimum.seeds.flatMap(\.losses.entries)
        return Set(entries.map(\.logRate)).sorted().compactMap { rate in
            let losses = entries.filter { $0.logRate == rate }.map(\.loss)
            let mean = losses.reduce(0, +) / Double(losses.count)
            guard let most = losses.max(), most > top, !mean.isFinite || mean <= top else {
                return nil
            }
            return LineChart.Point(exp(rate), most)
        }
    }

    func fit(of optimum: BatchOptimum) -> [LineChart.Point] {
        guard let bounds = optimum.bounds else { return [] }
        return (0...40).compactMap { part in
            let width = bounds.upperBound - bounds.lowerBound
            let logRate = bounds.lowerBound + width * Double(part) / 40
            return optimum.fittedLoss(at: logRate).map { LineChart.Point(exp(logRate), $0) }
        }
    }

    /// The number of columns up to which the cells of a heat map are wide enough.
    private static let mostColumns = 16

    /// The heat map with a row for each batch and a column for each rate of any grid; nil if the
    /// batches have too many different rates.
    var heatMap: HeatMap? {
        let logs = analysis.optima.flatMap { $0.seeds.flatMap { $0.losses.entries.map(\.logRate) } }
        let rates = Set(logs).sorted()
        guard rates.count <= Self.mostColumns else { return nil }
        let rows = analysis.optima.reversed().map { optimum in
            rates.map { rate -> HeatMap.Cell in
                let losses = optimum.seeds.flatMap(\.losses.entries)
                    .filter { $0.logRate == rate }.map(\.loss)
                guard !losses.isEmpty else { return .missing }
                let mean = losses.reduce(0, +) / Double(losses.count)
                return mean.isFinite ? .value(mean) : .diverged
            }
        }
        return HeatMap(
            title: "Loss by batch and rate",
            sentence: "The mean over seeds. The best cell is outlined. A cross marks a rate that "
                + "diverged. Losses far above the valleys have the color of the top of the scale.",
            columns: ("learning rate", rates.map { NumberStyle.scientific.text(exp($0)) }),
            rows: ("batch", analysis.optima.reversed().map { "\($0.batch)" }), cells: rows,
            quantity: ChartAxis("loss, nats per token", limits: valleyLimits))
    }

    // MARK: - Best rates

    var bestRateChart: LineChart {
        let best = LineChart.Series(
            "best rate", .points,
            points: analysis.optima.compactMap { optimum in
                optimum.optimum.best.map { best in
                    LineChart.Point(
                        Double(optimum.batch), best.rate,
                        interval: best.interval.map { $0.lower...$0.upper })
                }
            }, color: .ink)
        let rules = analysis.verdicts.filter { $0.basis == .baseRate }.map { verdict in
            LineChart.Series(
                verdict.name, .dashed,
                points: verdict.regrets.compactMap { regret in
                    regret.rate.map { LineChart.Point(Double(regret.batch), $0) }
                }, color: color(of: verdict))
        }.filter { !$0.points.isEmpty }
        let line = RateLine(analysis, level: level)
        let law = line.map { LineChart.Series($0.name, points: $0.points, color: .ink) }
        return LineChart(
            title: "Best rate against batch",
            sentence: "The best rate of each batch with its interval"
                + lawClause(hasLine: line != nil)
                + (rules.isEmpty
                    ? ""
                    : " Dashed lines are the rates that the rules predict from batch "
                        + "\(baseBatch)."),
            x: batchAxis, y: ChartAxis("learning rate", scale: .log, style: .scientific),
            series: [best] + (law.map { [$0] } ?? []) + rules, height: 320)
    }

    /// Returns the end of the sentence about the best rates.
    ///
    /// - Parameter hasLine: whether the chart has a line for the law of the best rates.
    private func lawClause(hasLine: Bool) -> String {
        let exponent = analysis.exponent
        if exponent.fits { return hasLine ? ", and the power law fitted to them." : "." }
        guard let bend = exponent.bend else { return ". No power law fits them." }
        return ". No power law fits them; the line has one up to batch \(bend.batch) and another "
            + "above it."
    }
}
