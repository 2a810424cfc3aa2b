import Glibc
import Statistics
import Support

/// How the best rate goes with the batch: the exponent p of rate proportional to B^p.
///
/// A straight line of ln(rate) on ln(batch) for each seed, then Student's interval over seeds: a
/// seed's runs share their start and data, so its best rates at several batches are no independent
/// replicates, and the seed is the unit. Where the batches scatter more around the line than seeds
/// do, as they do where losses are no parabolas or rates no power of the batch, the interval is
/// that of their scatter, with the seeds' t.
package struct RateExponent: Sendable, Equatable {
    package struct SeedExponent: Sendable, Equatable {
        package let seed: UInt64
        package let exponent: Double
    }

    /// Nil where fewer than two batches have a best rate.
    package let exponent: Estimate?
    package let seeds: [SeedExponent]
    /// The batches it rests on.
    package let batches: [Int]
    /// Of the common rules' exponents 0, 1/2 and 1, those that the interval holds.
    package let possibleRules: [Double]
    /// Whether there is an interval that rests on three batches at least, and it holds at most one
    /// of the common rules' exponents. Two batches have a line through them whatever the truth.
    package let isConclusive: Bool
    /// What to run where it is not conclusive.
    package let decidingRuns: DecidingRuns?
    /// Whether some batch has no best rate.
    private let isPartial: Bool

    init(_ optima: [BatchOptimum], level: Double) {
        let found = optima.filter { $0.optimum.best != nil }
        let common = found.dropFirst().reduce(Set(found.first?.seeds.map(\.seed) ?? [])) {
            $0.intersection($1.seeds.map(\.seed))
        }.sorted()
        batches = found.map(\.batch)
        isPartial = found.count < optima.count
        guard found.count >= 2, !common.isEmpty else {
            (exponent, seeds, possibleRules, isConclusive) = (nil, [], [0, 0.5, 1], false)
            decidingRuns = Self.runsForOptima(optima, found: found.count)
            return
        }
        seeds = common.compactMap { seed in
            let rows = found.map { [1, log(Double($0.batch))] }
            let rates = found.compactMap { $0.seed(seed)?.optimum.best?.logRate }
            return linearLeastSquares(rows, observations: rates).map {
                SeedExponent(seed: seed, exponent: $0.parameters[1])
            }
        }
        let sample = Sample(seeds.map(\.exponent))
        let scatter = Self.scatter(of: found, seeds: seeds.count, level: level)
        let estimate = sample.meanEstimate(level: level).widened(atLeast: scatter.half)
            .widened(by: Self.slopeUncertainty(of: found))
        exponent = estimate
        // Slack for rounding, where there is no noise.
        let interval = estimate.interval?.widened(by: 1e-9)
        possibleRules = [0, 0.5, 1].filter { interval?.contains($0) ?? true }
        isConclusive =
            estimate.interval != nil && possibleRules.count <= 1
            && found.count >= Self.fewestBatches
        guard !isConclusive else {
            decidingRuns = nil
            return
        }
        guard found.count >= Self.fewestBatches else {
            decidingRuns = Self.runsForOptima(optima, found: found.count)
            return
        }
        guard let deviation = sample.standardDeviation else {
            decidingRuns = .seeds(fewestUsefulSeeds - 1, batches: batches)
            return
        }
        // More seeds do not bring such batches nearer to a line.
        guard !scatter.exceedsSeeds else {
            decidingRuns = .batches(1)
            return
        }
        // An interval no wider than the distance of two rules' exponents holds at most one of them.
        let needed = seedsNeeded(standardDeviation: deviation, halfWidth: 0.249, level: level)
        guard let needed else {
            decidingRuns = .tooClose
            return
        }
        decidingRuns = .seeds(max(1, needed - seeds.count), batches: batches)
    }

    /// Half the interval of the line's slope from the batches' scatter around it, 0 where there is
    /// none to be seen; and whether the seeds' differences at a batch do not explain it: whether its
    /// variance is more than four times what they leave of a batch's mean.
    private static func scatter(
        of optima: [BatchOptimum], seeds: Int, level: Double
    ) -> (half: Double, exceedsSeeds: Bool) {
        guard seeds >= 2, optima.count >= 3,
            let line = linearLeastSquares(
                optima.map { [1, log(Double($0.batch))] },
                observations: optima.compactMap(\.optimum.best?.logRate)),
            let noise = line.noise
        else { return (0, false) }
        let half =
            line.covariance(noise)[1][1].squareRoot()
            * StudentT.twoSided(level: level, degreesOfFreedom: seeds - 1)
        let ofMeans = optima.map { optimum in
            (Sample(optimum.seeds.compactMap(\.optimum.best?.logRate)).variance ?? 0)
                / Double(optimum.seeds.count)
        }
        return (half, noise.variance > 4 * Sample(ofMeans).mean)
    }

    /// By how much a line's slope may be off where best rates are known to the grid's resolution
    /// only.
    private static func slopeUncertainty(of optima: [BatchOptimum]) -> Double {
        let logs = optima.map { log(Double($0.batch)) }
        let mean = Sample(logs).mean
        let squares = logs.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let errors = zip(logs, optima).map {
            abs($0 - mean) * ($1.optimum.best?.resolution ?? 0)
        }
        return errors.reduce(0, +) / squares
    }

    private static let fewestBatches = 3

    /// What is missing for as many batches with a best rate as a conclusion needs.
    private static func runsForOptima(_ optima: [BatchOptimum], found: Int) -> DecidingRuns {
        optima.lazy.compactMap(\.decidingRuns).first ?? .batches(fewestBatches - found)
    }

    /// In one sentence.
    package var sentence: String {
        guard let exponent else {
            return "The exponent of the best rate is undecided: fewer than two batches have a best "
                + "rate" + remedy
        }
        let value =
            "The best rate goes as B^\(Format.fixed(exponent.value, decimals: 2))"
            + (isPartial ? ", by B = \(Format.list(batches.map(String.init))) alone" : "")
        guard let interval = exponent.interval else {
            return value + ", from one seed and so without an interval: undecided" + remedy
        }
        let decimals = interval.width < 0.02 ? 4 : 2
        let range =
            " (\(Format.fixed(interval.lower, decimals: decimals)) to "
            + "\(Format.fixed(interval.upper, decimals: decimals)) at "
            + "\(Format.significant(100 * interval.level, digits: 3)) %)"
        guard batches.count >= Self.fewestBatches else {
            return value + range + ": undecided, as two batches show no law" + remedy
        }
        let rules = possibleRules.map { $0 == 0 ? "none" : $0 == 1 ? "linear" : "sqrt" }
        switch rules.count {
        case 0: return value + range + ": none of the rules none, sqrt and linear."
        case 1: return value + range + ": of none, sqrt and linear only \(rules[0]) agrees."
        default: return value + range + ": undecided between \(Format.list(rules))" + remedy
        }
    }

    private var remedy: String { decidingRuns.map { "; to decide, run \($0.phrase)." } ?? "." }
}
