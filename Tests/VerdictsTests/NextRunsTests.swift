import TestSupport
import Testing
import Verdicts

/// Tests of the next runs of a sweep.
@Suite struct NextRunsTests {
    private let settings = AnalysisSettings(
        designs: [PlantedSweep.design], targetLosses: [-1])

    @Test("nothing is asked for if every rule is decided")
    func decided() throws {
        let analysis = try PlantedSweep(curvature: 0.3, rateNoise: 0.02).analysis()
        #expect(analysis.verdicts.flatMap(\.undecided).isEmpty)
        #expect(analysis.nextRuns == nil)
    }

    @Test("rates that a grid lacks come before more seeds")
    func ratesFirst() throws {
        // The best rate at 128, 1.6e-2, is above the grid.
        let sweep = PlantedSweep(
            batches: [8, 64, 128], rates: (0..<7).map { 1.25e-4 * Double(1 << $0) },
            bestRate: { 1e-3 * Double($0) / 8 }, rateNoise: 0.03)
        let runs = try #require(try sweep.analysis().nextRuns)
        let batches = runs.parts.map { part in
            if case .rates(let rates, let batch) = part { [batch, rates.count] } else { [0] }
        }
        // At 64 the interval of the linear rule's rate reaches beyond the grid.
        #expect(batches == [[64, 1], [128, 2]], "\(runs.parts)")
        #expect(runs.runCount == 12 && runs.probabilities.isEmpty)
        // Each of the 4 seeds takes 100 steps of 0.1 s at each rate.
        #expect(runs.seconds.map { abs($0 - 120) < 1e-6 } ?? false)
        #expect(runs.sentence.hasSuffix("; then analyze again."), "\(runs.sentence)")
    }

    @Test("every batch whose best rate lies outside its grid gets rates, not only the base batch")
    func everyUnbracketedBatchGetsRates() throws {
        // The grid is 100 times too low.
        let sweep = PlantedSweep(
            batches: [8, 32, 128], rates: (0..<5).map { 1e-5 * Double(1 << $0) }, curvature: 0.02)
        let runs = try #require(try sweep.analysis().nextRuns)
        let batches = runs.parts.compactMap { part in
            if case .rates(_, let batch) = part { batch } else { nil }
        }
        #expect(batches.sorted() == [8, 32, 128], "\(runs.sentence)")
    }

    @Test("a batch at which one seed diverges at every rate gets lower rates")
    func oneSeedDiverges() throws {
        let sweep = PlantedSweep(batches: [8, 32], seeds: 3)
        let points = sweep.points().map { point in
            point.batch == 8 || point.seed > 0
                ? point
                : .planted(
                    batch: 32, rate: point.learningRate, seed: 0, loss: 0, diverged: true)
        }
        let runs = try #require(try Analysis(points, settings: settings).designs[0].nextRuns)
        guard case .rates(let rates, batch: 32)? = runs.parts.first else {
            Issue.record("\(runs.sentence)")
            return
        }
        #expect(rates.allSatisfy { $0 < 1e-4 }, "\(rates)")
    }

    @Test("following the plan decides the rules, and the stated probability is sensible")
    func following() throws {
        var rounds = 0
        var sweep = PlantedSweep(
            batches: [8, 16, 32], seeds: 2, curvature: 0.15, lossNoise: 0.01, rateNoise: 0.15)
        // Seeds of a longer sweep start with those of a shorter one.
        let all = { () -> [TrainedPoint] in
            sweep.seeds = 120
            return sweep.points()
        }()
        var counts: [Int: UInt64] = [8: 2, 16: 2, 32: 2]
        while rounds < 12 {
            let points = all.filter { $0.seed < counts[$0.batch] ?? 0 }
            let analysis = try Analysis(points, settings: settings).designs[0]
            guard let runs = analysis.nextRuns else {
                #expect(analysis.verdicts.filter { !$0.isSettled }.isEmpty)
                break
            }
            rounds += 1
            // Two seeds are too few to say how probable a decision is.
            let fewest = counts.values.min() ?? 0
            #expect(runs.probabilities.isEmpty == (fewest < 3), "\(runs.sentence)")
            #expect(runs.probabilities.allSatisfy { (0...1.001).contains($0.probability) })
            for case .seeds(let count, let batches) in runs.parts {
                #expect(count <= 5, "a step is small: \(runs.sentence)")
                for batch in batches { counts[batch, default: 0] += UInt64(count) }
            }
        }
        #expect((1...10).contains(rounds), "\(rounds) rounds, \(counts)")
    }

