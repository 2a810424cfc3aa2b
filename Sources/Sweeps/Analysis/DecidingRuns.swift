import Statistics
import Support

/// The runs that would turn an open question into an answer.
package enum DecidingRuns: Sendable, Equatable {
    /// So many seeds more, at each of these batches.
    case seeds(Int, batches: [Int])
    /// These rates, with every seed, at this batch.
    case rates([Double], batch: Int)
    /// What these seeds lack of these rates, which others have, at this batch.
    case missing(seeds: [UInt64], rates: [Double], batch: Int)
    /// Runs at this batch that reach the design's mark.
    case longer(batch: Int)
    /// Runs at other batches, at least so many.
    case batches(Int)
    /// The value is so near its bound that no sensible number of seeds would tell.
    case tooClose

    /// In words, to follow "to decide, run".
    package var phrase: String {
        switch self {
        case .seeds(let count, let batches):
            "\(Format.counted(count, "more seed")) at B = \(Format.list(batches.map(String.init)))"
        case .rates(let rates, let batch):
            "\(rates.count == 1 ? "rate" : "rates") "
                + Format.list(distinct(rates)) + " at B = \(batch)"
        case .missing(let seeds, let rates, let batch):
            "what \(seeds.count == 1 ? "seed" : "seeds") \(Format.list(seeds.map { "\($0)" })) "
                + "\(seeds.count == 1 ? "lacks" : "lack") of "
                + "\(rates.count == 1 ? "rate" : "rates") "
                + "\(Format.list(distinct(rates))) at B = \(batch)"
        case .longer(let batch): "longer runs at B = \(batch), up to the mark they are judged at"
        case .batches(let count): "\(Format.counted(count, "more batch", "more batches"))"
        case .tooClose: "nothing: it is too near its bound for any sensible number of seeds"
        }
    }
}

/// Rates with three digits, or as many more as tell them from one another.
private func distinct(_ rates: [Double]) -> [String] {
    for digits in 3..<12 {
        let texts = rates.map { Format.significant($0, digits: digits) }
        if Set(texts).count == Set(rates).count { return texts }
    }
    return rates.map { "\($0)" }
}

/// How many seeds it takes for Student's interval of a mean to be no wider than `halfWidth` to
/// either side, if the standard deviation stays what it is; nil above a thousand.
func seedsNeeded(standardDeviation: Double, halfWidth: Double, level: Double) -> Int? {
    guard halfWidth > 0 else { return nil }
    func suffices(_ count: Int) -> Bool {
        let t = StudentT.twoSided(level: level, degreesOfFreedom: count - 1)
        return t * standardDeviation / Double(count).squareRoot() <= halfWidth
    }
    // The width falls with the count, so halving finds the first that suffices.
    var (tooFew, enough) = (1, 1000)
    guard suffices(enough) else { return nil }
    while enough - tooFew > 1 {
        let middle = (tooFew + enough) / 2
        if suffices(middle) { enough = middle } else { tooFew = middle }
    }
    return enough
}

/// The seeds with which a question is first given an interval: a spread from two alone is so
/// uncertain that t is 12.7.
let fewestUsefulSeeds = 3
