import Statistics
import Support

/// The rates that a seed lacks and other seeds have.
package struct MissingRuns: Sendable, Equatable {
    package let seed: UInt64
    package let rates: [Double]
}

/// The runs that would decide an open question.
package enum DecidingRuns: Sendable, Equatable {
    /// A number of further seeds at each of some batches.
    case seeds(Int, batches: [Int])
    /// Further rates at a batch, with every seed.
    case rates([Double], batch: Int)
    /// The runs of a batch that some seeds lack and other seeds have.
    case missing([MissingRuns], batch: Int)
    /// Runs of some batches with a loss at the design's mark.
    case longer(batches: [Int])
    /// Runs with the same seeds and the same number of rates at each batch.
    case runs([RunSet])

    /// The runs in words, such as "2 more seeds at B = 1 and 16".
    package var phrase: String { phrase(at: Self.names) }

    /// Returns the batches in words, such as "B = 1 and 16".
    static func names(of batches: [Int]) -> String {
        "B = \(Format.list(batches.map(String.init)))"
    }

    /// Returns the runs in words.
    ///
    /// - Parameter names: the words for some batches, or for the models that take their place.
    func phrase(at names: ([Int]) -> String) -> String {
        switch self {
        case .seeds(let count, let batches):
            return "\(Format.counted(count, "more seed")) at \(names(batches))"
        case .rates(let rates, let batch):
            return "\(rates.count == 1 ? "rate" : "rates") "
                + Format.list(distinct(rates)) + " at \(names([batch]))"
        case .missing(let runs, let batch):
            let seeds = runs.map(\.seed)
            let rates = Set(runs.flatMap(\.rates)).sorted()
            return "the missing runs of \(seeds.count == 1 ? "seed" : "seeds") "
                + "\(Format.list(seeds.map { "\($0)" })) with "
                + "\(rates.count == 1 ? "rate" : "rates") "
                + "\(Format.list(distinct(rates))) at \(names([batch]))"
        case .longer(let batches):
            return "runs at \(names(batches)) with a loss at the steps or tokens of the comparison"
        case .runs(let sets): return RunSet.phrase(sets, at: names)
        }
    }
}

/// Returns rates as text with three digits, or with as many more as distinguish them.
func distinct(_ rates: [Double]) -> [String] {
    for digits in 3..<12 {
        let texts = rates.map { Format.significant($0, digits: digits) }
        if Set(texts).count == Set(rates).count { return texts }
    }
    return rates.map { "\($0)" }
}

/// The least number of seeds whose interval is useful. The spread of two seeds is so uncertain that
/// Student's t is 12.7.
let fewestUsefulSeeds = 3
