import Benchmarks
import Foundation
import Support
import TestSupport
import Testing
import Verdicts

/// Tests of the planner of a sweep's runs.
@Suite struct RunPlannerTests {
    private let settings = SimulatedSweep.settings

    private func planner(_ rates: [Double], batches: [Int] = [1, 2, 4, 8, 16, 32]) -> RunPlanner {
        RunPlanner(
            startRates: Dictionary(uniqueKeysWithValues: batches.map { ($0, rates) }),
            baseBatch: batches[0], seeds: [0, 1, 2], settings: settings)
    }

    private func key(_ point: TrainedPoint) -> String {
        "\(point.batch) \(String(format: "%.4g", point.learningRate)) \(point.seed)"
    }

    @Test("planned sweeps decide in far fewer runs than a grid, and are right")
    func fewRuns() throws {
        let cases = PlanCalibration.cases.filter { $0.sweep.lossNoise == 0.01 }
        try #require(cases.count == 2)
        for (sweep, budget) in cases {
            let row = try PlanCalibration(sweep, budget: budget, sweeps: 24)
            #expect(row.decided >= 0.8 && row.wrong <= 0.05, "\(row)")
            // A grid with 9 rates and 10 seeds at 6 batches has 540 runs.
            #expect(row.runs < 150, "\(row)")
        }
    }

    @Test("a round depends on the results, and not on their order")
    func order() throws {
        var sweep = SimulatedSweep("noisy")
        (sweep.lossNoise, sweep.seedNoise) = (0.01, 0.15)
        let planner = planner(sweep.rates(0))
        var points: [TrainedPoint] = []
        var rounds = 0
        while case .runs(let runs) = planner.next(after: points) {
            #expect(planner.next(after: points.shuffled()) == .runs(runs))
            let known = Set(points.map(key))
            points += runs.map { sweep.run($0, repetition: 0) }
            #expect(points.count == known.count + runs.count)
            #expect(Set(points.map(key)).count == points.count, "a run is planned twice")
            rounds += 1
            try #require(rounds < 40)
        }
        #expect(planner.next(after: points) == .decided)
        #expect(rounds >= 4, "\(rounds)")
        let verdicts = try Analysis(points, settings: settings).designs[0].verdicts
        #expect(verdicts.allSatisfy { $0.isSettled })
    }

    @Test("the search leaves rates that are far too high, or that diverge")
    func search() throws {
        // The last two start rates are 1,000 times too high.
        for (first, diverging) in [
            (0.02, Double.infinity), (0.02, 4e-3), (1, .infinity), (1, 4e-3),
        ] {
            let planner = planner((0..<5).map { first * Double(1 << $0) }, batches: [4, 16])
            var points: [TrainedPoint] = []
            for _ in 0..<30 {
                guard case .runs(let runs) = planner.next(after: points) else { break }
                points += runs.map { run in
                    let distance = log(run.learningRate / (run.batch == 4 ? 1e-3 : 2e-3))
                    return .planted(
                        batch: run.batch, rate: run.learningRate, seed: run.seed,
                        loss: 2.5 + 0.06 * distance * distance,
                        diverged: run.learningRate > diverging)
                }
            }
            #expect(planner.next(after: points) == .decided, "\(first) \(diverging)")
            let analysis = try Analysis(points, settings: settings).designs[0]
            #expect(analysis.exponent.exponent.map { abs($0.value - 0.5) < 0.01 } ?? false)
            #expect(points.count < 60, "\(points.count)")
        }
    }

