/// The reason that a rule neither holds nor fails at a batch, or the smallest model's rate at a
/// larger model.
package enum UndecidedCause: Sendable, Equatable {
    /// The base has no best rate to scale.
    case unknownBaseRate
    case unknownBestRate
    /// The tolerance lies within the regret's interval.
    case containsTolerance
    /// The regret has no interval, because the batch has one seed.
    case oneSeed
    /// The rule's rate has no interval, because the base has one seed.
    case oneBaseSeed
    /// The seeds have too few rates in common for an interval.
    case fewCommonRates
    /// The interval of the rule's rate reaches a rate that diverged for some seed.
    case reachesDivergence(Divergence)
    case reachesBeyondGrid
    /// The rule's rate diverged, but only for one seed.
    case diverged(Divergence)
    /// The rule's rate diverged, but the interval of that rate contains rates that train.
    case divergedNearRatesThatTrain(Divergence)
    case belowDivergence(Divergence)
    case outsideGrid(Side)
    /// The rule gives no rate.
    case noRate
    /// No run can be compared.
    case noRun

    /// The things that are compared.
    enum Subject {
        /// The batches of a sweep, at which a rule is judged.
        case batches
        /// Models, at which the smallest one's rate is judged.
        case models
    }

    /// Returns the cause as a clause without a full stop.
    func reason(for subject: Subject) -> String {
        let isBatch = subject == .batches
        let (own, base) = isBatch ? ("batch", "the base batch") : ("model", "the smallest model")
        let rate = isBatch ? "the rule's rate" : "the smallest model's rate"
        switch self {
        case .unknownBaseRate: return "\(base) has no best rate to \(isBatch ? "scale" : "keep")"
        case .unknownBestRate: return "the \(own)'s best rate is unknown"
        case .containsTolerance: return "the regret's interval contains the tolerance"
        case .oneSeed: return "one seed gives no interval"
        case .oneBaseSeed: return "the one seed of \(base) gives no interval"
        case .fewCommonRates: return "the seeds have too few rates in common for an interval"
        case .reachesDivergence(let divergence):
            return "the interval of \(rate) reaches a rate at which \(divergence.words)"
        case .reachesBeyondGrid: return "the interval of \(rate) extends beyond the grid"
        case .diverged(let divergence): return divergence.words
        case .divergedNearRatesThatTrain(let divergence):
            return "\(divergence.words), but the interval of \(rate) contains rates that train"
        case .belowDivergence(let divergence):
            return "\(rate) lies between the highest rate that trains and one at which "
                + divergence.words
        case .outsideGrid(let side): return "\(rate) lies \(side.rawValue) the grid"
        case .noRate: return "the rule gives no rate"
        case .noRun: return "no run reached the steps or tokens of the comparison"
        }
    }
}

extension Divergence {
    /// A clause such as "1 of 3 seeds diverged".
    fileprivate var words: String {
        guard seeds > 1 else { return "the only seed diverged" }
        return diverged == seeds
            ? "all \(seeds) seeds diverged" : "\(diverged) of \(seeds) seeds diverged"
    }
}
