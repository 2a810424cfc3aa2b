import Glibc

/// The rates of a batch's grid, and the rates that would extend it.
package struct GridEdges: Sendable, Equatable {
    /// The rates that diverged for no seed, rising.
    package let rates: [Double]
    /// The lowest rate that diverged for some seed and lies above `rates`, or nil if there is none.
    package let divergingRate: Double?
    /// The rate with the least typical loss, or nil if every rate diverged.
    package let leastLossRate: Double?

    init(_ entries: [BatchLosses.TypicalLoss]) {
        let finite = entries.filter(\.loss.isFinite)
        rates = finite.map { exp($0.logRate) }
        divergingRate = entries.first { entry in
            !entry.loss.isFinite && entry.logRate > finite.last?.logRate ?? -.infinity
        }.map { exp($0.logRate) }
        leastLossRate = finite.min { $0.loss < $1.loss }.map { exp($0.logRate) }
    }

    /// Returns the rates that extend the grid with its own spacing until they reach `rate`.
    ///
    /// Within the grid, and between the grid and a rate that diverges, the result is `rate` itself.
    /// If `rate` is at least the one that diverges, the result is the rate halfway to that one.
    func further(toCover rate: Double) -> [Double] {
        guard let lowest = rates.first, let highest = rates.last, rate.isFinite, rate > 0 else {
            return [rate]
        }
        if rate > highest, let divergingRate {
            return [rate < divergingRate ? rate : (highest * divergingRate).squareRoot()]
        }
        let spacing = rates.count >= 2 ? rates[1] / lowest : 2
        var result = [rate < lowest ? lowest / spacing : highest * spacing]
        while let last = result.last, rate < lowest ? last > rate : last < rate {
            result.append(rate < lowest ? last / spacing : last * spacing)
        }
        return rate < lowest || rate > highest ? result : [rate]
    }

    /// Returns the rates that would extend the grid to one side.
    ///
    /// They are the next two rates with the grid's own spacing, or the rate halfway to one that
    /// diverges. If every rate diverged, they are two lower rates. Without runs there are none.
    package func further(to side: Side) -> [Double] {
        guard let lowest = rates.first, let highest = rates.last else {
            return divergingRate.map { [$0 / 16, $0 / 4] } ?? []
        }
        let spacing = rates.count >= 2 ? rates[1] / lowest : 2
        switch side {
        case .below: return [lowest / (spacing * spacing), lowest / spacing]
        case .above:
            if let divergingRate { return [(highest * divergingRate).squareRoot()] }
            let spacing = rates.count >= 2 ? highest / rates[rates.count - 2] : 2
            return [highest * spacing, highest * spacing * spacing]
        }
    }
}
