import Foundation
import Statistics
import Sweeps
import Testing

/// Losses that rise otherwise on one side of the best rate than on the other, or hardly at all near
/// it: a parabola's vertex is then off for all seeds alike, which no interval over seeds shows.
@Suite("Valleys that are no parabola")
struct NoParabolaTests {
    /// The sweeps of some repetitions, whose grids lie otherwise to the best rates, proportional to
    /// the batch's square root.
    private func sweeps(
        _ valley: @escaping (Double) -> Double, noise: Double = 0.003
    ) throws -> [(best: (Int) -> Double, analysis: DesignAnalysis)] {
        try (UInt64(0)..<40).map { repetition in
            let base = 1e-3 * pow(2, Double(repetition % 8) / 8)
            let best = { (batch: Int) in base * (Double(batch) / 8).squareRoot() }
            var sweep = PlantedSweep(batches: [8, 16, 32, 64], seeds: 3)
            (sweep.valley, sweep.bestRate) = (valley, best)
            (sweep.lossNoise, sweep.rateNoise) = (noise, 0.03)
            return (best, try sweep.analysis(noise: 900 + repetition))
        }
    }

    @Test(
        "the exponent's interval holds the truth, and no rule holds far beyond the tolerance",
        arguments: [0.15, 0.3])
    func unlikeSides(above: Double) throws {
        let sweeps = try sweeps { $0 < 0 ? 0.05 * $0 * $0 : above * $0 * $0 }
        let intervals = sweeps.compactMap(\.analysis.exponent.exponent?.interval)
        #expect(intervals.count >= 30)
        let held = intervals.count { $0.contains(0.5) }
        // A vertex 15 % off and seeds alike gave 32 of 40, and 49 of 60.
        #expect(Double(held) >= 0.95 * Double(intervals.count), "\(held) of \(intervals.count)")
        // Linear's regret at 16: above (ln(2) / 2)^2, .018 and .036.
        let wrong = try sweeps.count { try $0.analysis.verdict("linear").reachBeyondBase != nil }
        #expect(wrong <= 2, "\(wrong) of 40")
    }

    @Test("a best rate's interval holds the truth far more often than the seeds' own does")
    func bestRates() throws {
        var found = 0
        var held = 0
        for (best, analysis) in try sweeps({ $0 < 0 ? 0.05 * $0 * $0 : 0.15 * $0 * $0 }) {
            for optimum in analysis.optima {
                guard let interval = optimum.optimum.best?.interval else { continue }
                found += 1
                if interval.contains(best(optimum.batch)) { held += 1 }
            }
        }
        // 19 of 160 by the seeds alone. Not 95 %: how far a vertex is off cannot be known from it.
        #expect(found >= 120 && Double(held) >= 0.5 * Double(found), "\(held) of \(found)")
    }

    @Test("a wide floor widens the interval to the rates that are as good")
    func wideFloor() throws {
        let floor = 0.8
        var widths: [Double] = []
        for (_, analysis) in try sweeps(
            { u in
                let beyond = max(0, abs(u) - floor)
                return 0.3 * beyond * beyond
            }, noise: 0.001)
        {
            widths += analysis.optima.compactMap { optimum in
                optimum.optimum.best?.interval.map { log($0.upper / $0.lower) }
            }
        }
        #expect(widths.count >= 40)
        // By the seeds' best rates alone they are some .1 wide, where 1.6 are alike.
        let median = widths.sorted()[widths.count / 2]
        #expect(median > 0.4, "\(median)")
    }

    /// Three rates so close to one another hardly curve in this noise: more of them must be looked at.
    @Test("a finer grid does not hide what a coarser one shows", arguments: [1.0, 0.5])
    func finerGrids(spacing: Double) throws {
        let found = try (UInt64(0)..<40).count { repetition in
            var sweep = PlantedSweep(batches: [8], seeds: 6)
            sweep.rates = (0..<Int(10 / spacing)).map { 1e-4 * pow(2, spacing * Double($0)) }
            sweep.valley = { $0 < 0 ? 0.03 * $0 * $0 : 0.06 * $0 * $0 }
            (sweep.lossNoise, sweep.rateNoise) = (0.008, 0.05)
            return try sweep.analysis(noise: 700 + repetition).optima[0].optimum.best != nil
        }
        #expect(found >= 36, "\(found) of 40")
    }

    @Test("where all losses are one, the batch is flat")
    func constant() throws {
        let sweep = PlantedSweep(batches: [8], curvature: 0, lossNoise: 0, rateNoise: 0)
        #expect(try sweep.analysis().optima[0].optimum == .flat)
    }

    @Test("a loss above the initial one counts as that")
    func capped() throws {
        var points = PlantedSweep(batches: [8, 16]).points()
        let highest = try #require(points.map(\.learningRate).max())
        points = points.map { point in
            guard point.learningRate == highest else { return point }
            return .planted(batch: point.batch, rate: highest, seed: point.seed, loss: 1e6)
        }
        let rule = ScalingRule("to the highest") { base, _ in highest }
        var settings = AnalysisSettings(rules: [rule])
        settings.designs = [PlantedSweep.design]
        let regret = try Analysis(points, settings: settings).designs[0].verdicts[0].regrets[0]
        guard case .measured(let estimate, _) = regret.outcome else {
            Issue.record("\(regret)")
            return
        }
        #expect(estimate.value < 2, "\(estimate)")
    }
}
