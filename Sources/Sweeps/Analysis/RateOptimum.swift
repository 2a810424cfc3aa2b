import Glibc
import Statistics

/// The rate with the least loss, or why there is none.
package enum RateOptimum: Sendable, Equatable {
    case found(BestRate)
    /// The least loss is at the grid's lowest or highest rate: the grid must extend to that side.
    case unbracketed(Side)
    /// The losses of the rates differ by no more than noise does.
    case flat
    /// The loss rises so abruptly beside the least one that the grid does not show where it turns.
    case coarse
    /// Fewer than three rates reached the mark without diverging.
    case insufficient

    package var best: BestRate? {
        if case .found(let best) = self { best } else { nil }
    }
}

/// Where a parabola in ln(rate) has its least loss; beside a rate that diverges, the grid's least.
package struct BestRate: Sendable, Equatable {
    package let rate: Double
    /// In nats a token.
    package let loss: Double
    /// Of the rate; symmetric in ln(rate). Nil where there is nothing to judge the noise by.
    package let interval: Interval?
    /// How far off the grid's least may be in ln(rate); 0 for a parabola's.
    package let resolution: Double
    /// How far off a parabola's vertex may be in ln(rate), as the losses are none; 0 for a single
    /// seed's.
    package let misfit: Double

    package init(
        rate: Double, loss: Double, interval: Interval?, resolution: Double = 0, misfit: Double = 0
    ) {
        self.rate = rate
        self.loss = loss
        self.interval = interval
        self.resolution = resolution
        self.misfit = misfit
    }

    package var logRate: Double { log(rate) }

    /// How far off it may be in ln(rate) for what all seeds have in common.
    var commonError: Double { resolution + misfit }
}

/// One seed's best rate at one batch.
package struct SeedOptimum: Sendable, Equatable {
    package let seed: UInt64
    package let optimum: RateOptimum
    /// The runs it rests on.
    package let losses: RateLosses
    /// What the losses inside the bounds are smoothed by; nil where no optimum was found.
    let parabola: Parabola?
    /// In ln(rate): of the parabola's points, or of the batch's window.
    let bounds: ClosedRange<Double>?

    /// Fits this seed's parabola.
    ///
    /// Over the batch's window if that turns within it, else over the seed's own least loss and its
    /// neighbours, else over the window with the curvature that the seeds have together: one whose
    /// noise hides its own tells where it lies on that.
    init(_ losses: RateLosses, window: RateWindow, level: Double) {
        seed = losses.seed
        self.losses = losses
        var found: (parabola: Parabola, bounds: ClosedRange<Double>, vertex: Estimate)?
        if window.state == .bracketed, let bounds = window.bounds {
            found =
                Self.fit(losses.inside(bounds), noise: window.noise, level: level)
                ?? Self.fit(losses.aroundLeast, noise: window.noise, level: level)
                ?? Self.fit(
                    losses.inside(bounds), noise: window.noise, level: level,
                    curvature: window.curvature)
        }
        parabola = found?.parabola
        if case .belowDivergence(let resolution) = window.state,
            let least = losses.finite.min(by: { $0.loss < $1.loss })
        {
            bounds = nil
            optimum = .found(
                BestRate(
                    rate: exp(least.logRate), loss: least.loss, interval: nil,
                    resolution: resolution))
            return
        }
        bounds = found?.bounds ?? window.bounds
        if let found {
            optimum = .found(
                BestRate(
                    rate: exp(found.vertex.value), loss: found.parabola(found.vertex.value),
                    interval: found.vertex.interval?.mapped(exp)))
        } else {
            optimum =
                switch window.state {
                case .bracketed, .belowDivergence: losses.stateWithoutFit
                case .coarse: .coarse
                case .flat: .flat
                case .unbracketed(let side): .unbracketed(side)
                case .insufficient: .insufficient
                }
        }
    }

    private static func fit(
        _ entries: ArraySlice<RateLosses.Entry>, noise: Noise?, level: Double,
        curvature: Double? = nil
    ) -> (parabola: Parabola, bounds: ClosedRange<Double>, vertex: Estimate)? {
        guard let first = entries.first, let last = entries.last,
            let parabola = Parabola(
                x: entries.map(\.logRate), y: entries.map(\.loss), curvature: curvature),
            parabola.curvature(level: level).value > 0,
            let vertex = parabola.vertexEstimate(noise: noise, level: level),
            (first.logRate...last.logRate).contains(vertex.value)
        else { return nil }
        return (parabola, first.logRate...last.logRate, vertex)
    }

    /// The loss at a rate: from the parabola inside its window, else interpolated.
    func lookup(_ logRate: Double) -> RateLosses.Lookup {
        if let parabola, let bounds, bounds.contains(logRate) { return .loss(parabola(logRate)) }
        return losses.lookup(logRate)
    }

    /// How much the losses inside the bounds differ, in nats.
    var spread: Double {
        let inside = bounds.map { losses.inside($0).map(\.loss) } ?? []
        guard let least = inside.min(), let most = inside.max() else { return 0 }
        return most - least
    }

    /// The best loss that rules are measured against; nil without a run that did not diverge.
    ///
    /// The parabola's least; in a flat window the mean, as the least of noisy losses would be too
    /// low; else the grid's least, which the true best may undercut.
    var referenceLoss: Double? {
        switch optimum {
        case .found(let best): return best.loss
        case .flat:
            let inside = bounds.map { losses.inside($0) } ?? []
            return inside.isEmpty ? nil : Sample(inside.map(\.loss)).mean
        case .unbracketed, .coarse, .insufficient: return losses.finite.map(\.loss).min()
        }
    }
}

extension RateLosses {
    /// The entries between two ln(rate), without those that diverged.
    fileprivate func inside(_ bounds: ClosedRange<Double>) -> ArraySlice<Entry> {
        finite.filter { entry in
            bounds.contains(entry.logRate) || isSameRate(entry.logRate, bounds.lowerBound)
                || isSameRate(entry.logRate, bounds.upperBound)
        }[...]
    }

    /// The least loss's entry and its two neighbours, without those that diverged.
    fileprivate var aroundLeast: ArraySlice<Entry> {
        let finite = finite
        guard let least = finite.indices.min(by: { finite[$0].loss < finite[$1].loss }),
            least > 0, least < finite.count - 1
        else { return [] }
        return finite[least - 1...least + 1]
    }

    /// Why a seed has no optimum although its batch's mean has one.
    fileprivate var stateWithoutFit: RateOptimum {
        let finite = finite
        guard finite.count >= 3,
            let least = finite.indices.min(by: { finite[$0].loss < finite[$1].loss })
        else { return .insufficient }
        switch least {
        case 0: return .unbracketed(.below)
        case finite.count - 1: return .unbracketed(.above)
        // A least loss inside that three rates do not curve around: they are equal.
        default: return .flat
        }
    }
}
