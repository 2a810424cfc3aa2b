import Foundation
import Report

/// A page with every kind of chart, drawn from made-up numbers.
enum DemoPage {
    static let page = Page(
        title: "Learning rate against batch: nanoGPT on Shakespeare",
        subtitle: "A demonstration with made-up numbers: 2 ranks of 4 threads, fp32, seed 1337.",
        sections: [verdict, training, time, findings, scaling, landscape, rules])

    /// The number of charts on the page.
    static var chartCount: Int {
        page.sections.flatMap(\.items).count { if case .chart = $0 { true } else { false } }
    }

    /// Returns a number from 0 to 1 that looks random and is the same at each call.
    private static func noise(_ index: Int) -> Double {
        let value = sin(Double(index) * 12.9898) * 43758.5453
        return value - value.rounded(.down)
    }

    private static let tokensAxis = ChartAxis("tokens", style: .count)
    private static let lossAxis = ChartAxis("loss, nats per token")
    private static let rateAxis = ChartAxis("learning rate", scale: .log, style: .scientific)
    private static let batches: [Double] = [12, 24, 48, 96, 192, 384]
    private static let batchAxis = ChartAxis(
        "global batch, sequences", scale: .log, chosen: batches)

    // MARK: - Words

    private static let verdict = Page.Section(
        "Verdict",
        text: [
            "Each batch was trained with seven rates on 12.3 M tokens. The best rate of each batch comes "
                + "from a parabola through the losses, its interval from 1000 bootstrap samples."
        ],
        items: [
            .verdict(
                Verdict(
                    .holds, "The square-root rule holds from batch 12 to batch 96",
                    text:
                        "Its rate lies inside the 95 % interval of the best rate at each of these "
                        + "batches; the fitted exponent is 0.52 (0.44 to 0.61).")),
            .verdict(
                Verdict(
                    .fails, "The linear rule fails from batch 48 on",
                    text: "It costs 0.08 nats at batch 48 and diverges at batch 192.")),
            .note(.warning, "Two of 42 runs diverged; they are marked in the heat map."),
            .note(.information, "Loss is the mean of the last 10 % of the tokens."),
            .note(.problem, "The run with batch 384 and rate 1e-2 was killed and is left out."),
            .table(table), .table(regrets), .table(laws),
        ])

    /// A table with many rules, as on a sweep's page.
    private static let regrets = Table(
        caption: "Regrets in nats",
        columns: [.init("B")]
            + [
                "no scaling", "sqrt", "linear", "adam-sde (trained)", "power exponent 0.7",
                "formula lr*(B/B0)^0.6",
            ].map { .init($0) },
        rows: batches.map { batch in
            .init(
                ["\(Int(batch))"]
                    + (1...6).map { rule in
                        rule == 3 ? "above the grid" : "0.0\(rule)68 (-0.0016 to 0.0297)"
                    })
        })

    private static let laws = Table(
        caption: "Laws of the best rate, by Akaike's corrected criterion",
        columns: [.init("law", .left), .init("AICc"), .init("weight"), .init("parameters", .left)],
        rows: [
            .init([
                "saturating power", "21.06", "0.000",
                "rate_max 0.0507 (0.00113 to 1.22), Bn 2.46e+04 (1.83 to 2.46e+04), exponent 0.7 "
                    + "(0.542 to 0.777) (above all batches)",
            ])
        ])

    private static let table = Table(
        caption: "Best rate of each batch",
        columns: [
            .init("batch"), .init("best rate"), .init("95 % interval"), .init("linear rule"),
            .init("square-root rule"), .init("loss"), .init("time to 1.9"), .init("finding", .left),
        ],
        rows: batches.enumerated().map { index, batch in
            let best = 1e-3 * pow(batch / 12, 0.52)
            let rate = NumberStyle.scientific
            return .init(
                [
                    NumberStyle.plain.text(batch), rate.text(best),
                    "\(rate.text(best * 0.8)) to \(rate.text(best * 1.25))",
                    rate.text(1e-3 * batch / 12), rate.text(1e-3 * (batch / 12).squareRoot()),
                    NumberStyle.plain.text(1.88 + 0.0003 * batch),
                    NumberStyle.duration.text(4800 / Double(index + 1)),
                    index < 4 ? "square root holds" : "undecided",
                ], isEmphasized: index == 3)
        })

    // MARK: - Training

    private static func loss(_ step: Int, final: Double, seed: Int) -> Double {
        if (1200..<1230).contains(step), seed == 2 { return .nan }
        let spike = seed == 1 && step == 2417 ? 1.6 : 0
        return final + 2.3 * exp(-Double(step) / 300) + spike
            + 0.08 * (noise(step + 7919 * seed) - 0.5)
    }

