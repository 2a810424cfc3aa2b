import Statistics

/// The rates around a batch's least typical loss to which a valley is fitted, the same for all
/// seeds.
///
/// One window for all seeds keeps a single noisy run from choosing the points it is judged by.
struct RateWindow {
    enum State: Equatable {
        /// The least loss has a rate that is worse on either side.
        case bracketed
        /// The least loss is at the highest rate that trains, next to one that diverges at a
        /// distance of `resolution` in ln(rate).
        case belowDivergence(resolution: Double)
        /// Noise hides the valley.
        case flat
        /// The least loss is at the edge of the grid.
        case unbracketed(Side)
        /// There are fewer than three rates.
        case insufficient
    }

    let state: State
    /// The bounds in ln(rate), or nil if there are too few rates.
    let bounds: ClosedRange<Double>?
    /// ln(rate) of the least typical loss.
    let best: Double?
    /// The sides on which the rate at the edge of the grid is inside the window, except above if a
    /// rate that diverges is within `finestSpacing`.
    let openSides: [Side]
    /// The noise of a single run, or nil if it is unknown.
    let noise: Noise?

    /// The distance in ln(rate) below which two rates are not worth telling apart. A diverging rate
    /// at such a distance ends the search above the best rate.
    ///
    /// It is a factor of 1.2. Between two rates that are this close, the loss changes by less than
    /// runs of different seeds do.
    static let finestSpacing = 0.2
    /// The least loss, in nats, of which the window is a fraction. Otherwise the window of a small
    /// loss would contain few rates.
    private static let leastScale = 2.0
    /// The relative difference of losses that are equal except for rounding.
    private static let rounding = 1e-9

    /// Chooses the window.
    ///
    /// It contains the best rate, its neighbors, and the rates on either side up to which the loss
    /// exceeds the least one by at most a fraction `settings.window` of it, or of 2 nats.
    ///
    /// A batch whose least loss is at the edge of the grid is flat if the intervals of the slope
    /// and of the curvature contain zero, or if its losses are equal.
    init(_ losses: BatchLosses, _ settings: AnalysisSettings) {
        let (window, level) = (settings.window, settings.level)
        let entries = losses.entries.filter(\.loss.isFinite)
        let least = entries.indices.min { entries[$0].loss < entries[$1].loss }
        guard let least, entries.count >= 3 else {
            (state, bounds, best, noise, openSides) = (.insufficient, nil, nil, nil, [])
            return
        }
        best = entries[least].logRate
        let edge: Side? = least == 0 ? .below : least == entries.count - 1 ? .above : nil
        // At an edge, two rates would not distinguish a slope from noise.
        var first = max(0, least - (edge == .above ? 2 : 1))
        var last = min(entries.count - 1, least + (edge == .below ? 2 : 1))
        let highest =
            entries[least].loss + window * max(abs(entries[least].loss), Self.leastScale)
        while first > 0, entries[first - 1].loss <= highest { first -= 1 }
        while last < entries.count - 1, entries[last + 1].loss <= highest { last += 1 }
        bounds = entries[first].logRate...entries[last].logRate
        let beyond = losses.distanceToDivergence(from: entries[last].logRate) ?? .infinity
        openSides =
            (first == 0 && entries[first].loss <= highest ? [.below] : [])
            + (last == entries.count - 1 && entries[last].loss <= highest
                && beyond >= Self.finestSpacing ? [.above] : [])
        noise = losses.noise(from: entries[first].logRate, to: entries[last].logRate)
        guard let edge else {
            state = .bracketed
            return
        }
        let distance = losses.distanceToDivergence(from: entries[least].logRate)
        if edge == .above, let distance, distance < Self.finestSpacing {
            state = .belowDivergence(resolution: distance)
        } else {
            let shape = Shape(entries[first...last], noise, level: level)
            let losses = entries[first...last].map(\.loss)
            let spread = (losses.max() ?? 0) - (losses.min() ?? 0)
            let isConstant = spread <= Self.rounding * abs(entries[least].loss)
            state = shape.isStraight && shape.isLevel || isConstant ? .flat : .unbracketed(edge)
        }
    }

    /// The tests whether a parabola through typical losses differs from a constant.
    private struct Shape {
        /// Whether the interval of the curvature contains zero, or the curvature is not positive.
        let isStraight: Bool
        /// Whether the interval of the slope contains zero.
        let isLevel: Bool

        init(_ entries: ArraySlice<BatchLosses.TypicalLoss>, _ noise: Noise?, level: Double) {
            let parabola = Parabola(
                x: entries.map(\.logRate), y: entries.map(\.loss),
                weights: entries.map { Double($0.count) })
            let curvature = parabola?.curvature(noise: noise, level: level)
            isStraight =
                curvature.map { $0.value <= 0 || $0.interval?.contains(0) ?? false } ?? true
            isLevel =
                parabola?.slope(noise: noise, level: level).interval?.contains(0) ?? false
        }
    }
}
