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
        while rounds < 6 {
            let points = all.filter { $0.seed < counts[$0.batch] ?? 0 }
            let analysis = try Analysis(points, settings: settings).designs[0]
            guard let runs = analysis.nextRuns else {
                #expect(analysis.verdicts.flatMap(\.undecided).isEmpty)
                break
            }
            rounds += 1
            // Two seeds are too few to say how probable a decision is.
            let fewest = counts.values.min() ?? 0
            #expect(runs.probabilities.isEmpty == (fewest < 3), "\(runs.sentence)")
            #expect(runs.probabilities.allSatisfy { (0...1.001).contains($0.probability) })
            for case .seeds(let count, let batches) in runs.parts {
                for batch in batches { counts[batch, default: 0] += UInt64(count) }
            }
        }
        #expect((1...4).contains(rounds), "\(rounds) rounds, \(counts)")
    }
}
