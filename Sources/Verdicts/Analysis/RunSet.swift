import Support

/// Runs with every combination of some batches, rates and seeds.
package struct RunSet: Sendable, Equatable {
    package private(set) var batches: [Int]
    /// The rates in ascending order; empty if the runs may have any rate.
    package private(set) var rates: [Double]
    package private(set) var seeds: [UInt64]

    init(batches: [Int], rates: [Double], seeds: [UInt64]) {
        (self.batches, self.rates, self.seeds) = (batches, rates, seeds)
    }

    /// The number of runs.
    package var count: Int { batches.count * max(1, rates.count) * max(1, seeds.count) }

    /// The runs by batch, rate and seed.
    package var runs: [PlannedRun] {
        batches.flatMap { batch in
            rates.flatMap { rate in
                seeds.map { PlannedRun(batch: batch, learningRate: rate, seed: $0) }
            }
        }
    }

    /// Returns the sets that together have exactly these runs, in the order of their first runs.
    package static func sets(of runs: [PlannedRun]) -> [RunSet] {
        var sets: [RunSet] = []
        for run in runs {
            let place = sets.firstIndex { $0.batches == [run.batch] && $0.seeds == [run.seed] }
            if let place {
                sets[place].rates = (sets[place].rates + [run.learningRate]).sorted()
            } else {
                sets.append(
                    RunSet(batches: [run.batch], rates: [run.learningRate], seeds: [run.seed]))
            }
        }
        var joined: [RunSet] = []
        for set in sets {
            let place = joined.firstIndex { $0.batches == set.batches && $0.rates == set.rates }
            if let place { joined[place].seeds += set.seeds } else { joined.append(set) }
        }
        return withJoinedBatches(joined)
    }

    /// Returns sets with the same runs, of which no two differ only in their batches.
    static func withJoinedBatches(_ sets: [RunSet]) -> [RunSet] {
        var joined: [RunSet] = []
        for set in sets {
            let place = joined.firstIndex { $0.rates == set.rates && $0.seeds == set.seeds }
            if let place { joined[place].batches += set.batches } else { joined.append(set) }
        }
        return joined
    }

    /// Returns the sets in groups with the same seeds and the same number of rates.
    static func grouped(_ sets: [RunSet]) -> [[RunSet]] {
        var groups: [[RunSet]] = []
        for set in sets {
            let place = groups.firstIndex {
                $0[0].seeds == set.seeds && $0[0].rates.count == set.rates.count
            }
            if let place { groups[place].append(set) } else { groups.append([set]) }
        }
        return groups
    }

    /// Returns a group of sets in words, such as "rates 0.001 and 0.002 with seed 1 at B = 4".
    static func phrase(_ group: [RunSet], at names: ([Int]) -> String) -> String {
        guard let first = group.first else { return "no runs" }
        let rates =
            group.count == 1
            ? words(of: first.rates)
            : "\(Format.counted(first.rates.count, "rate")) of each batch"
        let seeds =
            first.seeds.count > mostListed
            ? "\(first.seeds.count) seeds"
            : "\(first.seeds.count == 1 ? "seed" : "seeds") "
                + Format.list(first.seeds.map(String.init))
        let batches = group.flatMap(\.batches).sorted()
        return "\(rates) with \(seeds) at \(names(batches))"
    }

    /// The number of rates or seeds up to which a sentence lists them.
    private static let mostListed = 4

    private static func words(of rates: [Double]) -> String {
        let texts = distinct(rates)
        guard texts.count > mostListed else {
            return "\(texts.count == 1 ? "rate" : "rates") \(Format.list(texts))"
        }
        return "\(texts.count) rates from \(texts[0]) to \(texts[texts.count - 1])"
    }
}
