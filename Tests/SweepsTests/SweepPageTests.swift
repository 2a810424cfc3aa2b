import Foundation
import Report
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the charts of a sweep's page, from their specifications.
@Suite struct SweepPageTests {
    private typealias Row = [String: Any]

    /// A chart as the page describes it.
    private struct Drawing {
        let title: String
        let sentence: String
        private let specification: Row

        init(_ chart: Chart) throws {
            (title, sentence) = (chart.title, chart.sentence)
            let text = Data(chart.specification.text.utf8)
            specification = try #require(try JSONSerialization.jsonObject(with: text) as? Row)
        }

        func slot(_ name: String, in list: String) throws -> Row {
            let slots = try #require(specification[list] as? [Row])
            return try #require(slots.first { $0["name"] as? String == name })
        }

        func rows(_ name: String) throws -> [Row] {
            try #require(try slot(name, in: "data")["values"] as? [Row])
        }

        /// Returns the points of the first series whose name begins with a text.
        func points(_ start: String) throws -> [Row] {
            let series = try rows("series")
            let index = try #require(
                series.firstIndex { ($0["name"] as? String)?.hasPrefix(start) ?? false },
                "\(series)")
            return try rows("points").filter { $0["s"] as? Int == index }
        }

        /// The colors of the series by name.
        var colors: [String: [String: Double]] {
            get throws {
                try rows("series").reduce(into: [:]) { colors, row in
                    colors[row["name"] as? String ?? ""] = row["color"] as? [String: Double]
                }
            }
        }
    }

    /// Returns the charts of the page about runs, in the section of their first design.
    private func drawings(
        _ points: [TrainedPoint], _ request: RunTableRequest = RunTableRequest()
    ) throws -> [Drawing] {
        let folder = try TemporaryFolder()
        let path = try folder.write("runs.csv", points.csv)
        return try charts(try RunTable(reading: path).report(request))
    }

    private func charts(_ page: Page) throws -> [Drawing] {
        try page.sections.prefix(2).flatMap(\.items).compactMap { item in
            if case .chart(let chart) = item { try Drawing(chart) } else { nil }
        }
    }

    private func chart(_ title: String, _ charts: [Drawing]) throws -> Drawing {
        try #require(charts.first { $0.title == title }, "\(charts.map(\.title))")
    }

    private var steps: RunTableRequest {
        var request = RunTableRequest()
        request.steps = [PlantedSweep.steps]
        return request
    }

    @Test("the first section has an answer for each design, and a map of its verdicts")
    func answer() throws {
        let path = "\(Launch.root)/launch/recipes/studies/king-james-adamw.csv"
        var request = RunTableRequest()
        (request.tokens, request.steps) = ([1_048_576], [256])
        let page = try RunTable(reading: path).report(request)
        let first = try #require(page.sections.first)
        let headlines = first.items.compactMap { item -> String? in
            if case .verdict(let verdict) = item { verdict.headline } else { nil }
        }
        try #require(headlines.count == 2)
        #expect(headlines[0].hasPrefix("After 1,048,576 tokens, "), "\(headlines)")
        #expect(headlines[0].contains("; the unchanged rate is too low from batch 4"))
        #expect(headlines[1].hasPrefix("After 256 steps, "), "\(headlines)")
        #expect(page.subtitle == "426 runs with 6 batches from 1 to 32 sequences and 6 seeds.")
        let maps = try charts(page).filter { $0.title.hasPrefix("Verdicts by equal ") }
        #expect(maps.count == 2)
        let cells = try maps[0].rows("cells")
        let linear = cells.filter { $0["row"] as? Int == 2 }
        // Nothing is tested at the base batch.
        #expect(linear.first?["verdict"] as? String == "base")
        #expect(cells.count { $0["verdict"] as? String == "base" } == 4)
        #expect(linear.last?["verdict"] as? String == "fails")
        // adam-sde was trained up to batch 8.
        #expect(cells.last?["verdict"] is NSNull)
    }

    @Test("runs that diverge or burst are marked at the edge, and valleys stay visible")
    func edges() throws {
        var sweep = PlantedSweep(lossNoise: 0.001, rateNoise: 0.02)
        sweep.diverges = { rate, batch in batch == 8 && rate > 0.1 }
        var points = sweep.points()
        let burst = try #require(
            points.firstIndex { $0.batch == 128 && $0.learningRate == 3.2e-3 && $0.seed == 2 })
        points[burst] = .planted(batch: 128, rate: 3.2e-3, seed: 2, loss: 3.9)
        let losses = try chart("Loss against rate", drawings(points, steps))
        let axis = try #require(try losses.slot("yAxis", in: "signals")["value"] as? Row)
        let domain = try #require(axis["domain"] as? [Double])
        // The valleys are 0.1 nats deep one e-fold from the best rate, and losses reach 6.
        #expect(domain[0] > 2.3 && domain[1] < 3.2, "\(domain)")
        let marks = try losses.rows("points").filter { $0["beyond"] != nil }
        let crosses = marks.filter { $0["beyond"] as? String == "diverged" }
        let rates = crosses.compactMap { $0["x"] as? Double }
        #expect(rates.count == 2 && abs(rates[0] / 0.1024 - 1) < 1e-9, "\(rates)")
        #expect(losses.sentence.contains("crosses mark the rates of 8 runs that diverged"))
        let above = points.count {
            !$0.diverged && ($0.curve.last?.validationLoss ?? 0) > domain[1]
        }
        #expect(losses.sentence.contains("the rates of \(above) runs above the axis"))
        #expect(
            marks.contains { mark in
                let rate = mark["x"] as? Double ?? 1
                return mark["beyond"] as? String == "above" && abs(rate / 3.2e-3 - 1) < 1e-9
            }, "\(marks)")
    }

    @Test("an interval without an upper end is open, and a cost that was not measured is a gap")
    func openIntervals() throws {
        // The linear rule's rate at 64, 8e-3, lies above the grid.
        let sweep = PlantedSweep(rates: (0..<7).map { 1e-4 * Double(1 << $0) }, rateNoise: 0.03)
        let chart = try chart("Regret against batch", drawings(sweep.points(), steps))
        let linear = try chart.points("linear")
        #expect(linear.compactMap { $0["x"] as? Double } == [8, 16, 32, 64, 128])
        let (known, gap) = (linear[1], linear[3])
        let lower = try #require(known["lower"] as? Double)
        let upper = try #require(known["upper"] as? Double)
        let value = try #require(known["y"] as? Double)
        #expect(lower < value && value < upper)
        #expect(gap["y"] is NSNull && gap["upper"] is NSNull)
        #expect(try #require(gap["lower"] as? Double) > 0)
        for sentence in ["An arrow begins at the lower end of ", "A line has a gap where "] {
            #expect(chart.sentence.contains(sentence), "\(chart.sentence)")
        }
        // One seed gives no interval, except that a rule changes nothing at the base.
        var single = sweep
        single.seeds = 1
        let alone = try self.chart("Regret against batch", drawings(single.points(), steps))
        let points = try alone.points("sqrt")
        #expect(points[0]["upper"] as? Double == 0)
        #expect(points.dropFirst().allSatisfy { $0["lower"] == nil })
    }

    @Test("the costs of several parametrizations have intervals, and the usual names")
    func parametrizations() throws {
        let path = "\(Launch.root)/launch/recipes/studies/king-james-width.csv"
        let charts = try charts(try RunTable(reading: path).report(RunTableRequest()))
        let costs = try chart("Cost of keeping the smallest model's rate", charts)
        let names = try costs.rows("series").compactMap { $0["name"] as? String }
        #expect(names == ["tolerance", "standard", "muP"])
        for point in try costs.points("muP").dropFirst() {
            let lower = try #require(point["lower"] as? Double)
            let upper = try #require(point["upper"] as? Double)
            // The rate transfers.
            #expect(lower >= 0 && upper > lower && upper <= 0.01)
        }
        #expect(costs.sentence.contains("At the top edge, a triangle marks a greater cost."))
        let rates = try chart("Best rate against parameters", charts)
        let legend = try rates.rows("series").compactMap { $0["name"] as? String }
        #expect(
            legend == [
                "standard", "standard, fit, N^-0.33", "muP", "muP, fit, N^-0.01",
                "typical range", "GPT-3",
            ])
        let band = try rates.points("muP, fit, N^-0.01")
        #expect(band.count == 33)
        for point in band {
            let ends = try (
                #require(point["lower"] as? Double), #require(point["upper"] as? Double)
            )
            #expect(ends.0 < 2e-3 && ends.1 > 1.7e-3 && ends.1 / ends.0 < 1.6, "\(ends)")
        }
        #expect(rates.sentence.contains("(Brown et al. 2020, table 2.1)"))
        let published = try rates.points("GPT-3")
        #expect(published.count == 8 && published[0]["y"] as? Double == 6e-4)
        let typical = try rates.points("typical range")
        #expect(typical.compactMap { $0["lower"] as? Double } == [3e-4, 1e-4, 3e-5, 1e-5])
        #expect(typical.compactMap { $0["upper"] as? Double } == [1e-3, 3e-4, 1e-4, 3e-5])
    }

    @Test("the band of the fitted law contains the planted rates, and narrows with less noise")
    func band() throws {
        func widths(_ noise: Double) throws -> [Double] {
            let sweep = PlantedSweep(lossNoise: 0.001, rateNoise: noise)
            let chart = try chart("Best rate against batch", drawings(sweep.points(), steps))
            let law = try chart.points("fit, B^0.5")
            return try law.map { point in
                let batch = try #require(point["x"] as? Double)
                let lower = try #require(point["lower"] as? Double)
                let upper = try #require(point["upper"] as? Double)
                let planted = 1e-3 * (batch / 8).squareRoot()
                #expect(lower < planted && planted < upper, "\(batch)")
                return log(upper / lower)
            }
        }
        let (wide, narrow) = try (widths(0.2), widths(0.05))
        #expect(zip(wide, narrow).allSatisfy { $0 > $1 })
        // The ends of a line are less certain than its center.
        #expect(wide[0] > wide[16] && wide[32] > wide[16])
    }

    @Test("no law is drawn if no power law fits, and a break if one does")
    func bend() throws {
        let sweep = PlantedSweep(
            bestRate: { 1e-3 * Double(min($0, 32)) / 8 }, lossNoise: 0.001, rateNoise: 0.02)
        let charts = try drawings(sweep.points(), steps)
        let law = try chart("Best rate against batch", charts).points("fit, B^")
        #expect(law.allSatisfy { $0["lower"] == nil })
        let (first, last) = (law[0]["y"] as? Double ?? 0, law[law.count - 1]["y"] as? Double ?? 0)
        #expect(abs(first / 1e-3 - 1) < 0.1 && abs(last / 4e-3 - 1) < 0.1, "\(first), \(last)")
    }

    @Test("where a rule is true, the valleys of all batches have their bottoms at its rate")
    func collapse() throws {
        let sweep = PlantedSweep(lossNoise: 0.001, rateNoise: 0.02)
        let charts = try drawings(sweep.points(), steps)
        func bottoms(_ rule: String) throws -> [Double] {
            let chart = try chart("Loss above the best, by the rate relative to \(rule)", charts)
            return try sweep.batches.map { batch in
                let fit = try chart.points("B = \(batch), fit")
                let least = fit.min { $0["y"] as? Double ?? 9 < $1["y"] as? Double ?? 9 }
                return try #require(least?["x"] as? Double)
            }
        }
        let spread = { (values: [Double]) in (values.max() ?? 0) / (values.min() ?? 1) }
        #expect(try spread(bottoms("sqrt")) < 1.2)
        // From batch 8 to 128 the best rate grows by a factor of 4.
        #expect(try spread(bottoms("no scaling")) > 3.3)
    }

    @Test("with one known best rate, no charts compare the valleys")
    func noCollapse() throws {
        let points = PlantedSweep(lossNoise: 0.001, rateNoise: 0.02).points()
        let lowest = Set(points.map(\.learningRate)).sorted().prefix(2)
        let charts = try drawings(
            points.filter { $0.batch == 8 || lowest.contains($0.learningRate) }, steps)
        #expect(!charts.contains { $0.title.hasPrefix("Loss above the best") })
        #expect(charts.contains { $0.title == "Best rate against batch" })
    }

    @Test("the batches lie on the hyperbola, whose ends are the least steps and tokens")
    func hyperbola() throws {
        var points: [TrainedPoint] = []
        for batch in [8, 16, 32, 64, 128] {
            for seed in UInt64(0)..<2 {
                for (rate, slow) in [(0.5e-3, 1.3), (1e-3, 1.0), (2e-3, 1.3)] {
                    let steps = 200 * (1 + 48 / Double(batch)) * slow
                    let curve = stride(from: 25, through: 3000, by: 25).map { step in
                        CurvePoint(
                            step: step, tokens: step * batch * 64,
                            validationLoss: 3 - log(Double(step) / steps))
                    }
                    points.append(
                        TrainedPoint(
                            batch: batch, learningRate: rate, seed: seed, initialLoss: 10,
                            curve: curve, secondsPerStep: 0))
                }
            }
        }
        let charts = try drawings(points)
        let chart = try #require(
            charts.first { $0.title.hasPrefix("Steps and tokens to a loss of ") })
        // Every loss is reached after Smin (1 + Bcrit / B) steps, with another Smin.
        let marker = try #require(try chart.rows("markers").first)
        let least = try #require(marker["x"] as? Double) / 2
        #expect((marker["label"] as? String)?.hasPrefix("critical batch 48") == true, "\(marker)")
        let leastTokens = least * 48 * 64
        for name in ["hyperbola", "B = 8", "B = 32", "B = 128"] {
            for point in try chart.points(name) {
                let steps = try #require(point["x"] as? Double)
                let tokens = try #require(point["y"] as? Double)
                let product = (steps / least - 1) * (tokens / leastTokens - 1)
                #expect(abs(product - 1) < 0.01, "\(name): \(steps), \(tokens)")
            }
        }
    }

    @Test("a rule has one color in all charts and on all pages, and batches have a ramp")
    func colors() throws {
        let sweep = PlantedSweep(lossNoise: 0.001, rateNoise: 0.02)
        var request = steps
        request.rules = ["linear", "sqrt"]
        let pages = try [
            drawings(sweep.points(), steps), drawings(sweep.points(), request),
        ]
        let colors = try pages.flatMap { charts in
            try ["Regret against batch", "Best rate against batch"].map { title in
                try chart(title, charts).colors
            }
        }
        for rule in ["sqrt", "linear"] {
            let used = Set(colors.map { $0[rule]?["palette"] })
            #expect(used.count == 1 && used.first != .some(nil), "\(rule)")
        }
        #expect(colors[0]["sqrt"] != colors[0]["linear"])
        #expect(colors[0]["sqrt"] != colors[0]["no scaling"])
        let losses = try chart("Loss against rate", pages[0]).colors
        #expect(
            [8, 16, 32, 64, 128].map { losses["B = \($0)"]?["place"] } == [0, 0.25, 0.5, 0.75, 1])
    }
}
