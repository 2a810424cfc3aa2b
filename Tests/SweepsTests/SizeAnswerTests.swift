import Foundation
import Report
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the answer about the size of the model in two sentences.
@Suite struct SizeAnswerTests {
    private static let counts = [10_000, 40_000, 160_000, 640_000]

    /// Returns the answer for models with planted best rates.
    private func answer(
        noise: Double = 0.01, seeds: UInt64 = 5, rates: Int = 12, best: @escaping (Int) -> Double
    ) throws -> (answer: SizeAnswer, analysis: TransferAnalysis) {
        var sweep = PlantedSweep(batches: Self.counts, seeds: seeds)
        sweep.rates = Array(sweep.rates.suffix(rates))
        sweep.rateNoise = noise
        sweep.lossNoise = 0.001
        sweep.bestRate = best
        let points = sweep.points()
        let runs = Self.counts.map { count in
            SizedRuns(
                SizedModel(name: "size \(count)", parameters: count),
                points.filter { $0.batch == count }, design: PlantedSweep.design)
        }
        let analysis = try #require(TransferAnalysis(runs, settings: AnalysisSettings()))
        return (SizeAnswer(analysis), analysis)
    }

    @Test("a rate that suits every model")
    func holds() throws {
        let answer = try answer { _ in 3e-3 }.answer
        #expect(answer.kind == .holds)
        #expect(
            answer.finding
                == "The best rate of size 10000 is still good up to size 640000, the largest model."
        )
        #expect(
            answer.outlook.hasPrefix(
                "Each time the number of parameters doubles, the best rate changes by a factor of 1.00 ("
            ), "\(answer.outlook)")
    }

    @Test("a rate that is bad at larger models, on one side or another")
    func fails() throws {
        let high = try answer { $0 > 40_000 ? 1e-3 : 4e-3 }.answer
        #expect(high.kind == .fails)
        #expect(
            high.finding
                == "The best rate of size 10000 is still good up to size 40000, but is too high from "
                + "size 160000.")
        let low = try answer { $0 > 160_000 ? 1.6e-2 : 4e-3 }.answer
        #expect(
            low.finding
                == "The best rate of size 10000 is still good up to size 160000, but is too low at "
                + "size 640000.")
        let mixed = try answer { [40_000: 1e-3, 160_000: 1.6e-2][$0] ?? 4e-3 }.answer
        #expect(
            mixed.finding == "The best rate of size 10000 is bad at size 40000 and size 160000.")
    }

    @Test("an undecided model has a best guess, and a smallest model without a best rate too")
    func undecided() throws {
        let (open, analysis) = try answer(noise: 0.3, seeds: 2) { _ in 3e-3 }
        try #require(analysis.verdict.allUndecided.count == 3, "\(analysis.sentence)")
        #expect(open.kind == .undecided)
        #expect(
            open.finding
                == "It is undecided whether the best rate of size 10000 is good at any larger model "
                + "(size 40000, size 160000 and size 640000).")
        #expect(open.outlook == analysis.bestGuess)
        let (unknown, base) = try answer(rates: 6) { $0 == 10_000 ? 1e-4 : 2e-2 }
        #expect(unknown.kind == .undecided)
        #expect(
            unknown.finding
                == "The best rate of size 10000 is not known, so it is undecided whether it suits "
                + "larger models.")
        #expect(unknown.outlook == base.bestGuess)
    }
}
