import Support

/// The learning rate that a range test and its probes recommend.
package struct RateRecommendation: Sendable, Equatable {
    /// The rate to train with; nil if there is none.
    package let rate: Double?
    /// The reason for the rate, or why there is none and a remedy.
    package let reason: String

    /// Reads a curve that has ended and the search that began with it.
    ///
    /// - Parameter search: the finished search; nil if the curve gave no rate to begin with.
    package init(_ curve: RangeCurve, _ search: RateSearch?) {
        guard let search else {
            self.init(rate: nil, reason: Self.refusal(curve))
            return
        }
        guard let good = search.goodRates else {
            self.init(
                rate: nil,
                reason: "the loss diverged in all \(search.probes.count) probes; give "
                    + lowerRates(curve.ramp))
            return
        }
        let ends = [good.lowest, good.highest].map { Format.significant($0, digits: 2) }
        let noise = search.noise.map { " (noise \(Format.significant($0, digits: 1)))" } ?? ""
        var reason =
            "in the lower part of the rates from \(ends[0]) to \(ends[1]), whose loss after "
            + "\(Format.count(search.probeSteps)) steps is within "
            + "\(Format.significant(search.tolerance, digits: 2)) nats of the least\(noise)"
        if good.isOpenBelow || good.isOpenAbove {
            reason +=
                ", and \(good.isOpenAbove ? "higher" : "lower") rates may be as good; "
                + "give --probe-steps more than \(search.probeSteps)"
        }
        if good.isNarrow, search.probeSteps < RateProbe.usualSteps {
            reason +=
                "; so narrow a range may be chance; confirm it with --probe-steps "
                + "\(RateProbe.usualSteps) or more"
        }
        self.init(rate: good.recommended, reason: reason + Self.others(search))
    }

    /// Returns a clause about the other ranges of good rates; empty if there is only one.
    private static func others(_ search: RateSearch) -> String {
        let others = search.goodRanges.dropFirst().map { range in
            "\(Format.significant(range.lowest, digits: 2)) to "
                + Format.significant(range.highest, digits: 2)
        }
        guard !others.isEmpty else { return "" }
        return "; rates from \(Format.list(others)) are as good after these steps, with worse "
            + "rates between, and the lowest range is recommended because a rate that is too high "
            + "costs more"
    }

    private init(rate: Double?, reason: String) {
        self.rate = rate
        self.reason = reason
    }

    /// Returns why a curve without a starting rate has none, and a remedy.
    private static func refusal(_ curve: RangeCurve) -> String {
        let ramp = curve.ramp
        let isComplete = curve.ending == .complete
        guard curve.fall != nil else {
            return isComplete
                ? "there are too few losses; give --steps 100 or more"
                : "the loss diverged after \(curve.points.count) of \(ramp.steps) steps; give "
                    + lowerRates(ramp)
        }
        return isComplete && !curve.rises
            ? "the loss never falls by more than the noise of single batches; give --to more than "
                + "\(ramp.to), --steps more than \(ramp.steps), or both"
            : "the loss rises before it has fallen by more than the noise of single batches; give "
                + "\(lowerRates(ramp)), --steps more than \(ramp.steps), or both"
    }
}

/// Returns the option for a ramp with lower rates. A linear ramp needs a lower end, because its
/// first steps are already close to its highest rates wherever it begins.
private func lowerRates(_ ramp: RateRamp) -> String {
    switch ramp.shape {
    case .geometric: "--from \(Format.significant(ramp.from / 100, digits: 3))"
    case .linear: "--to \(Format.significant(ramp.to / 100, digits: 3))"
    }
}