    private static func run(_ name: String, final: Double, seed: Int) -> LineChart.Series {
        .init(
            name,
            points: (0..<4000).map {
                LineChart.Point(Double($0 * 12 * 64), loss($0, final: final, seed: seed))
            })
    }

    private static func overSteps(_ value: (Int) -> LineChart.Point) -> [LineChart.Point] {
        (0..<2000).map(value)
    }

    private static let training = Page.Section(
        "Training",
        items: [
            .chart(
                LineChart(
                    title: "Loss of three runs",
                    sentence:
                        "The run with batch 24 had one spike, which passed; the one with batch 48 "
                        + "skipped 30 steps whose gradients were not finite.",
                    x: tokensAxis, y: lossAxis,
                    series: [
                        run("batch 12, rate 1e-3", final: 1.88, seed: 0),
                        run("batch 24, rate 1.4e-3", final: 1.95, seed: 1),
                        run("batch 48, rate 2e-3", final: 2.05, seed: 2),
                    ], markers: [.init(76800, "warmup ends")])),
            .chart(
                LineChart(
                    title: "Learning rate", sentence: "Warmup over 100 steps, then cosine.",
                    x: ChartAxis("step"),
                    y: ChartAxis("learning rate", style: .scientific, fromZero: true),
                    series: [
                        .init(
                            "rate",
                            points: overSteps { step in
                                let cosine = 1e-4 + 4.5e-4 * (1 + cos(.pi * Double(step) / 2000))
                                return .init(Double(step), min(1e-5 * Double(step + 1), cosine))
                            })
                    ], height: 180)),
            .chart(
                LineChart(
                    title: "Gradient norm before clipping",
                    sentence: "Clipped above 1.", x: ChartAxis("step"),
                    y: ChartAxis("gradient norm", scale: .log),
                    series: [
                        .init(
                            "norm",
                            points: overSteps { step in
                                let spike = step == 1208 ? 30.0 : 1
                                return .init(
                                    Double(step),
                                    spike * (0.4 + exp(-Double(step) / 90)) * (0.7 + noise(step)))
                            })
                    ], height: 200)),
            .chart(
                LineChart(
                    title: "Noise scale",
                    sentence: "The band is the 95 % interval of a running mean.",
                    x: ChartAxis("time", style: .duration),
                    y: ChartAxis("noise scale, sequences", scale: .log),
                    series: [
                        .init(
                            "noise scale",
                            points: stride(from: 0, to: 2000, by: 10).map { step in
                                let scale = 8 * exp(Double(step) / 600) * (0.9 + 0.2 * noise(step))
                                return .init(
                                    Double(step) * 2.4, scale,
                                    interval: (scale / 1.6)...(scale * 1.6))
                            })
                    ], height: 220)),
        ])

    // MARK: - Time

    private static let parts = ["data", "forward", "backward", "exposed reduce", "update"]

    private static let time = Page.Section(
        "Where the time goes",
        items: [
            .chart(
                StackedChart(
                    title: "A step's parts by layout", sentence: "Medians of 200 steps.",
                    parts: parts, quantity: ChartAxis("time of a step", style: .duration),
                    bars: [
                        .init("1 rank", [0.004, 0.22, 0.44, 0, 0.03]),
                        .init("2 ranks", [0.004, 0.11, 0.22, 0.02, 0.03]),
                    ])),
            .chart(
                LineChart(
                    title: "Throughput", sentence: "All ranks together.", x: ChartAxis("step"),
                    y: ChartAxis("tokens per second", style: .count, fromZero: true),
                    series: [
                        .init(
                            "throughput",
                            points: overSteps { step in
                                let slow = (900..<1000).contains(step) ? 0.75 : 1.0
                                return .init(
                                    Double(step), 24225 * slow * (0.97 + 0.06 * noise(step)))
                            })
                    ], height: 180)),
        ])

    // MARK: - Findings

    private static let findings = Page.Section(
        "Range test",
        text: ["The rate rises from 1e-6 to 1 over 100 steps; the loss is smoothed."],
        items: [
            .chart(
                LineChart(
                    title: "Loss against rising rate",
                    sentence: "The valley is where the loss falls longest.",
                    x: rateAxis, y: ChartAxis("loss, nats per token", limits: 2...6),
                    series: [
                        .init(
                            "loss",
                            points: (0...100).map { index in
                                let rate = pow(10, -6 + 6 * Double(index) / 100)
                                let fall = 1.9 / (1 + pow(rate / 4e-4, -1.3))
                                let rise = rate > 0.08 ? pow(rate / 0.08, 3) - 1 : 0
                                return .init(rate, 4.2 - fall + rise)
                            })
                    ],
                    markers: [
                        .init(3e-4, "valley 3e-4"), .init(5.2e-4, "steepest 5.2e-4"),
                        .init(7e-3, "minimum / 10"),
                    ]))
        ])
}
