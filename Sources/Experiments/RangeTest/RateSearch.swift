import Glibc

/// A search by probes for the learning rates with the least loss.
///
/// Probes go up and down from the starting rate by factors of four until the highest and the two
/// lowest are clearly worse than the best: low rates learn late, so a valley of good rates can lie
/// below a rate that is worse. Probes at twice and half the best rate then refine the result.
/// Factors of four reach the best rate in few probes and pass over small dips of the loss.
///
/// If the losses of the probes may still change places, `confirmation` repeats them with twice the
/// steps.
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
    private let decay: RateDecay
    private let tolerated: Double
    /// The part of the best probe's fall by which a loss may exceed the least.
    private let part: Double
    /// Other rates to probe, as numbers of doublings of the starting rate.
    private let otherOctaves: [Int]
    /// The probes in ascending order of their rates.
    private var entries: [Entry] = []

    private static let (coarseOctaves, fineOctaves) = (2, 1)
    /// The number of probes after which the search ends unfinished. They span six decades of rates,
    /// and eight if the search looks for both sides.
    private let mostProbes: Int
    /// The number of probes that a search usually takes, for the progress display.
    package static let usualProbes = 7
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
        self.init(
            start: start, probeSteps: probeSteps,
            tolerated: min(Self.smallLoss, Self.smallPart * fall), otherOctaves: [])
    }

    /// Creates a search that also probes the recipe's rate, unless a lower one diverges.
    ///
    /// It begins at the rate next to `start` that is a power of two times the recipe's rate. After
    /// their warmup, its probes follow `decay`.
    package init(
        near start: Double, recipeRate: Double, probeSteps: Int, decay: RateDecay = .none,
        fall: Double
    ) {
        let octave = log2(recipeRate / start).rounded()
        self.init(
            start: recipeRate * exp2(-octave), probeSteps: probeSteps, decay: decay,
            tolerated: min(Self.smallLoss, Self.smallPart * fall), otherOctaves: [Int(octave)])
    }

    private init(
        start: Double, probeSteps: Int, decay: RateDecay = .none, tolerated: Double,
        otherOctaves: [Int]
    ) {
        self.start = start
        self.probeSteps = probeSteps
        self.decay = decay
        self.tolerated = tolerated
        self.otherOctaves = otherOctaves
        part = 0
        mostProbes = 12
    }

    /// Creates a search that also finds a rate on each side of the best one at which the loss lacks
    /// more than a part of the best one's fall.
    package init(start: Double, probeSteps: Int, lacking part: Double) {
        self.start = start
        self.probeSteps = probeSteps
        decay = .none
        tolerated = Self.smallLoss
        otherOctaves = []
        self.part = part
        mostProbes = 16
    }

    /// The finished probes in ascending order of their rates.
    package var probes: [RateProbe] { entries.map(\.probe) }

    /// The next probe; nil at the end of the search.
    package var next: RateProbe? {
        nextOctave.map { RateProbe(rate: rate(at: Double($0)), steps: probeSteps, decay: decay) }
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
        if part == 0, let octave = octaveBelow(lowest) ?? untriedOther { return octave }
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

    /// Returns the octave of the next coarse probe below the lowest one; nil if rates two coarse
    /// steps below the lowest good one have been tried.
    private func octaveBelow(_ lowest: Entry) -> Int? {
        let lowestGood = entries.first { $0.probe.loss <= limit } ?? lowest
        let isFar = lowest.octave <= lowestGood.octave - 2 * Self.coarseOctaves
        return isFar ? nil : lowest.octave - Self.coarseOctaves
    }

    /// The first of the other octaves that is neither probed nor above a diverged probe.
    private var untriedOther: Int? {
        otherOctaves.first { octave in
            !entries.contains {
                $0.octave == octave || $0.octave < octave && $0.probe.hasDiverged
            }
        }
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
        max(equalTolerance, part * (goodProbe?.fall ?? 0))
    }

    /// The difference from the least loss that is not told apart from it.
    private var equalTolerance: Double { max(tolerated, Self.significantErrors * (noise ?? 0)) }

    private var limit: Double { (goodEntry?.probe.loss ?? .infinity) + tolerance }

    /// The best entry, or in a search of both sides the one with the starting rate if its loss is
    /// not told apart from the least, and otherwise the lowest of those.
    private var goodEntry: Entry? {
        guard part > 0, let best else { return best }
        let equal = entries.filter { $0.probe.loss <= best.probe.loss + equalTolerance }
        return equal.first { $0.octave == 0 } ?? equal.first
    }

    /// The probe with the good rate; nil if every probe diverged.
    ///
    /// Of rates whose losses are not told apart in a search of both sides, it is the starting rate,
    /// or otherwise the lowest: the least of such losses is chance.
    package var goodProbe: RateProbe? {
        goodEntry.flatMap { $0.probe.hasDiverged ? nil : $0.probe }
    }

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

        /// Whether the rates span so small a factor that chance may have chosen them.
        package var isNarrow: Bool {
            !isOpenBelow && !isOpenAbove && highest < Self.narrow * lowest
        }

        private static let narrow = 1.5
    }

    /// The ranges of good rates in ascending order; none if every probe diverged. Clearly worse
    /// probes lie between two of them.
    package var goodRanges: [GoodRates] {
        guard best?.probe.hasDiverged == false else { return [] }
        return groups(within: limit).map { places in
            let (lowest, highest) = (
                edge(from: places.lowerBound, toward: -1, within: limit),
                edge(from: places.upperBound - 1, toward: 1, within: limit)
            )
            return GoodRates(
                lowest: rate(at: lowest.octave), highest: rate(at: highest.octave),
                isOpenBelow: lowest.isOpen, isOpenAbove: highest.isOpen)
        }
    }

    /// The good rates; nil if every probe diverged. Of several ranges, the lowest counts, because a
    /// rate that is too high costs more than one that is too low.
    package var goodRates: GoodRates? { goodRanges.first }

    /// The probe with the least loss; nil if every probe diverged.
    package var bestProbe: RateProbe? {
        best.flatMap { $0.probe.hasDiverged ? nil : $0.probe }
    }

    /// The probe at the starting rate; nil before it is finished.
    package var startProbe: RateProbe? { entries.first { $0.octave == 0 }?.probe }

    /// Returns the nearest probe beyond the good rates, or the outermost if none is beyond them.
    ///
    /// - Parameter side: -1 for lower rates and 1 for higher rates.
    package func probe(beyond side: Int) -> RateProbe? {
        (crossing(toward: side)?.outside ?? (side < 0 ? entries.first : entries.last))?.probe
    }

    /// Returns the last entry within the limit, starting from the good one, and the one after it.
    private func crossing(toward step: Int) -> (inside: Entry, outside: Entry?)? {
        guard var place = entries.firstIndex(where: { $0.octave == goodEntry?.octave }) else {
            return nil
        }
        while entries.indices.contains(place + step), entries[place + step].probe.loss <= limit {
            place += step
        }
        let isLast = !entries.indices.contains(place + step)
        return (entries[place], isLast ? nil : entries[place + step])
    }

    /// Returns the rate at which the loss reaches a level, interpolated between the entry at a place,
    /// which is below it, and the next one.
    private func edge(
        from place: Int, toward step: Int, within level: Double
    ) -> (octave: Double, isOpen: Bool) {
        let inside = entries[place]
        guard entries.indices.contains(place + step) else { return (Double(inside.octave), true) }
        let outside = entries[place + step]
        // Next to a diverged probe, only the rate that was probed is known to be good.
        let part = (level - inside.probe.loss) / (outside.probe.loss - inside.probe.loss)
        return (Double(inside.octave) + part * Double(outside.octave - inside.octave), false)
    }

    /// Returns the ranges of neighboring entries whose losses are at most a level.
    private func groups(within level: Double) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        for (place, entry) in entries.enumerated() where entry.probe.loss <= level {
            if let last = groups.last, last.upperBound == place {
                groups[groups.count - 1] = last.lowerBound..<place + 1
            } else {
                groups.append(place..<place + 1)
            }
        }
        return groups
    }

    // MARK: - Confirmation

    /// The width, in octaves, of the rates less than a quarter of a probe behind the best from which
    /// the probes are repeated: a factor of eight, twice that between coarse probes.
    private static let wideOctaves = 3.0

    /// The loss of the best probe a quarter of its steps earlier, or the limit if that is higher.
    ///
    /// A probe with a lower loss is less than a quarter behind. If the loss falls in jumps, it is
    /// chance which probe jumps first.
    private var behindLimit: Double { max(limit, best?.probe.earlierLoss ?? limit) }

    /// The rates of the probes less than a quarter of their steps behind the best one, if these
    /// probes may still change places; nil otherwise.
    ///
    /// They may if clearly worse rates lie between them or if they span a factor of eight.
    package var unsettledRates: ClosedRange<Double>? {
        guard let best, !best.probe.hasDiverged else { return nil }
        let behind = groups(within: behindLimit)
        guard let first = behind.first, let last = behind.last else { return nil }
        let rates = entries[first.lowerBound].probe.rate...entries[last.upperBound - 1].probe.rate
        if behind.count > 1 || groups(within: limit).count > 1 { return rates }
        let level = best.probe.earlierLoss
        let place = entries.firstIndex { $0.octave == best.octave } ?? 0
        guard let own = groups(within: level).first(where: { $0.contains(place) }) else {
            return nil
        }
        let width =
            edge(from: own.upperBound - 1, toward: 1, within: level).octave
            - edge(from: own.lowerBound, toward: -1, within: level).octave
        return width >= Self.wideOctaves ? rates : nil
    }

    /// A search around the best of the unsettled rates with twice the steps; nil if the rates are
    /// settled.
    package var confirmation: RateSearch? {
        guard unsettledRates != nil else { return nil }
        let candidates = groups(within: behindLimit).compactMap { places in
            entries[places].min { $0.probe.loss < $1.probe.loss }?.octave
        }
        guard let lowest = candidates.first else { return nil }
        return RateSearch(
            start: rate(at: Double(lowest)), probeSteps: 2 * probeSteps, decay: decay,
            tolerated: tolerated, otherOctaves: candidates.dropFirst().map { $0 - lowest })
    }
}
