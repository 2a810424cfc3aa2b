import Glibc

/// A side of a grid, in the direction of rates or of batches.
package enum Side: String, Sendable, Equatable {
    case below
    case above
}

/// The losses of one batch and one seed over the grid's rates, at one design's mark.
package struct RateLosses: Sendable, Equatable {
    /// The loss of one run.
    package struct Entry: Sendable, Equatable {
        package let logRate: Double
        /// The loss, infinite if the run diverged. It is at most the loss before the first step,
        /// because a run that ends above it has learned nothing.
        package let loss: Double
        /// The loss before the first step.
        package let initialLoss: Double
    }

    package let seed: UInt64
    /// The losses, sorted by rate.
    package let entries: [Entry]

    init(seed: UInt64, entries: [Entry]) {
        self.seed = seed
        self.entries = entries
    }

    /// Collects the losses of runs at a design's mark.
    ///
    /// - Parameter points: the runs of one batch and seed; those that ended before the mark are
    ///   left out.
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

    /// The entries that did not diverge.
    var finite: [Entry] { entries.filter(\.loss.isFinite) }

    /// Returns the loss at a rate of the grid, or nil if the seed lacks it.
    func loss(at logRate: Double) -> Double? {
        entries.first { isSameRate($0.logRate, logRate) }?.loss
    }

    /// The knowledge about the loss at a rate that may not be on the grid.
    enum Lookup: Equatable {
        case loss(Double)
        /// The rate diverged, or lies above one that diverged.
        case diverged
        /// The rate lies between one that trains and the next one, which diverged.
        case belowDivergence
        /// The rate lies outside the grid.
        case outsideGrid(Side)
    }

    /// Returns the loss at a rate by monotone cubic interpolation in ln(rate) (Fritsch & Butland
    /// 1984).
    ///
    /// Losses are not extrapolated. Only divergence is: a rate above one that diverged diverges.
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
        // The cubic Hermite interpolant.
        return .loss(
            left.loss * (1 + 2 * t) * (1 - t) * (1 - t) + slope0 * t * (1 - t) * (1 - t)
                + right.loss * t * t * (3 - 2 * t) + slope1 * t * t * (t - 1))
    }

    /// Returns the interpolant's derivative at an entry. It is zero at a turning point, so that the
    /// interpolant has no others.
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

/// Returns whether two ln(rate) are equal except for the rounding of rates to three digits, with
/// which reports ask for them.
func isSameRate(_ first: Double, _ second: Double) -> Bool { abs(first - second) < roundingOfRates }

/// The least distance of different ln(rate). Three digits change a rate by at most 0.5 %.
private let roundingOfRates = 0.006
