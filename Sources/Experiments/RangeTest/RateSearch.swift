import Glibc

/// A search by probes for the learning rates with the least loss.
///
/// Probes go up and down from the starting rate by factors of four until the highest and the lowest
/// are clearly worse than the best. Probes at twice and half the best rate then refine the result.
/// Factors of four reach the best rate in few probes and pass over small dips of the loss.
///
/// A search can also look for rates that are far from the best one: those at which the loss falls
/// only by a given part as far. It then tries a rate in the middle of each factor of four in which
/// the loss passes that level.
package struct RateSearch: Sendable {
    private struct Entry {
        /// The rate as the number of doublings of the starting rate.
        let octave: Int
        let probe: RateProbe
    }

    private let start: Double
    package let probeSteps: Int
    private let tolerated: Double
    /// The part of the best probe's fall by which a loss may exceed the least.
    private let part: Double
    /// The probes in ascending order of their rates.
    private var entries: [Entry] = []

    private static let (coarseOctaves, fineOctaves) = (2, 1)
    /// The number of probes after which the search ends unfinished. They span six decades of rates,
    /// and eight if the search looks for both sides.
    private let mostProbes: Int
    /// The number of probes that a search usually takes, for the progress display.
    package static let usualProbes = 6
    /// The same number for a search of both sides.
    package static let usualProbesOnBothSides = 10
    package var usualProbes: Int { part == 0 ? Self.usualProbes : Self.usualProbesOnBothSides }
    /// The difference between losses that hardly matters, in nats.
    private static let smallLoss = 0.05
    /// The largest part of the ramp's fall that hardly matters. It counts if the loss can fall by
    /// little only, as in a trained model.
    private static let smallPart = 0.1
    /// The standard errors by which two losses must differ to be told apart.
    private static let significantErrors = 2.0

    /// Creates a search that has no probes yet.
    ///
    /// - Parameters:
    ///   - start: the first rate to probe.
    ///   - probeSteps: the steps of each probe.
    ///   - fall: the fall of the loss on the ramp.
    package init(start: Double, probeSteps: Int, fall: Double) {
        self.start = start
        self.probeSteps = probeSteps
        tolerated = min(Self.smallLoss, Self.smallPart * fall)
        part = 0
        mostProbes = 12
    }

    /// Creates a search that also finds a rate on each side of the best one at which the loss lacks
    /// more than a part of the best one's fall.
    package init(start: Double, probeSteps: Int, lacking part: Double) {
        self.start = start
        self.probeSteps = probeSteps
        tolerated = Self.smallLoss
        self.part = part
        mostProbes = 16
    }

    /// The finished probes in ascending order of their rates.
    package var probes: [RateProbe] { entries.map(\.probe) }

    /// The next probe; nil at the end of the search.
    package var next: RateProbe? {
        nextOctave.map { RateProbe(rate: rate(at: Double($0)), steps: probeSteps) }
    }

    /// Adds the finished probe that `next` returned.
    package mutating func add(_ probe: RateProbe) {
        guard let octave = nextOctave else { return }
        let place = entries.firstIndex { $0.octave > octave } ?? entries.count
        entries.insert(Entry(octave: octave, probe: probe), at: place)
    }

    private var nextOctave: Int? {
        guard let lowest = entries.first, let highest = entries.last, let best else { return 0 }
        guard entries.count < mostProbes else { return nil }
        guard best.probe.loss.isFinite else { return lowest.octave - Self.coarseOctaves }
        if highest.probe.loss <= limit { return highest.octave + Self.coarseOctaves }
        if lowest.probe.loss <= limit { return lowest.octave - Self.coarseOctaves }
        let middles =
            part == 0
            ? []
            : [-1, 1].compactMap { side in
                crossing(toward: side).flatMap { inside, outside in
                    outside.map { (inside.octave + $0.octave) / 2 }
                }
            }
        let fine = [best.octave + Self.fineOctaves, best.octave - Self.fineOctaves]
        return (fine + middles).first { octave in !entries.contains { $0.octave == octave } }
    }

    private func rate(at octave: Double) -> Double { start * exp2(octave) }

    private var best: Entry? { entries.min { $0.probe.loss < $1.probe.loss } }

    // MARK: - Result

    /// The standard error of the difference between the two least losses; nil if fewer than two
    /// probes did not diverge.
    package var noise: Double? {
        let least = probes.sorted { $0.loss < $1.loss }.prefix(2).filter { !$0.hasDiverged }
        return least.count == 2 ? least[0].noise(comparedWith: least[1]) : nil
    }

    /// The difference from the least loss, in nats, up to which a rate counts as good: a small
    /// loss, or what noise hides.
    package var tolerance: Double {
        let fall = bestProbe?.fall ?? 0
        return max(tolerated, part * fall, Self.significantErrors * (noise ?? 0))
    }

    private var limit: Double { (best?.probe.loss ?? .infinity) + tolerance }

    /// The rates around the best one whose loss exceeds the least by no more than the tolerance.
    package struct GoodRates: Sendable, Equatable {
        package let lowest: Double
        package let highest: Double
        /// Whether rates beyond those probed may be as good.
        package let isOpenBelow: Bool
        package let isOpenAbove: Bool

        /// The rate to recommend, a third of the way from the lowest to the highest by factors.
        ///
        /// A point between the ends has less noise than the best rate itself. It is below the
        /// middle because a rate that is too high costs more than one that is too low.
        package var recommended: Double { lowest * pow(highest / lowest, Self.place) }

        private static let place = 1.0 / 3
    }

    /// The good rates; nil if every probe diverged.
    package var goodRates: GoodRates? {
        guard let best, best.probe.loss.isFinite else { return nil }
        let (lowest, highest) = (edge(toward: -1), edge(toward: 1))
        return GoodRates(
            lowest: rate(at: lowest.octave), highest: rate(at: highest.octave),
            isOpenBelow: lowest.isOpen, isOpenAbove: highest.isOpen)
    }

    /// The probe with the least loss; nil if every probe diverged.
    package var bestProbe: RateProbe? {
        best.flatMap { $0.probe.hasDiverged ? nil : $0.probe }
    }

    /// Returns the nearest probe beyond the good rates, or the outermost if none is beyond them.
    ///
    /// - Parameter side: -1 for lower rates and 1 for higher rates.
    package func probe(beyond side: Int) -> RateProbe? {
        (crossing(toward: side)?.outside ?? (side < 0 ? entries.first : entries.last))?.probe
    }

    /// Returns the last entry within the limit, starting from the best, and the one after it.
    private func crossing(toward step: Int) -> (inside: Entry, outside: Entry?)? {
        guard var place = entries.firstIndex(where: { $0.octave == best?.octave }) else {
            return nil
        }
        while entries.indices.contains(place + step), entries[place + step].probe.loss <= limit {
            place += step
        }
        let isLast = !entries.indices.contains(place + step)
        return (entries[place], isLast ? nil : entries[place + step])
    }

    /// Returns the rate at which the loss reaches the limit, interpolated between two probes.
    private func edge(toward step: Int) -> (octave: Double, isOpen: Bool) {
        guard let (inside, outside) = crossing(toward: step) else { return (0, true) }
        guard let outside else { return (Double(inside.octave), true) }
        // Next to a diverged probe, only the rate that was probed is known to be good.
        let part = (limit - inside.probe.loss) / (outside.probe.loss - inside.probe.loss)
        return (Double(inside.octave) + part * Double(outside.octave - inside.octave), false)
    }
}
