import Glibc

/// The rates of a batch's grid, and the rates that would extend it.
package struct GridEdges: Sendable, Equatable {
    /// The rates that diverged for no seed, in ascending order.
    package let rates: [Double]
    /// The lowest rate that diverged for some seed and lies above `rates`, or nil if there is none.
    package let divergingRate: Double?
    /// The rate with the least typical loss, or nil if every rate diverged.
    package let leastLossRate: Double?

    /// The ratio of the lower rates to try if every rate diverged. Two of them cover a wide range,
    /// because nothing shows how far below the diverging rates the stable ones lie.
    private static let ratioBelowDivergence = 4.0

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
        if rate < lowest { return extended(to: .below) { $0 > rate } }
        guard rate > highest, rate >= divergingRate ?? 0 else { return [rate] }
        return divergingRate == nil ? extended(to: .above) { $0 < rate } : further(to: .above)
    }

    /// Returns the rates that would extend the grid to one side.
    ///
    /// They are the next two rates with the grid's own spacing, or the rate halfway to one that
    /// diverges. If every rate diverged, they are two lower rates. Without runs there are none.
    package func further(to side: Side) -> [Double] {
        guard let highest = rates.last else {
            let ratio = Self.ratioBelowDivergence
            return divergingRate.map { [$0 / (ratio * ratio), $0 / ratio] } ?? []
        }
        if side == .above, let divergingRate { return [(highest * divergingRate).squareRoot()] }
        var count = 1
        return extended(to: side) { _ in
            count -= 1
            return count >= 0
        }.sorted()
    }

    /// Returns the rates that extend the grid to one side, from the nearest one to the first one
    /// that needs no further one.
    private func extended(to side: Side, while needsMore: (Double) -> Bool) -> [Double] {
        guard let lowest = rates.first, let highest = rates.last else { return [] }
        let factor: Double
        switch side {
        case .below: factor = rates.count >= 2 ? lowest / rates[1] : 0.5
        case .above: factor = rates.count >= 2 ? highest / rates[rates.count - 2] : 2
        }
        var result = [(side == .below ? lowest : highest) * factor]
        while let last = result.last, needsMore(last) { result.append(last * factor) }
        return result
    }

    /// Returns whether a rate lies between those that diverged for no seed.
    func contains(_ rate: Double) -> Bool {
        guard let lowest = rates.first, let highest = rates.last else { return false }
        return lowest <= rate && rate <= highest
    }

    /// The rates halfway between the one with the least typical loss and its neighbors. Neighbors
    /// that are closer than `RateWindow.finestSpacing` are left out.
    var between: [Double] {
        guard let place = rates.firstIndex(where: { $0 == leastLossRate }) else { return [] }
        return [place - 1, place + 1].filter {
            rates.indices.contains($0)
                && abs(log(rates[$0] / rates[place])) > RateWindow.finestSpacing
        }.map { (rates[$0] * rates[place]).squareRoot() }.sorted()
    }
}
