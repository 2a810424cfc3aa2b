import Glibc

/// A side of a grid, in the direction of rates or of batches.
package enum Side: String, Sendable, Equatable {
    case below
    case above
}

/// The losses of one batch and one seed over the grid's rates, at one design's mark.
package struct RateLosses: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package let logRate: Double
        /// Infinite where the run diverged; at most the loss it began with, as one that ended
        /// higher has learned nothing.
        package let loss: Double
        package let initialLoss: Double
    }

    package let seed: UInt64
    /// By rate.
    package let entries: [Entry]

    /// - Parameter points: runs of one batch and seed; those that ended before the mark are left
    ///   out.
    init(seed: UInt64, points: [TrainedPoint], design: Design) {
        self.seed = seed
        entries = points.compactMap { point in
            point.loss(at: design).map {
                Entry(
                    logRate: log(point.learningRate),
                    loss: $0.isFinite ? min($0, point.initialLoss) : $0,
                    initialLoss: point.initialLoss)
            }
        }.sorted { $0.logRate < $1.logRate }
    }

    /// Those that did not diverge.
    var finite: [Entry] { entries.filter(\.loss.isFinite) }

    /// What is known about the loss at a rate that may not be on the grid.
    enum Lookup: Equatable {
        case loss(Double)
        /// At a rate that diverged, or above one.
        case diverged
        /// Between a rate and one above it that diverged.
        case belowDivergence
        case outsideGrid(Side)
    }

    /// The loss at a rate, by monotone cubic interpolation in ln(rate) (Fritsch & Butland 1984).
    ///
    /// Nothing is extrapolated, but that a rate above one that diverged diverges.
    func lookup(_ logRate: Double) -> Lookup {
        if let entry = entries.first(where: { isSameRate($0.logRate, logRate) }) {
            return entry.loss.isFinite ? .loss(entry.loss) : .diverged
        }
        guard let next = entries.firstIndex(where: { $0.logRate > logRate }) else {
            return entries.last.map { $0.loss.isFinite } ?? true
                ? .outsideGrid(.above) : .diverged
        }
        guard next > 0 else { return .outsideGrid(.below) }
        let (left, right) = (entries[next - 1], entries[next])
        guard left.loss.isFinite else { return .diverged }
        guard right.loss.isFinite else { return .belowDivergence }
        let width = right.logRate - left.logRate
        let t = (logRate - left.logRate) / width
        let (slope0, slope1) = (width * slope(next - 1), width * slope(next))
        // Hermite's basis.
        return .loss(
            left.loss * (1 + 2 * t) * (1 - t) * (1 - t) + slope0 * t * (1 - t) * (1 - t)
                + right.loss * t * t * (3 - 2 * t) + slope1 * t * t * (t - 1))
    }

    /// The interpolant's derivative at an entry: zero at turning points, so that none is invented.
    private func slope(_ index: Int) -> Double {
        let before = index > 0 ? secant(index - 1) : nil
        let after = index < entries.count - 1 ? secant(index) : nil
        guard let before, before.isFinite else { return after ?? 0 }
        guard let after, after.isFinite else { return before }
        guard before * after > 0 else { return 0 }
        let left = entries[index].logRate - entries[index - 1].logRate
        let right = entries[index + 1].logRate - entries[index].logRate
        let part = (left + 2 * right) / (3 * (left + right))
        return before * after / (part * after + (1 - part) * before)
    }

    private func secant(_ index: Int) -> Double {
        (entries[index + 1].loss - entries[index].loss)
            / (entries[index + 1].logRate - entries[index].logRate)
    }
}

/// Whether two ln(rate) differ by rounding only.
func isSameRate(_ first: Double, _ second: Double) -> Bool { abs(first - second) < 1e-9 }
