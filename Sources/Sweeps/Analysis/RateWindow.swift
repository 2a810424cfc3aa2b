import Statistics

/// The rates around a batch's least mean loss to which parabolas are fitted, the same for all
/// seeds.
///
/// One window for all seeds keeps a single noisy run from choosing the points it is judged by.
struct RateWindow {
    enum State: Equatable {
        case bracketed
        /// Between the highest rates and one that diverges, so near to it that the grid's least is
        /// the best rate but for so much in ln(rate).
        case belowDivergence(resolution: Double)
        case flat
        case unbracketed(Side)
        case coarse
        case insufficient
    }

    let state: State
    /// The bounds in ln(rate); nil where there are too few rates.
    let bounds: ClosedRange<Double>?
    /// The noise of a single run there; nil where there is nothing to judge it by.
    let noise: Noise?
    /// That of the mean losses inside the bounds, in nats; nil where they are not bracketed.
    let curvature: Double?
    /// How far, in ln(rate), the parabola's vertex may lie from the least loss because the losses
    /// are no parabola; all seeds share it.
    private(set) var misfit = 0.0

    /// The distance in ln(rate) within which a diverging rate ends the search above the best rate.
    ///
    /// It is a factor of 1.2. Between two rates that are this close, the loss changes by less than
    /// runs of different seeds do.
    private static let nearDivergence = 0.2
    /// The least distance in ln(rate) that a vertex may have from the best rate: a factor of two.
    ///
    /// Noise moves the vertex of a fine grid beyond the best rate's neighbors.
    private static let leastReach = 0.7

    /// Chooses the window and judges whether it holds an optimum.
    ///
    /// The window is the best rate and its neighbours, and what follows on either side while the
    /// loss stays within a part `window` of the best. Where the parabola through all of that turns
    /// away from the best rate, or misses losses by more than noise does, its sides are too unlike, and
    /// the end with the higher loss is left out, again and again, down to the three.
    ///
    /// The batch is flat where the curvature's interval (at the grid's edge, the slope's as well)
    /// holds zero, in the wide window or in the narrow one: three rates that noise chose for their
    /// middle's loss always curve. It is not where rates on both sides are worse beyond doubt and a
    /// parabola goes through what lies between them, which is then the window. It is coarse where
    /// the three rates' parabola turns lower than any loss is, as beside a cliff, and is far above
    /// the rate next to them.
    init(_ losses: BatchLosses, settings: AnalysisSettings) {
        let mean = losses.mean.filter(\.loss.isFinite)
        let best = mean.indices.min { mean[$0].loss < mean[$1].loss }
        guard let best, mean.count >= 3 else {
            (state, bounds, noise, curvature) = (.insufficient, nil, nil, nil)
            return
        }
        let edge: Side? = best == 0 ? .below : best == mean.count - 1 ? .above : nil
        // At an edge there are three rates as well, to tell a slope from noise.
        var first = max(0, best - (edge == .above ? 2 : 1))
        var last = min(mean.count - 1, best + (edge == .below ? 2 : 1))
        let core = first...last
        let highest = mean[best].loss + settings.window * abs(mean[best].loss)
        while first > 0, mean[first - 1].loss <= highest { first -= 1 }
        while last < mean.count - 1, mean[last + 1].loss <= highest { last += 1 }
        guard let wide = Stretch(mean[first...last], losses, level: settings.level),
            let narrow = Stretch(mean[core], losses, level: settings.level)
        else {
            (state, bounds, noise, curvature) = (.insufficient, nil, nil, nil)
            return
        }
        if let edge {
            (bounds, noise, curvature) = (wide.bounds, wide.noise, nil)
            let distance = losses.distanceToDivergence(from: mean[best].logRate)
            if edge == .above, let distance, distance < Self.nearDivergence {
                state = .belowDivergence(resolution: distance)
            } else {
                state =
                    wide.isStraight && wide.isLevel || wide.isConstant ? .flat : .unbracketed(edge)
            }
            return
        }
        // A fine grid's three rates alone show little, and noise moves a vertex beyond them.
        let near = Self.near(mean[best].logRate, narrow.bounds)
        var chosen = narrow
        while first < core.lowerBound || last > core.upperBound {
            if let stretch = Stretch(mean[first...last], losses, level: settings.level),
                stretch.parabola.vertex.map(near.contains) ?? false,
                !stretch.isMissed(by: settings.tolerance * Stretch.missedPart)
            {
                chosen = stretch
                break
            }
            let dropsFirst =
                last == core.upperBound
                || first < core.lowerBound && mean[first].loss >= mean[last].loss
            if dropsFirst { first += 1 } else { last -= 1 }
        }
        let outer = [core.lowerBound - 1, core.upperBound + 1].filter(mean.indices.contains)
        if chosen.bounds == narrow.bounds,
            outer.contains(where: {
                narrow.overshoots(mean[$0], best: mean[best], by: settings.tolerance)
            })
        {
            state = .coarse
        } else if !wide.isStraight, !chosen.isStraight {
            state = .bracketed
        } else if let walls = losses.walls(around: mean[best].logRate),
            let between = Stretch(
                mean.filter { walls.contains($0.logRate) }[...], losses, level: settings.level),
            between.bounds == narrow.bounds
                || !between.isStraight && !between.isMissed(by: settings.tolerance)
        {
            chosen = between
            state = .bracketed
        } else {
            state = .flat
        }
        (bounds, noise) = (chosen.bounds, chosen.noise)
        curvature = chosen.parabola.curvature(level: settings.level).value
        if state == .bracketed {
            misfit = chosen.misfit(
                of: mean, near: near, others: [wide, narrow], tolerance: settings.tolerance)
        }
    }

