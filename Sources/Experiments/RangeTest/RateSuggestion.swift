import Glibc

/// A learning rate that a curve suggests, or the reason why it suggests none.
package enum RateSuggestion: Sendable, Equatable {
    /// A rate, and the smoothed loss at the point from which it was read.
    case rate(Double, loss: Double)
    case none(NoSuggestion)

    package var rate: Double? {
        if case .rate(let rate, _) = self { rate } else { nil }
    }
}

/// The reason why a curve suggests no rate.
package enum NoSuggestion: String, Sendable {
    case tooFewPoints = "too few losses before the end"
    case neverFalls = "the loss does not fall by more than noise"
    case fallsToTheEnd = "the loss still falls at the end of the ramp"
}

/// The rules that read a rate from the smoothed losses of a range test.
///
/// Each is a function of rising rates, their losses, and the least fall of the losses that counts.
/// The rules are fastai's (`fastai/callback/schedule.py`).
package enum RateRule {
    /// The fewest points that a rule accepts.
    package static let fewestPoints = 5
    /// The divisor of the rate with the least loss. fastai divides by 10, because training near the
    /// rate at which the loss begins to rise is at the edge of divergence.
    private static let safetyFactor = 10.0

    /// Returns the reason why no rule can suggest a rate, or nil if the rules apply.
    private static func refusal(
        _ rates: [Double], _ losses: [Double], leastFall: Double
    ) -> NoSuggestion? {
        precondition(rates.count == losses.count, "every rate must have a loss")
        guard rates.count >= fewestPoints else { return .tooFewPoints }
        let fall = losses[0] - (losses.min() ?? losses[0])
        return fall > max(0, leastFall) ? nil : .neverFalls
    }

    /// Returns the rate halfway into the longest valley, which is the longest falling subsequence
    /// of the losses.
    ///
    /// The position is counted back from the last loss of the valley by its length. Half the length
    /// is a third plus a sixth, each rounded down.
    package static func valley(
        _ rates: [Double], _ losses: [Double], leastFall: Double = 0
    ) -> RateSuggestion {
        if let refusal = refusal(rates, losses, leastFall: leastFall) { return .none(refusal) }
        // ends[k] is the greatest loss that ends a falling subsequence of k + 1 losses. It falls as
        // k rises.
        var ends: [Double] = []
        var last = 0
        for (place, loss) in losses.enumerated() {
            let length = ends.firstIndex(notAbove: loss)
            if length == ends.count {
                ends.append(loss)
                last = place
            } else {
                ends[length] = loss
            }
        }
        let third = Double(ends.count) / 3
        let place = max(0, last - ends.count + Int(third) + Int(third / 2))
        return .rate(rates[place], loss: losses[place])
    }

    /// Returns the rate at which the loss falls fastest with the logarithm of the rate.
    package static func steepest(
        _ rates: [Double], _ losses: [Double], leastFall: Double = 0
    ) -> RateSuggestion {
        if let refusal = refusal(rates, losses, leastFall: leastFall) { return .none(refusal) }
        var (best, least) = (0, Double.infinity)
        for place in 0..<rates.count - 1 {
            let slope =
                (losses[place + 1] - losses[place]) / (log(rates[place + 1]) - log(rates[place]))
            if slope < least { (best, least) = (place, slope) }
        }
        return .rate(rates[best], loss: losses[best])
    }

    /// Returns a tenth of the rate with the least smoothed loss. Smoothing lags behind, so the loss
    /// itself already rises at the least smoothed loss.
    ///
    /// - Parameter isWhole: whether the ramp was completed. Then a least loss at its end may not be
    ///   the least possible.
    package static func tenthOfMinimum(
        _ rates: [Double], _ losses: [Double], leastFall: Double = 0, isWhole: Bool = false
    ) -> RateSuggestion {
        if let refusal = refusal(rates, losses, leastFall: leastFall) { return .none(refusal) }
        var best = 0
        for place in losses.indices where losses[place] < losses[best] { best = place }
        if isWhole, best == losses.count - 1 { return .none(.fallsToTheEnd) }
        return .rate(rates[best] / safetyFactor, loss: losses[best])
    }
}

extension [Double] {
    /// Returns the index of the first of these falling numbers that is not above `number`, or
    /// `count` if all are above it.
    fileprivate func firstIndex(notAbove number: Double) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] > number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
