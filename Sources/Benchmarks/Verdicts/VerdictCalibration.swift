import Statistics
import Support
import Verdicts

/// The numbers of right and wrong verdicts on a simulated sweep, given the true rule.
struct JudgedVerdicts {
    /// Whether the true rule holds up to the largest batch.
    private(set) var trueHolds = false
    /// Whether the true rule fails at some batch.
    private(set) var trueFails = false
    /// The number of wrong rules that hold at a batch where their regret exceeds the tolerance.
    private(set) var wrongHolds = 0
    /// Whether both wrong rules fail at some batch.
    private(set) var wrongFail = true

    init(_ verdicts: [RuleVerdict], of sweep: SimulatedSweep, tolerance: Double) {
        for rule in CommonRule.allCases {
            let exponent = rule.exponent
            guard let verdict = verdicts.first(where: { $0.rule == rule.rawValue }) else {
                wrongFail = false
                continue
            }
            if exponent == sweep.exponent {
                trueHolds = verdict.holdsUpTo == sweep.batches.last
                trueFails = verdict.failsFrom != nil
                continue
            }
            wrongFail = wrongFail && verdict.failsFrom != nil
            let reach = verdict.holdsUpTo ?? 0
            let isWrong = sweep.batches.contains {
                $0 <= reach && sweep.regret(ofExponent: exponent, batch: $0) > tolerance
            }
            wrongHolds += isWrong ? 1 : 0
        }
    }
}

/// The frequencies of right and wrong verdicts on simulated sweeps.
package struct VerdictCalibration: Sendable {
    package let sweep: SimulatedSweep
    /// The number of seeds per sweep.
    package let seeds: Int
    /// The number of simulated sweeps.
    package let sweeps: Int
    /// The fraction of sweeps in which the true rule holds up to the largest batch.
    package let trueHolds: Double
    /// The fraction of sweeps in which the true rule fails at some batch.
    package let trueFails: Double
    /// The fraction of verdicts on wrong rules by which the rule holds at a batch where its regret
    /// exceeds the tolerance.
    package let wrongHolds: Double
    /// The fraction of the exponents' intervals that contain the true exponent.
    package let coverage: Double
    /// The mean width of the exponents' intervals.
    package let width: Double

    /// Simulates and judges sweeps. The common rules take turns as the true rule.
    ///
    /// - Parameter progress: a closure that is called after each sweep.
    /// - Throws: the failures of the analysis.
    package init(
        _ sweep: SimulatedSweep, seeds: Int, sweeps: Int, progress: () -> Void = {}
    ) throws(Failure) {
        (self.sweep, self.seeds, self.sweeps) = (sweep, seeds, sweeps)
        let settings = SimulatedSweep.settings
        var (holds, fails, wrong, covered, intervals, width) = (0, 0, 0, 0, 0, 0.0)
        for repetition in 0..<sweeps {
            let sweep = sweep.ofRepetition(repetition)
            let points = sweep.points(seeds: seeds, repetition: repetition)
            let analysis = try Analysis(points, settings: settings).designs[0]
            let judged = JudgedVerdicts(
                analysis.verdicts, of: sweep, tolerance: settings.tolerance)
            holds += judged.trueHolds ? 1 : 0
            fails += judged.trueFails ? 1 : 0
            wrong += judged.wrongHolds
            if let interval = analysis.exponent.exponent?.interval {
                intervals += 1
                width += interval.width
                covered += interval.contains(sweep.exponent) ? 1 : 0
            }
            progress()
        }
        let count = Double(sweeps)
        trueHolds = Double(holds) / count
        trueFails = Double(fails) / count
        wrongHolds = Double(wrong) / (2 * count)
        coverage = Double(covered) / Double(max(1, intervals))
        self.width = width / Double(max(1, intervals))
    }

    /// The simulated sweeps of the table, each with its numbers of seeds.
    package static let cases: [(sweep: SimulatedSweep, seeds: [Int])] = {
        func sweep(_ name: String, _ change: (inout SimulatedSweep) -> Void) -> SimulatedSweep {
            var sweep = SimulatedSweep(name)
            change(&sweep)
            return sweep
        }
        return [
            (sweep("parabola, .004, .05") { _ in }, [3, 5, 10]),
            (
                sweep("parabola, .010, .15") { ($0.lossNoise, $0.seedNoise) = (0.010, 0.15) },
                [3, 5, 10]
            ),
            (sweep("asymmetric, .004, .05") { $0.curvatures = (0.03, 0.12) }, [3, 5, 10]),
            (
                sweep("asymmetric, .010, .15") {
                    $0.curvatures = (0.03, 0.12)
                    ($0.lossNoise, $0.seedNoise) = (0.010, 0.15)
                }, [3, 5, 10]
            ),
            (sweep("parabola, .004, .30") { $0.seedNoise = 0.30 }, [10, 20, 40]),
            (sweep("bursts, .004, .05") { $0.burstProbability = 0.05 }, [3, 5, 10]),
            (
                sweep("growing, .006, .10") {
                    ($0.growth, $0.lossNoise, $0.seedNoise) = (0.4, 0.006, 0.10)
                }, [3, 5, 10]
            ),
            (
                sweep("plateau, .015, .10") {
                    ($0.curvatures, $0.depth) = ((0.2, 0.35), 0.28)
                    ($0.lossNoise, $0.seedNoise, $0.burstProbability) = (0.015, 0.10, 0.1)
                }, [3, 5, 10]
            ),
            (
                sweep("unstable, .006, .10") {
                    ($0.curvatures, $0.noiseGrowth) = ((0.1, 0.3), 1.5)
                    ($0.lossNoise, $0.seedNoise) = (0.006, 0.10)
                }, [3, 5, 10]
            ),
            (
                sweep("leveling, .006, .10") {
                    ($0.depth, $0.lossNoise, $0.seedNoise) = (0.1, 0.006, 0.10)
                }, [3, 5, 10]
            ),
        ]
    }()
}

extension CommonRule {
    /// Returns the true rule of a simulated sweep: each common rule has its turn.
    static func ofRepetition(_ repetition: Int) -> CommonRule {
        allCases[repetition % allCases.count]
    }
}