    /// Returns the range from the best rate to its neighbors, or farther.
    private static func near(
        _ logRate: Double, _ neighbours: ClosedRange<Double>
    ) -> ClosedRange<Double> {
        min(
            neighbours.lowerBound, logRate - leastReach)...max(
                neighbours.upperBound, logRate + leastReach)
    }
}

/// Neighbouring rates of a batch, and the parabola through their mean losses.
private struct Stretch {
    /// The part of the tolerance by which a parabola may miss a loss.
    ///
    /// With a quarter, the misses at the best rate and at a rule's rate together stay below half of
    /// the regret that is judged.
    static let missedPart = 0.25
    /// The part of the losses up to which they are equal apart from rounding.
    private static let rounding = 1e-9
    /// The confidence level of what noise can explain. It is strict, because a window of many losses
    /// makes many comparisons.
    private static let noiseLevel = 0.99
    /// The variance of a third difference of four losses over that of one: 1 + 9 + 9 + 1.
    private static let thirdDifferenceVariance = 20.0
    /// The factor by which a parabola's dip, and its rise to the next rate, must exceed the tolerance
    /// and the measured rise. A factor of two separates a cliff from a merely lopsided valley.
    private static let overshoot = 2.0

    private let entries: ArraySlice<BatchLosses.MeanEntry>
    let bounds: ClosedRange<Double>
    let parabola: Parabola
    let noise: Noise?
    /// Whether the curvature's interval holds zero, or is not there and the curvature not positive.
    let isStraight: Bool
    /// Whether the slope's interval holds zero.
    let isLevel: Bool

    init?(_ entries: ArraySlice<BatchLosses.MeanEntry>, _ losses: BatchLosses, level: Double) {
        guard let first = entries.first, let last = entries.last,
            let parabola = Parabola(
                x: entries.map(\.logRate), y: entries.map(\.loss),
                weights: entries.map { Double($0.count) })
        else { return nil }
        self.entries = entries
        bounds = first.logRate...last.logRate
        self.parabola = parabola
        noise = losses.noise(from: first.logRate, to: last.logRate)
        let curvature = parabola.curvature(noise: noise, level: level)
        isStraight = curvature.value <= 0 || curvature.interval?.contains(0) ?? false
        isLevel = parabola.slope(noise: noise, level: level).interval?.contains(0) ?? false
    }