    @Test("the advice says how many seeds are needed in total, or that even many are not enough")
    func seedsInTotal() throws {
        let sweep = PlantedSweep(
            batches: [8, 16, 32], seeds: 3, curvature: 0.1, lossNoise: 0.01, rateNoise: 0.3)
        let runs = try #require(
            try Analysis(sweep.points(), settings: settings).designs[0].nextRuns)
        let forecast = try #require(runs.seedForecast, "\(runs.sentence)")
        #expect(forecast.seeds > 5 && forecast.probability >= 0.25)
        #expect(
            runs.sentence.contains(
                "; \(forecast.seeds) more seeds in total would raise the mean probability of a "
                    + "decision to 0."),
            "\(runs.sentence)")
        // The regret of the linear rule at 16 is exactly the tolerance.
        let border = PlantedSweep(
            batches: [8, 16], seeds: 40, curvature: 0.1, lossNoise: 0.002, rateNoise: 0.05)
        let tolerance = 0.1 * 0.25 * 0.48045
        let linear = AnalysisSettings(
            designs: [PlantedSweep.design], rules: [.linear], targetLosses: [-1],
            tolerance: tolerance)
        let none = try #require(
            try Analysis(border.points(), settings: linear).designs[0].nextRuns)
        #expect(
            none.parts.isEmpty
                && none.sentence.hasPrefix(
                    "Next runs: none, because even 55 more seeds would decide a rule with a mean "
                        + "probability of only 0."),
            "\(none.sentence)")
        // A sweep's planner may still have runs.
        let round = NextRuns(
            [PlannedRun(batch: 8, learningRate: 1e-3, seed: 41)], durations: RunDurations([]),
            instruction: "then resume"
        ).withProbabilities(of: none)
        #expect(
            round.sentence.contains("; even 55 more seeds would decide a rule with a mean ")
                && round.sentence.hasSuffix(", so a larger tolerance may help more; then resume."),
            "\(round.sentence)")
    }

    @Test("the advice says why undecided batches of settled rules have no next runs")
    func settled() throws {
        let rules = AnalysisSettings(
            designs: [PlantedSweep.design], rules: [.linear], targetLosses: [-1])
        // The regret of the linear rule at 16 is .1 (ln(2) / 2)^2 = .012, and at 64 .108.
        let sweep = PlantedSweep(batches: [8, 16, 64], seeds: 3, rateNoise: 0.03)
        let analysis = try Analysis(sweep.points(), settings: rules)
        let design = analysis.designs[0]
        let verdict = try design.verdict("linear")
        try #require(verdict.failsFrom == 64 && verdict.undecided.map(\.batch) == [16])
        #expect(design.nextRuns == nil && design.isSettled)
        let reason =
            "Next runs: none, because every rule is settled: each holds up to the largest batch or "
            + "fails at some batch. Still undecided: linear at B = 16."
        #expect(design.settledSentence == reason)
        #expect(analysis.summary.contains(reason))
        #expect(analysis.json().text.contains("\"settled\":true"))
        let decided = try PlantedSweep(curvature: 0.3, rateNoise: 0.02).analysis()
        #expect(decided.settledSentence == nil)
    }

    @Test("more seeds of a batch are asked for once, after the rates")
    func seedsOnce() throws {
        // Batch 8 has no visible valley, and the best rate at 128 is above the grid.
        let sweep = PlantedSweep(
            batches: [8, 64, 128], rates: (0..<7).map { 1.25e-4 * Double(1 << $0) }, seeds: 2,
            curvature: 0.2, depth: { $0 == 8 ? 0 : 1 }, bestRate: { $0 == 128 ? 3e-2 : 1e-3 },
            lossNoise: 0.03)
        let runs = try #require(try sweep.analysis().nextRuns)
        var batches: [Int] = []
        for (place, part) in runs.parts.enumerated() {
            guard case .seeds(_, let own) = part else {
                #expect(batches.isEmpty, "rates come after seeds at \(place): \(runs.sentence)")
                continue
            }
            batches += own
        }
        #expect(!batches.isEmpty && batches.count < 3 * runs.parts.count, "\(runs.sentence)")
        #expect(Set(batches).count == batches.count, "\(runs.sentence)")
        #expect(runs.parts.contains { if case .rates = $0 { true } else { false } })
    }

    @Test("the sets name the batches, rates and seeds of the runs, and count them")
    func sets() throws {
        let sweep = PlantedSweep(
            batches: [8, 16, 32], seeds: 2, curvature: 0.15, lossNoise: 0.01, rateNoise: 0.15)
        let runs = try #require(try sweep.analysis().nextRuns)
        guard case .seeds(1, let batches)? = runs.parts.last else {
            Issue.record("\(runs.sentence)")
            return
        }
        let further = runs.sets.filter { $0.seeds == [2] }
        #expect(further.allSatisfy { $0.rates.count >= 3 })
        #expect(further.flatMap(\.batches).sorted() == batches && batches.contains(8))
        let rates = further.reduce(0) { $0 + $1.batches.count * $1.rates.count }
        #expect(further.reduce(0) { $0 + $1.count } == rates)
        #expect(runs.runCount == runs.sets.reduce(0) { $0 + $1.count })
    }

    /// Returns the runs that a planner asks for: two batches, three rates and two seeds.
    private var planned: [PlannedRun] {
        [UInt64(1), 2].flatMap { seed in
            [4, 8].flatMap { batch in
                [1e-3, 2e-3, 4e-3].map {
                    PlannedRun(batch: batch, learningRate: $0 * Double(batch), seed: seed)
                }
            }
        }
    }

    @Test("the runs of a planner are in sets that hold each of them once")
    func plannedSets() {
        let planned = planned + [PlannedRun(batch: 4, learningRate: 0.1, seed: 3)]
        let sets = RunSet.sets(of: planned)
        let runs = sets.flatMap { set in
            set.batches.flatMap { batch in
                set.rates.flatMap { rate in
                    set.seeds.map { PlannedRun(batch: batch, learningRate: rate, seed: $0) }
                }
            }
        }
        #expect(runs.count == 13 && Set(runs) == Set(planned))
        #expect(sets.count == 3 && sets.map(\.count) == [6, 6, 1])
        let sentence = NextRuns(
            planned, durations: RunDurations([]), instruction: "use this command"
        ).sentence
        #expect(
            sentence
                == "Next runs: 3 rates of each batch with seeds 1 and 2 at B = 4 and 8; then rate "
                + "0.1 with seed 3 at B = 4 (13 runs); use this command.")
    }

    /// Returns finished runs of batches 4 and 8.
    private func finished(seconds: Double?, secondsPerStep: Double) -> [TrainedPoint] {
        [4, 8].map { batch in
            TrainedPoint(
                batch: batch, learningRate: 1e-3, seed: 1, initialLoss: 4,
                curve: [CurvePoint(step: 100, tokens: 6400 * batch, validationLoss: 3)],
                secondsPerStep: secondsPerStep, seconds: seconds.map { $0 * Double(batch) })
        }
    }

    @Test(
        "the duration includes evaluations and is that on the layout, if they are known",
        arguments: [
            // 100 steps of 0.1 s take 10 s.
            (nil, nil, "2 min if trained one at a time"),
            // 6 runs of 12 s and 6 of 24 s.
            (3.0, nil, "3 min 36 s if trained one at a time"),
            // Each group takes the next run when it is free, in the order of the runs.
            (3.0, 4, "1 min on this layout"),
            // No layout is faster than the longest run.
            (3.0, 64, "24 s on this layout"),
            (0.01, 2, "less than a second on this layout"),
        ] as [(Double?, Int?, String)])
    func durations(seconds: Double?, groups: Int?, words: String) {
        let durations = RunDurations(
            finished(seconds: seconds, secondsPerStep: 0.1), groups: groups)
        let runs = NextRuns(planned, durations: durations, instruction: "use this command")
        #expect(
            runs.sentence.contains("(12 runs, \(words)); use this command."), "\(runs.sentence)")
    }

    @Test("the duration of a run is a typical one, with what its evaluations take elsewhere")
    func typicalDurations() throws {
        func run(_ batch: Int, _ seed: UInt64, step: Double, seconds: Double?) -> TrainedPoint {
            TrainedPoint(
                batch: batch, learningRate: 1e-3, seed: seed, initialLoss: 4,
                curve: [CurvePoint(step: 100, tokens: 6400 * batch, validationLoss: 3)],
                secondsPerStep: step, seconds: seconds)
        }
        // A busy machine made one of three runs slow. Only batch 4 has whole durations.
        let durations = RunDurations([
            run(4, 1, step: 0.1, seconds: 13), run(4, 2, step: 0.5, seconds: 90),
            run(4, 3, step: 0.1, seconds: 13), run(8, 1, step: 0.2, seconds: nil),
        ])
        #expect(try abs(#require(durations.seconds(ofBatch: 4)) - 13) < 1e-9)
        #expect(try abs(#require(durations.seconds(ofBatch: 8)) - 23) < 1e-9)
    }

    @Test("runs of an unknown duration have none, and no runs have a reason")
    func unknownDuration() {
        let durations = RunDurations(finished(seconds: nil, secondsPerStep: 0), groups: 2)
        let runs = NextRuns(planned, durations: durations, instruction: "use this command")
        #expect(runs.seconds == nil && runs.secondsOnLayout == nil)
        #expect(runs.sentence.contains("(12 runs); use"), "\(runs.sentence)")
        let none = NextRuns([], durations: durations, instruction: "use this command")
        #expect(
            none.sentence
                == "Next runs: none, because no further run is expected to change a verdict; a larger "
                + "tolerance may help.")
    }
}
