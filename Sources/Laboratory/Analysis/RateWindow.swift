import Statistics

/// The rates around a batch's least mean loss to which parabolas are fitted, the same for all seeds.
///
/// One window for all seeds keeps a single noisy run from choosing the points it is judged by.
struct RateWindow {
    enum State: Equatable {
        case bracketed
        case flat
        case unbracketed(Side)
        case insufficient
    }

    let state: State
    /// The bounds in ln(rate); nil where there are too few rates.
    let bounds: ClosedRange<Double>?
    /// The noise of a single run there; nil where there is nothing to judge it by.
    let noise: Noise?

    /// Chooses the window and judges whether it holds an optimum.
    ///
    /// The window is the best rate and its neighbours, and what follows on either side while the
    /// loss stays within a part `window` of the best. Where the parabola through all of that turns
    /// outside the best rate's neighbours, its sides are too unlike, and the window is those three.
    /// The batch is flat where the curvature's interval (at the grid's edge, the slope's as well)
    /// holds zero, in the wide window or in the narrow one: three rates that noise chose for their
    /// middle's loss always curve.
    init(_ losses: BatchLosses, window: Double, level: Double) {
        let mean = losses.mean.filter(\.loss.isFinite)
        let best = mean.indices.min { mean[$0].loss < mean[$1].loss }
        guard let best, mean.count >= 3 else {
            (state, bounds, noise) = (.insufficient, nil, nil)
            return
        }
        let edge: Side? = best == 0 ? .below : best == mean.count - 1 ? .above : nil
        // At an edge there are three rates as well, to tell a slope from noise.
        var first = max(0, best - (edge == .above ? 2 : 1))
        var last = min(mean.count - 1, best + (edge == .below ? 2 : 1))
        let core = mean[first...last]
        let highest = mean[best].loss + window * abs(mean[best].loss)
        while first > 0, mean[first - 1].loss <= highest { first -= 1 }
        while last < mean.count - 1, mean[last + 1].loss <= highest { last += 1 }
        let wide = Stretch(mean[first...last], losses, level: level)
        let narrow = Stretch(core, losses, level: level)
        guard let wide, let narrow else {
            (state, bounds, noise) = (.insufficient, nil, nil)
            return
        }
        if let edge {
            (bounds, noise) = (wide.bounds, wide.noise)
            state = wide.isStraight && wide.isLevel ? .flat : .unbracketed(edge)
            return
        }
        let turnsInside = wide.parabola.vertex.map(narrow.bounds.contains) ?? false
        let chosen = turnsInside ? wide : narrow
        (bounds, noise) = (chosen.bounds, chosen.noise)
        state = wide.isStraight || chosen.isStraight ? .flat : .bracketed
    }
}

/// Neighbouring rates of a batch, and the parabola through their mean losses.
private struct Stretch {
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
        bounds = first.logRate...last.logRate
        self.parabola = parabola
        noise = losses.noise(from: first.logRate, to: last.logRate)
        let curvature = parabola.curvature(noise: noise, level: level)
        isStraight = curvature.value <= 0 || curvature.interval?.contains(0) ?? false
        isLevel = parabola.slope(noise: noise, level: level).interval?.contains(0) ?? false
    }
}
