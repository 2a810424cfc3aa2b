import Foundation
import Report

extension DemoPage {
    private static let batches: [Double] = [12, 24, 48, 96, 192, 384]
    private static let rates = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2]

    private static func loss(rate: Double, batch: Double) -> Double {
        let distance = log2(rate / (1e-3 * pow(batch / 12, 0.52)))
        return 1.88 + 0.0003 * batch + 0.03 * distance * distance
    }

    private static var fits: [LineChart.Series] {
        [12.0, 48, 192].enumerated().flatMap { index, batch -> [LineChart.Series] in
            [
                .init(
                    "batch \(Int(batch))", .points,
                    points: rates.map { rate in
                        let value = loss(rate: rate, batch: batch) + 0.01 * sin(rate * 1e4)
                        return .init(rate, value, interval: (value - 0.015)...(value + 0.015))
                    }, color: index),
                .init(
                    "fit of batch \(Int(batch))", .line,
                    points: (0...60).map { step in
                        let rate = 2.5e-4 * pow(64, Double(step) / 60)
                        return .init(rate, loss(rate: rate, batch: batch))
                    }, color: index, isListed: false),
            ]
        }
    }

    private static func rule(_ name: String, _ exponent: Double) -> LineChart.Series {
        .init(
            name, .dashed, points: batches.map { .init($0, 1e-3 * pow($0 / 12, exponent)) })
    }

    static let scaling = Page.Section(
        "Rates and batches",
        items: [
            .chart(
                LineChart(
                    title: "Loss against rate, for three batches",
                    sentence: "Points are runs with the interval of three seeds, lines the fits.",
                    x: ChartAxis("learning rate", scale: .log, style: .scientific),
                    y: ChartAxis("loss, nats per token"), series: fits)),
            .chart(
                LineChart(
                    title: "Best rate against batch",
                    sentence: "Whiskers are 95 % intervals; dashed lines are rules from batch 12.",
                    x: ChartAxis("global batch, sequences", scale: .log, chosen: batches),
                    y: ChartAxis("learning rate", scale: .log, style: .scientific),
                    series: [
                        .init(
                            "best rate", .points,
                            points: batches.map { batch in
                                let best = 1e-3 * pow(batch / 12, 0.52)
                                return .init(batch, best, interval: (best * 0.8)...(best * 1.25))
                            }),
                        rule("linear rule", 1), rule("square-root rule", 0.5),
                    ])),
            .chart(
                LineChart(
                    title: "Time to a loss of 1.9, against batch",
                    sentence: "Larger batches take fewer steps until the noise scale is reached.",
                    x: ChartAxis("global batch, sequences", scale: .log, chosen: batches),
                    y: ChartAxis("time", style: .duration, fromZero: true),
                    series: [
                        .init(
                            "time", .lineAndPoints,
                            points: batches.map { batch in
                                let time = 900 * (1 + 40 / batch) * (1 + batch / 250)
                                return .init(batch, time, interval: (time * 0.93)...(time * 1.07))
                            })
                    ], markers: [.init(96, "optimum: batch 96, 29 min")])),
            .chart(
                HeatMap(
                    title: "Loss over rate and batch",
                    sentence: "The best run of all is outlined; × marks runs that diverged.",
                    columns: ("learning rate", rates.map(NumberStyle.scientific.text)),
                    rows: ("global batch", batches.reversed().map(NumberStyle.plain.text)),
                    cells: batches.reversed().map { batch in
                        rates.map { rate in
                            if batch == 384, rate == 2.5e-4 { return .missing }
                            if rate / batch > 3.9e-4 { return .diverged }
                            return .value(loss(rate: rate, batch: batch))
                        }
                    }, quantity: ChartAxis("loss, nats per token"))),
        ])

    static let landscape = Page.Section(
        "Loss landscape",
        text: ["The plane is spanned by two random directions, normalized by row."],
        items: [
            .chart(
                ContourMap(
                    title: "Loss around the trained model, with the ways of two runs",
                    sentence: "Each point is 100 steps; the diamond is where the run ended.",
                    xTitle: "first direction", yTitle: "second direction", grid: grid,
                    quantity: ChartAxis("loss, nats per token"), paths: [way(0), way(1)])),
            .chart(
                SurfaceChart(
                    title: "The same loss as a surface", sentence: "Cut at 7 nats.",
                    xTitle: "first direction", yTitle: "second direction", grid: grid,
                    quantity: ChartAxis("loss, nats per token", limits: 1.88...7),
                    paths: [way(0), way(1)])),
            .chart(
                PlanesChart(
                    title: "The loss on five planes", sentence: "All have the same colors.",
                    quantity: ChartAxis("loss, nats per token", limits: 1.88...7),
                    planes: (1...5).map {
                        .init("Plane \($0)", grid: grid, path: way(0).points)
                    })),
        ])

    private static let grid: RegularGrid = {
        let side = 41
        let values = (0..<(side * side)).map { place -> Double in
            let x = Double(place % side) / 20 - 1
            let y = Double(place / side) / 20 - 1
            return 1.88 + 3 * x * x + 1.8 * (y - 0.3 * x * x) * (y - 0.3 * x * x)
                + 0.5 * (1 - cos(5 * x) * cos(4 * y))
        }
        return RegularGrid(x: -1...1, y: -1...1, columns: side, rows: side, values: values)
    }()

    private static func way(_ run: Int) -> ContourMap.Path {
        ContourMap.Path(
            run == 0 ? "AdamW" : "SGD with momentum",
            points: (0...20).map { step in
                let rest = exp(-Double(step) / (run == 0 ? 4 : 7))
                let turn = run == 0 ? 0.08 * Double(step) : -0.25 * Double(step)
                return run == 0
                    ? (-0.85 * rest * cos(turn), 0.9 * rest * cos(turn * 1.4))
                    : (0.9 * rest * cos(turn), 0.3 * rest - 0.4 * rest * sin(turn))
            })
    }

    static let rules = Page.Section(
        "Rules",
        items: [
            .chart(
                VerdictMap(
                    title: "Verdicts on the rules",
                    sentence: "Numbers are the costs in nats per token.",
                    columns: ("global batch, sequences", batches.map(NumberStyle.plain.text)),
                    rows: ("rule", ["square root", "linear, with warmup", "no scaling"]),
                    cells: [
                        batches.map { VerdictMap.Cell(.holds, evidence: "0.00\(Int($0) % 7)") },
                        batches.map {
                            VerdictMap.Cell($0 < 96 ? .undecided : .fails, evidence: "≥ 0.02")
                        },
                        batches.map { VerdictMap.Cell($0 < 48 ? .fails : nil) },
                    ], evidence: "cost, nats per token"))
        ])
}
