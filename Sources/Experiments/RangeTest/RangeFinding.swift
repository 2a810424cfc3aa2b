import Support

/// The findings of a range test: three suggestions and a recommendation.
package struct RangeFinding: Sendable, Equatable {
    package struct Recommendation: Sendable, Equatable {
        /// The rate to train with; nil if there is none.
        package var rate: Double?
        /// The reason for the rate, or why there is none and a remedy.
        package let reason: String
    }

    package let valley: RateSuggestion
    package let steepest: RateSuggestion
    package let tenthOfMinimum: RateSuggestion
    package let recommendation: Recommendation

    /// Reads a curve that has ended.
    package init(_ curve: RangeCurve) {
        let points = curve.considered
        let rates = points.map(\.rate)
        let losses = points.map(\.smoothed)
        let fall = curve.leastFall
        valley = RateRule.valley(rates, losses, leastFall: fall)
        steepest = RateRule.steepest(rates, losses, leastFall: fall)
        tenthOfMinimum = RateRule.tenthOfMinimum(
            rates, losses, leastFall: fall, isWhole: curve.ending == .complete)
        recommendation = Self.recommendation(curve, valley: valley, tenthOfMinimum: tenthOfMinimum)
    }

    /// The suggestions with their names, in the order of the table.
    package var suggestions: [(name: String, suggestion: RateSuggestion)] {
        [("valley", valley), ("steepest", steepest), ("minimum/10", tenthOfMinimum)]
    }

    /// Returns the lower of the valley and a tenth of the minimum, if both are known.
    ///
    /// A rate that is too low costs some steps, but one that is too high costs the run. The valley
    /// depends on how long the loss falls, and the minimum on where the fall stops. If the loss
    /// falls late and fast, the valley may lie within a few steps of divergence; the minimum then
    /// gives the lower rate. The steepest point depends on a noisy derivative, so it is only shown.
    private static func recommendation(
        _ curve: RangeCurve, valley: RateSuggestion, tenthOfMinimum: RateSuggestion
    ) -> Recommendation {
        let ramp = curve.ramp
        let reason: String
        switch (valley, tenthOfMinimum) {
        case (.rate(let valley, _), .rate(let tenth, _)):
            guard min(valley, tenth) >= ramp.from else {
                reason =
                    "the loss is least at the beginning of the ramp, so a safe rate lies below "
                    + "it; give --from a hundredth of \(ramp.from)"
                break
            }
            if valley <= tenth {
                return Recommendation(
                    rate: valley,
                    reason: "the valley, halfway into the longest fall of the loss and not above a "
                        + "tenth of the rate where it is least")
            }
            return Recommendation(
                rate: tenth,
                reason: "a tenth of the rate where the loss is least, because the valley lies "
                    + "above it and therefore too close to where the loss rises")
        case (.none(.tooFewPoints), _), (_, .none(.tooFewPoints)):
            reason =
                curve.ending == .complete
                ? "there are too few losses; give --steps 100 or more"
                : "the loss diverged after \(curve.points.count) of \(ramp.steps) steps; give "
                    + lowerRates(ramp)
        case (.none(.neverFalls), _), (_, .none(.neverFalls)):
            reason =
                curve.ending == .complete && !curve.rises
                ? "the loss never falls by more than the noise of single batches; give --to "
                    + "more than \(ramp.to), --steps more than \(ramp.steps), or both"
                : "the loss rises before it has fallen by more than the noise of single "
                    + "batches; give \(lowerRates(ramp)), --steps more than \(ramp.steps), or both"
        case (.none(.fallsToTheEnd), _), (_, .none(.fallsToTheEnd)):
            reason =
                "the loss still falls at the end of the ramp, so better rates may lie beyond "
                + "it; give --to more than \(ramp.to)"
        }
        return Recommendation(reason: reason)
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
