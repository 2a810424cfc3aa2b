import Glibc
import Statistics
import Support

/// The runs that would decide a design's undecided verdicts.
///
/// Rates that the grids lack come first. Once every batch that matters has a best rate, more seeds
/// decide, and a simulation estimates their number.
package struct NextRuns: Sendable, Equatable {
    /// The runs, in the order in which to train them.
    package let parts: [DecidingRuns]
    package let runCount: Int
    /// The duration of the runs if they are trained one at a time, each as fast as the finished
    /// runs of its batch; nil if it is unknown.
    package let seconds: Double?
    /// The probability that each open rule is decided afterwards; none if the runs must show more
    /// of the losses first.
    package let probabilities: [Decision]

    /// A rule and the probability that it will be decided.
    package struct Decision: Sendable, Equatable {
        package let rule: String
        package let probability: Double
    }

    /// The numbers of additional seeds that are simulated.
    private static let seedCounts = [1, 2, 3, 5, 8, 13, 21, 34, 55]
    /// The probability at which no more seeds are simulated.
    private static let sufficient = 0.8
    /// The mean gain in probability that is worth more seeds.
    private static let leastGain = 0.05
    /// The mean probability from which more seeds are worth training.
    private static let leastUseful = 0.25

    /// Plans the runs.
    ///
    /// Returns nil if every rule holds up to the largest batch or fails at some batch.
    ///
    /// - Parameters:
    ///   - verdicts: the verdicts on rules that scale the base batch's best rate.
    ///   - points: the grid's runs.
    init?(
        _ verdicts: [RuleVerdict], _ optima: [BatchOptimum], valley: SharedValley?,
        points: [TrainedPoint], baseBatch: Int, settings: AnalysisSettings
    ) {
        let open = verdicts.filter { $0.isJudged && !$0.isSettled }
        guard !open.isEmpty else { return nil }
        let gaps = open.flatMap(\.decidingGaps)
        // If the base batch has no best rate, every gap names only the runs of the base batch.
        let isBaseUnknown = optima.contains { $0.batch == baseBatch && $0.decidingRuns != nil }
        let own = isBaseUnknown ? optima.map(\.decidingRuns) : []
        let rates = DecidingRuns.merged(
            (gaps.map(\.decidingRuns) + own).compactMap { $0?.new(optima) })
        let costs = RunDurations(points)
        let batches = Set(gaps.map(\.batch) + [baseBatch]).sorted()
        let fewest = optima.filter { batches.contains($0.batch) }.map(\.seeds.count).min() ?? 0
        let firstSeeds =
            fewest < fewestUsefulSeeds
            ? [DecidingRuns.seeds(fewestUsefulSeeds - fewest, batches: batches)] : []
        let isNoise = rates.allSatisfy { if case .seeds = $0 { true } else { false } }
        guard rates.isEmpty && firstSeeds.isEmpty else {
            self.init(
                isNoise && !firstSeeds.isEmpty ? firstSeeds : rates + firstSeeds, optima,
                costs: costs)
            return
        }
        guard let valley,
            let simulation = SeedSimulation(
                batches, optima, valley, baseBatch: baseBatch, settings: settings)
        else {
            self.init([], optima, costs: costs)
            return
        }
        let rules = open.map(\.name)
        var best = (count: 0, mean: 0.0, decisions: [Decision]())
        for count in Self.seedCounts where best.mean < Self.sufficient {
            let shares = simulation.probabilities(ofDecisionWith: count)
            let decisions = rules.map { Decision(rule: $0, probability: shares[$0] ?? 0) }
            let mean = Sample(decisions.map(\.probability)).mean
            if mean > best.mean + Self.leastGain { best = (count, mean, decisions) }
        }
        let isUseful = best.mean >= Self.leastUseful
        self.init(
            isUseful ? [.seeds(best.count, batches: batches)] : [], optima, costs: costs,
            probabilities: isUseful ? best.decisions : [])
    }

    private init(
        _ parts: [DecidingRuns], _ optima: [BatchOptimum], costs: RunDurations,
        probabilities: [Decision] = []
    ) {
        self.parts = parts
        runCount = parts.reduce(0) { $0 + $1.runCount(optima) }
        seconds = costs.seconds(parts, optima)
        self.probabilities = probabilities
    }

    /// The plan in words.
    package var sentence: String { sentence(at: DecidingRuns.names, subject: { $0 }) }

    /// Returns the plan in words.
    ///
    /// - Parameters:
    ///   - names: the words for some batches, or for the models that take their place.
    ///   - subject: the words for a rule.
    func sentence(at names: ([Int]) -> String, subject: (String) -> String) -> String {
        guard !parts.isEmpty else {
            return "Next runs: none, because no sensible number of runs is expected to decide; a "
                + "larger tolerance would."
        }
        let list = parts.map { $0.phrase(at: names) }.joined(separator: "; then ")
        let time =
            seconds.map { ", \(Format.duration($0, tenths: false)) if trained one at a time" } ?? ""
        let shares = probabilities.map {
            "\(subject($0.rule)) with a probability of "
                + Format.fixed($0.probability, decimals: 2)
        }
        let end =
            shares.isEmpty ? "then analyze again" : "they decide " + Format.list(shares)
        return "Next runs: \(list) (\(Format.counted(runCount, "run"))\(time)); \(end)."
    }
}