    /// Whether all losses are one but for rounding.
    var isConstant: Bool {
        let losses = entries.map(\.loss)
        guard let least = losses.min(), let greatest = losses.max() else { return true }
        return greatest - least <= Self.rounding * abs(greatest)
    }

    /// How far the vertex may lie from the least loss, in ln(rate), as the losses are no parabola.
    ///
    /// To the farthest of the vertices of other parabolas, of the minima of cubics through these losses
    /// and the next one on a side, all of them in `near`, and of rates that are as good as the best one
    /// although the parabola denies it. No bound, but of the size of what a valley with two unlike
    /// sides, or a wide floor, does to the vertex.
    func misfit(
        of mean: [BatchLosses.MeanEntry], near: ClosedRange<Double>, others: [Stretch],
        tolerance: Double
    ) -> Double {
        guard let vertex = parabola.vertex, let best = mean.min(by: { $0.loss < $1.loss }),
            let first = mean.firstIndex(where: { $0.logRate >= bounds.lowerBound }),
            let last = mean.lastIndex(where: { $0.logRate <= bounds.upperBound })
        else { return 0 }
        let cubics = [first - 1...last, first...last + 1]
            .filter { mean.indices.contains($0.lowerBound) && mean.indices.contains($0.upperBound) }
            .compactMap { Cubic(x: mean[$0].map(\.logRate), y: mean[$0].map(\.loss))?.minimum }
        let vertices = others.filter { !$0.isStraight }.compactMap(\.parabola.vertex)
        let turns = (cubics + vertices).map { min(max($0, near.lowerBound), near.upperBound) }
        let ties = mean.filter { entry in
            let excess = entry.loss - best.loss
            let denied = parabola(entry.logRate) - parabola(best.logRate) - excess
            let reach = noise.map { Self.reach($0, variance: 1 / Double(entry.count)) } ?? 0
            let least = tolerance * Self.missedPart
            return excess <= least && denied > max(least, reach)
        }.map(\.logRate)
        return (turns + ties).map { abs($0 - vertex) }.max() ?? 0
    }

    /// Whether a mean loss lies off the parabola by more than `least` and than noise can explain;
    /// where no noise is known, nothing is said.
    func isMissed(by least: Double) -> Bool {
        guard let noise else { return false }
        return entries.contains { entry in
            abs(entry.loss - parabola(entry.logRate))
                > max(least, Self.reach(noise, variance: 1 / Double(entry.count)))
        }
    }

    /// Whether the parabola of three rates turns lower than the best loss by more than twice
    /// `least`, and makes nothing of it: at the rate next to them it is twice as far above the best
    /// loss as that rate's own loss, by more than `least` and than noise can explain. Where no
    /// noise is known, nothing is said.
    func overshoots(
        _ outer: BatchLosses.MeanEntry, best: BatchLosses.MeanEntry, by least: Double
    ) -> Bool {
        guard let noise, let vertex = parabola.vertex,
            best.loss - parabola(vertex) > Self.overshoot * least
        else {
            return false
        }
        let predicted = parabola(outer.logRate) - best.loss
        let actual = outer.loss - best.loss
        // At equal spacings the difference is 1, -3, 3 and -1 times the four losses.
        let reach = Self.reach(
            noise, variance: Self.thirdDifferenceVariance / Double(best.count))
        return actual < predicted / Self.overshoot && predicted - actual > max(least, reach)
    }

    /// What noise can explain, but for one time in a hundred, in a sum whose variance is so many
    /// times that of a loss.
    private static func reach(_ noise: Noise, variance: Double) -> Double {
        (variance * noise.variance).squareRoot()
            * StudentT.twoSided(level: noiseLevel, degreesOfFreedom: noise.degreesOfFreedom)
    }
}
