import Glibc

/// A batch's rates, and how far a grid that ends too early could go on.
package struct GridEdges: Sendable, Equatable {
    /// Rising; without those that diverged for some seed.
    package let rates: [Double]
    /// The least rate that diverged above all others.
    package let divergingRate: Double?
    package let leastLossRate: Double?

    init(_ mean: [BatchLosses.MeanEntry]) {
        let finite = mean.filter(\.loss.isFinite)
        rates = finite.map { exp($0.logRate) }
        divergingRate = mean.first { entry in
            !entry.loss.isFinite && entry.logRate > finite.last?.logRate ?? -.infinity
        }.map { exp($0.logRate) }
        leastLossRate = finite.min { $0.loss < $1.loss }.map { exp($0.logRate) }
    }

    /// Rates half way from that of the least loss to its neighbours.
    package var between: [Double] {
        guard let leastLossRate, let place = rates.firstIndex(of: leastLossRate) else { return [] }
        return [place - 1, place + 1].filter(rates.indices.contains).map {
            (rates[$0] * leastLossRate).squareRoot()
        }
    }

    /// Rates that would extend the grid to one side: two more at its own spacing, or, below a rate
    /// that diverges, the one half way to it. Where all rates diverge, lower ones; none without
    /// runs.
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
