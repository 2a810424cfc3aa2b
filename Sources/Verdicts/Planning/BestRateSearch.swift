import Glibc

/// The search for the best rate of each batch with one seed, which starts a planned sweep.
///
/// Coarse rates find the best rate of the smallest and the largest batch. The search at the batches
/// between them starts near the line that joins the two.
struct BestRateSearch {
    /// The rates with which the search at a batch starts, in ascending order.
    let startRates: [Int: [Double]]
    /// ln(ratio of neighboring rates).
    let step: Double
    let seed: UInt64
    /// The regret up to which a rule holds, in nats.
    let tolerance: Double

    /// The greatest distance from the first rates, in ln(rate): a factor of 100,000.
    private static let farthest = 11.5
    /// The rise of the loss on either side of the best rate, in units of the tolerance, from which a
    /// search ends.
    private static let rise = 2.0
    /// The rise between neighbors, in units of the tolerance, from which a search needs a rate
    /// between them.
    private static let steep = 10.0
    /// The widest gap between neighbors that needs no rate between them, in steps. It lies between
    /// the search's two spacings of one and two steps, because a gap of one step may be a little
    /// wider after the rounding of rates.
    private static let widestSteps = 1.5
    /// The widest gap next to a steep rise, in steps: a gap of one step is halved twice.
    private static let widestSteepSteps = 0.3

    /// Returns the runs that the search needs next; none if it has ended.
    ///
    /// - Parameter losses: the losses of all batches, sorted by batch.
    func runs(after losses: [BatchLosses]) -> [PlannedRun] {
        let untried = [losses[0], losses[losses.count - 1]].filter(\.entries.isEmpty)
        guard untried.isEmpty else {
            return Set(untried.map(\.batch)).sorted().flatMap { batch in
                let rates = startRates[batch] ?? []
                return runs(
                    batch,
                    rates.indices.filter { $0 % 2 == 0 || $0 == rates.count - 1 }.map { rates[$0] })
            }
        }
        let begun = losses.filter { !$0.entries.isEmpty }
        let more = begun.flatMap { runs($0.batch, missingNeighbors($0)) }
        guard more.isEmpty else { return more }
        let known = begun.compactMap { losses in
            best(losses).map { (x: log(Double(losses.batch)), y: $0.logRate) }
        }
        return losses.filter(\.entries.isEmpty).flatMap { losses -> [PlannedRun] in
            let batch = losses.batch
            let center = interpolated(known, at: log(Double(batch)))
            let origin = startRates[batch].map { log($0[0]) } ?? center
            let nearest = origin + ((center - origin) / step).rounded() * step
            return runs(batch, [-1, 0, 1].map { exp(nearest + $0 * step) })
        }
    }

    private func runs(_ batch: Int, _ rates: [Double]) -> [PlannedRun] {
        rates.map { PlannedRun(batch: batch, learningRate: $0, seed: seed) }
    }

    private func best(_ losses: BatchLosses) -> BatchLosses.TypicalLoss? {
        losses.entries.filter(\.loss.isFinite).min { $0.loss < $1.loss }
    }

    /// Returns the rates that the neighborhood of a batch's least loss lacks.
    private func missingNeighbors(_ losses: BatchLosses) -> [Double] {
        let entries = losses.entries
        guard let best = best(losses), let place = entries.firstIndex(of: best) else {
            // Every rate diverged.
            return entries.first.map { limited([beyond($0, -1, losses.batch)], losses.batch) } ?? []
        }
        let sides = [
            (sign: -1.0, entries: Array(entries[..<place].reversed())),
            (sign: 1.0, entries: Array(entries[(place + 1)...])),
        ]
        let rates = sides.flatMap { side -> [Double] in
            guard let neighbor = side.entries.first else {
                // The spacing of the other side's rates tells how coarse the search is.
                let other = sides.first { $0.sign != side.sign }?.entries.first
                let isCoarse =
                    other.map { abs($0.logRate - best.logRate) > Self.widestSteps * step } ?? true
                return [
                    isCoarse
                        ? beyond(best, side.sign, losses.batch) : best.logRate + side.sign * step
                ]
            }
            let gap = abs(neighbor.logRate - best.logRate)
            let excess = neighbor.loss - best.loss
            let isSteep = excess > Self.steep * tolerance
            let widest =
                !isSteep
                ? Self.widestSteps * step
                : excess.isFinite ? Self.widestSteepSteps * step : RateWindow.finestSpacing
            if gap > widest { return [(best.logRate + neighbor.logRate) / 2] }
            let rises = side.entries.contains { $0.loss - best.loss >= Self.rise * tolerance }
            guard !rises, let edge = side.entries.last else { return [] }
            return [edge.logRate + side.sign * step]
        }
        return limited(rates, losses.batch)
    }

    /// Returns ln of the next rate beyond the outermost one. It is two steps away, or as far as the
    /// search has left its first rates, so that first rates that are far off cost few runs.
    private func beyond(_ entry: BatchLosses.TypicalLoss, _ sign: Double, _ batch: Int) -> Double {
        let start = startRates[batch] ?? []
        let origin = (sign < 0 ? start.first : start.last).map { log($0) } ?? entry.logRate
        return entry.logRate + sign * max(2 * step, sign * (entry.logRate - origin))
    }

    /// Returns those rates, given in ln(rate), that are not too far from the first ones.
    func limited(_ logRates: [Double], _ batch: Int) -> [Double] {
        guard let lowest = startRates[batch]?.first, let highest = startRates[batch]?.last else {
            return []
        }
        let bounds = log(lowest) - Self.farthest...log(highest) + Self.farthest
        return logRates.filter(bounds.contains).map { exp($0) }
    }

    /// Returns the value at `x` of the line through the two points that enclose it.
    private func interpolated(_ points: [(x: Double, y: Double)], at x: Double) -> Double {
        let below = points.last { $0.x <= x }
        let above = points.first { $0.x >= x }
        guard let below, let above else { return (below ?? above ?? points.first)?.y ?? 0 }
        guard above.x > below.x else { return below.y }
        return below.y + (x - below.x) / (above.x - below.x) * (above.y - below.y)
    }
}