    @Test("a batch without a valley gets no rates where the loss is far above the best one")
    func noRunaway() throws {
        let plateau = try #require(
            PlanCalibration.cases.first { $0.sweep.name.hasPrefix("plateau") })
        // In these repetitions, noise and bursts hide the valley of a batch for many rounds.
        for repetition in [2, 4, 10, 13, 18] {
            var sweep = plateau.sweep
            sweep.exponent = [0, 0.5, 1][repetition % 3]
            let planner = planner(sweep.rates(repetition))
            var points: [TrainedPoint] = []
            while points.count < plateau.budget, case .runs(let runs) = planner.next(after: points)
            {
                points += runs.map { sweep.run($0, repetition: repetition) }
            }
            for point in points {
                let best = 1e-3 * pow(Double(point.batch), sweep.exponent)
                #expect(abs(log(point.learningRate / best)) < 5, "\(point)")
            }
        }
    }

    /// The losses of a GPT on the King James text, after 262,144 tokens with each batch and rate, for
    /// the seeds from 1 on. Seed 2 bursts at batch 4 and a rate of 0.004.
    private static let realLosses: [Int: [(rate: Double, losses: [Double])]] = [
        4: [
            (0.0005, [2.2407]), (0.001, [2.1863]), (0.002, [2.0485, 2.0460, 2.0456]),
            (
                0.004,
                [2.0444, 2.2131, 2.0216]
            ), (0.00565685, [2.0767]),
            (
                0.008,
                [
                    2.3101, 2.3298,
                    2.3516,
                ]
            ),
        ],
        8: [
            (0.00141421, [2.2090, 2.1938, 2.1807]), (0.00282843, [2.0923]),
            (
                0.004,
                [
                    2.0218,
                    2.1030, 2.1548,
                ]
            ), (0.00475683, [2.0987]), (0.00565686, [2.2984, 2.3547, 2.3519]),
        ],
        16: [
            (0.002, [2.2395, 2.2401, 2.2200]), (0.004, [2.1268, 2.1417, 2.2579]),
            (
                0.00565685,
                [2.1726]
            ), (0.008, [2.3773, 2.3068, 2.4332]),
        ],
        32: [
            (0.000707105, [2.4375]), (0.00141421, [2.3097, 2.3068, 2.3323]),
            (
                0.00282842,
                [2.2851, 2.2721, 2.3056]
            ), (0.00565684, [2.3049, 2.4336, 2.5057]),
            (
                0.0113137,
                [2.5304]
            ),
        ],
        64: [
            (0.0005, [2.8806]), (0.001, [2.5544, 2.5483, 2.5678]),
            (
                0.002,
                [
                    2.4059, 2.3793,
                    2.4097,
                ]
            ), (0.004, [2.4379, 2.4078, 2.7401]), (0.008, [2.7485]), (0.032, [2.8505]),
        ],
    ]

    @Test("a burst does not hide a valley in the losses of a real sweep")
    func burst() throws {
        let batches = Self.realLosses.keys.sorted()
        var settings = settings
        settings.tolerance = 0.02
        let rates = [5e-4, 1e-3, 2e-3, 4e-3, 8e-3]
        let planner = RunPlanner(
            startRates: Dictionary(
                uniqueKeysWithValues: batches.map { batch in
                    (batch, rates.map { $0 * (Double(batch) / 4).squareRoot() })
                }), baseBatch: 4, seeds: [1, 2, 3], settings: settings)
        let points = batches.flatMap { batch in
            (Self.realLosses[batch] ?? []).flatMap { rate, losses in
                losses.enumerated().map { place, loss in
                    TrainedPoint.planted(
                        batch: batch, rate: rate, seed: UInt64(place + 1), loss: loss)
                }
            }
        }
        // The least typical loss of batch 4 is at 0.002, 0.004 or between.
        let best = try Analysis(points, settings: settings).designs[0].optimum(4).optimum.best
        #expect(try (1.8e-3...4e-3).contains(#require(best).rate))
        guard case .runs(let runs) = planner.next(after: points) else {
            Issue.record("the planner has no runs")
            return
        }
        for run in runs { #expect((5e-4...1.6e-2).contains(run.learningRate), "\(run)") }
    }

    @Test("equal tokens and equal steps are settled with the same runs")
    func severalDesigns() throws {
        var settings = settings
        settings.designs = [.equalTokens(6400), .equalSteps(100)]
        let batches = [1, 4, 16]
        let rates = (0..<5).map { 5e-4 * Double(1 << $0) }
        let planner = RunPlanner(
            startRates: Dictionary(uniqueKeysWithValues: batches.map { ($0, rates) }),
            baseBatch: 1, seeds: [0, 1, 2], settings: settings)
        var noise = SeededNoise(seed: 5)
        var points: [TrainedPoint] = []
        while points.count < 300, case .runs(let runs) = planner.next(after: points) {
            points += runs.map { run in
                // The square root is right for equal tokens, and linear for equal steps.
                func loss(_ exponent: Double) -> Double {
                    let best = 1e-3 * pow(Double(run.batch), exponent)
                    return 2.5 + 0.06 * pow(log(run.learningRate / best), 2)
                        + 0.003 * noise.normal()
                }
                let early = CurvePoint(
                    step: 100 / run.batch, tokens: 100 / run.batch * run.batch * 64,
                    validationLoss: loss(0.5))
                let end = CurvePoint(
                    step: 100, tokens: 6400 * run.batch, validationLoss: loss(1))
                return TrainedPoint(
                    batch: run.batch, learningRate: run.learningRate, seed: run.seed,
                    initialLoss: 4, curve: run.batch == 1 ? [end] : [early, end],
                    secondsPerStep: 0)
            }
        }
        #expect(planner.next(after: points) == .decided)
        let designs = try Analysis(points, settings: settings).designs
        #expect(designs.flatMap(\.verdicts).allSatisfy { $0.isSettled })
        #expect(try designs[0].verdict("sqrt").holdsUpTo == 16)
        #expect(try designs[1].verdict("linear").holdsUpTo == 16)
    }

    @Test("a sweep does not end while seeds lack rates of a batch whose valley is hidden by noise")
    func hiddenValley() throws {
        let planner = planner((0..<5).map { 5e-4 * Double(1 << $0) }, batches: [1, 8])
        var noise = SeededNoise(seed: 3)
        var points: [TrainedPoint] = []
        while points.count < 600, case .runs(let runs) = planner.next(after: points) {
            points += runs.map { run in
                let distance = log(run.learningRate / (run.batch == 1 ? 1e-3 : 4e-3))
                let spread = run.batch == 1 ? 0.003 : 0.3
                return .planted(
                    batch: run.batch, rate: run.learningRate, seed: run.seed,
                    loss: 2.5 + 0.06 * distance * distance + spread * noise.normal())
            }
        }
        #expect(planner.next(after: points) == .exhausted, "\(points.count) runs")
        var settings = settings
        settings.seedsShareRates = true
        let optima = try Analysis(points, settings: settings).designs[0].optima
        let hidden = optima.filter { $0.optimum.best == nil }
        try #require(hidden.map(\.batch) == [8])
        #expect(hidden[0].seeds.count >= 8)
        if case .missing(let runs, _) = hidden[0].decidingRuns {
            Issue.record("\(runs)")
        }
    }

    @Test("a sweep ends if every run diverges")
    func allDiverge() {
        let planner = planner([1e-3, 2e-3, 4e-3], batches: [1, 4])
        var points: [TrainedPoint] = []
        for _ in 0..<40 {
            guard case .runs(let runs) = planner.next(after: points) else { break }
            points += runs.map {
                .planted(
                    batch: $0.batch, rate: $0.learningRate, seed: $0.seed, loss: 0, diverged: true)
            }
        }
        #expect(planner.next(after: points) == .exhausted)
    }
}