extension DecidingRuns {
    /// The ratio of rates above which a wider grid is not expected to show a valley.
    private static let widestGrid = 1e4

    /// Returns the part without the runs that exist, or nil if none is left.
    fileprivate func new(_ optima: [BatchOptimum]) -> DecidingRuns? {
        guard case .rates(let rates, let batch) = self else { return self }
        let known = optima.first { $0.batch == batch }?.typical.entries.map(\.logRate) ?? []
        let new = rates.filter { rate in
            let isWide = known.contains { abs(log(rate) - $0) > log(Self.widestGrid) }
            return !isWide && !known.contains { isSameRate(log(rate), $0) }
        }
        return new.isEmpty ? nil : .rates(new, batch: batch)
    }

    /// Returns the parts without repetitions, with all rates of a batch in one part.
    fileprivate static func merged(_ parts: [DecidingRuns]) -> [DecidingRuns] {
        var result: [DecidingRuns] = []
        for part in parts where !result.contains(part) {
            let place = result.firstIndex {
                if case .rates(_, let batch) = $0, case .rates(_, batch) = part {
                    true
                } else {
                    false
                }
            }
            if let place, case .rates(let known, let batch) = result[place],
                case .rates(let rates, _) = part
            {
                result[place] = .rates(Set(known + rates).sorted(), batch: batch)
            } else {
                result.append(part)
            }
        }
        return result
    }

    /// Returns the number of runs of each batch.
    fileprivate func runs(_ optima: [BatchOptimum]) -> [(batch: Int, count: Int)] {
        func seeds(_ batch: Int) -> Int {
            max(1, optima.first { $0.batch == batch }?.seeds.count ?? 1)
        }
        return switch self {
        case .seeds(let count, let batches):
            batches.map { batch in
                (batch, count * (optima.first { $0.batch == batch }?.usefulRates.count ?? 1))
            }
        case .rates(let rates, let batch): [(batch, rates.count * seeds(batch))]
        case .missing(let runs, let batch): [(batch, runs.reduce(0) { $0 + $1.rates.count })]
        case .longer(let batch): [(batch, seeds(batch))]
        }
    }

    fileprivate func runCount(_ optima: [BatchOptimum]) -> Int {
        runs(optima).reduce(0) { $0 + $1.count }
    }
}

/// The mean durations of the finished runs.
private struct RunDurations {
    /// The mean duration of a run by batch.
    private let seconds: [Int: Double]

    init(_ points: [TrainedPoint]) {
        seconds = Dictionary(grouping: points, by: \.batch).mapValues { points in
            Sample(points.map { $0.secondsPerStep * Double($0.curve.last?.step ?? 0) }).mean
        }
    }

    /// Returns the duration of all runs, or nil if the duration of some run is unknown.
    func seconds(_ parts: [DecidingRuns], _ optima: [BatchOptimum]) -> Double? {
        var total = 0.0
        for run in parts.flatMap({ $0.runs(optima) }) {
            guard let seconds = seconds[run.batch], seconds > 0 else { return nil }
            total += Double(run.count) * seconds
        }
        return total
    }
}