/// Tests of losses that saturate.
@Suite struct SaturationTests {
    @Test(
        "no wrong rule holds if the loss levels off far from the best rate",
        arguments: [(0.15, 0.0), (0.1, 0.0), (0.15, 1.5), (0.15, -1.5)])
    func saturation(depth: Double, shift: Double) throws {
        var holds = 0
        for repetition in UInt64(1)...8 {
            var sweep = PlantedSweep(
                batches: [1, 2, 4, 8, 16, 32],
                rates: (-4...4).map { 2.4e-3 * exp(shift) * pow(2, Double($0)) }, seeds: 3,
                bestRate: { 1e-3 * Double($0).squareRoot() }, rateNoise: 0.05)
            sweep.valley = { depth * (1 - exp(-0.06 * $0 * $0 / depth)) }
            let analysis = try sweep.analysis(noise: repetition)
            for (rule, exponent) in [("none", 0.0), ("linear", 1.0)] {
                let reach = try analysis.verdict(rule).holdsUpTo ?? 1
                let distance = (exponent - 0.5) * log(Double(reach))
                let regret = depth * (1 - exp(-0.06 * distance * distance / depth))
                #expect(regret <= 0.01, "\(rule) holds up to \(reach)")
            }
            let verdict = try analysis.verdict("sqrt")
            #expect(verdict.failsFrom == nil)
            holds += verdict.holdsUpTo == 32 ? 1 : 0
        }
        if shift == 0 { #expect(holds >= 7, "\(holds) of 8") }
    }
}
