import Glibc
import Statistics

/// A law of the best rate against the batch B.
package enum RateLaw: String, Sendable, Equatable, CaseIterable {
    /// The same rate at every batch.
    case constant
    /// A rate proportional to B^(1/2).
    case squareRoot = "square root"
    /// A rate proportional to B.
    case linear
    /// A rate proportional to B^p.
    case power
    /// The rate rate_max / (1 + Bn / B) with the noise scale Bn (McCandlish et al. 2018, for SGD).
    case saturating
    /// The rate rate_max / (1 + Bn / B)^a with a in [1/2, 1] (McCandlish et al. 2018, for Adam).
    case saturatingPower = "saturating power"
    /// The rate rate_max / ((sqrt(Bn / B) + sqrt(B / Bn)) / 2), which is greatest at Bn (Li et al.
    /// 2024, for Adam).
    case surge

    /// Returns whether the interval of an exponent excludes that of the law, if the law fixes it.
    func isExcluded(by exponent: Estimate?) -> Bool {
        guard let own = self.exponent, let interval = exponent?.interval else { return false }
        return !interval.widened(by: 1e-9).contains(own)
    }

    /// The exponent of a law that fixes it, or nil for a law whose exponent is fitted or depends on
    /// the batch.
    var exponent: Double? {
        switch self {
        case .constant: 0
        case .squareRoot: 0.5
        case .linear: 1
        case .power, .saturating, .saturatingPower, .surge: nil
        }
    }
}

/// A law fitted to the best rates by least squares in ln(rate).
package struct RateModel: Sendable, Equatable {
    /// A parameter of a law with its estimate.
    package struct Parameter: Sendable, Equatable {
        /// The name: "rate" (at B = 1), "rate_max", "exponent" or "Bn" (in sequences).
        package let name: String
        package let estimate: Estimate
    }

    package let law: RateLaw
    package let parameters: [Parameter]
    package let residualSumOfSquares: Double
    /// The side on which Bn lies so far outside the batches that they do not show it, or nil if
    /// they show it.
    package let noiseScaleOutside: Side?
    /// Akaike's corrected criterion, or nil if the batches are too few for the law's parameters.
    package let criterion: Double?
    /// The criterion minus the best law's, or nil without a criterion.
    package internal(set) var delta: Double?
    /// Akaike's weight among the laws that have a criterion, or nil without a criterion.
    package internal(set) var weight: Double?
}

extension RateModel {
    /// The variance of ln(rate) below which residuals are rounding errors, in a rate's ninth digit.
    private static let leastVariance = 1e-18

    /// Fits one law.
    ///
    /// Returns nil if the batches are too few to determine its parameters.
    init?(_ law: RateLaw, batches: [Double], rates: [Double], level: Double) {
        let y = rates.map { log($0) }
        let logs = batches.map { log($0) }
        switch law {
        case .constant: self.init(law, exponent: 0, logs, y, level: level)
        case .squareRoot: self.init(law, exponent: 0.5, logs, y, level: level)
        case .linear: self.init(law, exponent: 1, logs, y, level: level)
        case .power:
            guard let fit = linearLeastSquares(logs.map { [1, $0] }, observations: y) else {
                return nil
            }
            self.init(
                law,
                [
                    ("rate", fit.estimate(0, level: level).mapped(exp)),
                    ("exponent", fit.estimate(1, level: level)),
                ], fit.residualSumOfSquares, count: y.count)
        case .saturating:
            let fit = ScaleFit(x: batches, y: y, level: level) { -softplus($0) }
            guard let fit else { return nil }
            self.init(law, fit, count: y.count)
        case .surge:
            let fit = ScaleFit(x: batches, y: y, level: level) { -logCosh($0 / 2) }
            guard let fit else { return nil }
            self.init(law, fit, count: y.count)
        case .saturatingPower: self.init(saturatingPower: batches, y, level)
        }
    }

    private init(
        _ law: RateLaw, _ parameters: [(String, Estimate)], _ squares: Double, count: Int,
        outside: Side? = nil
    ) {
        self.law = law
        self.parameters = parameters.map { Parameter(name: $0.0, estimate: $0.1) }
        residualSumOfSquares = squares
        noiseScaleOutside = outside
        criterion = InformationCriterion.corrected(
            residualSumOfSquares: squares, count: count, parameterCount: parameters.count + 1,
            leastVariance: Self.leastVariance)
    }

    private init(
        _ law: RateLaw, exponent: Double, _ logs: [Double], _ y: [Double], level: Double
    ) {
        let sample = Sample(zip(logs, y).map { $1 - exponent * $0 })
        self.init(
            law, [("rate", sample.meanEstimate(level: level).mapped(exp))],
            (sample.variance ?? 0) * Double(sample.count - 1), count: sample.count)
    }

    private init(_ law: RateLaw, _ fit: ScaleFit, count: Int) {
        self.init(
            law, [("rate_max", fit.offset.mapped(exp)), ("Bn", fit.logScale.mapped(exp))],
            fit.residualSumOfSquares, count: count, outside: fit.scaleOutside)
    }

    /// Fits the saturating power.
    ///
    /// The fit starts from the best of several fixed exponents within the bounds. If the free fit
    /// leaves the bounds, the result is the fit with that fixed exponent.
    private init?(saturatingPower batches: [Double], _ y: [Double], _ level: Double) {
        let bounds = 0.5...1.0
        let starts = stride(from: bounds.lowerBound, through: bounds.upperBound, by: 0.1)
            .compactMap { exponent in
                ScaleFit(x: batches, y: y, level: level) { -exponent * softplus($0) }
                    .map { (exponent: exponent, fit: $0) }
            }
        guard
            let start = starts.min(by: {
                $0.fit.residualSumOfSquares < $1.fit.residualSumOfSquares
            })
        else { return nil }
        let free = nonlinearLeastSquares(
            start: [start.fit.offset.value, start.fit.logScale.value, start.exponent],
            count: y.count
        ) { parameters in
            zip(batches, y).map {
                $1 - parameters[0] + parameters[2] * softplus(parameters[1] - log($0))
            }
        }
        let logs = batches.map { log($0) }
        if let free, bounds.contains(free.parameters[2]), start.fit.scaleOutside == nil,
            let least = logs.min(), let greatest = logs.max(),
            ScaleFit.range(least...greatest).contains(free.parameters[1])
        {
            self.init(
                .saturatingPower,
                [
                    ("rate_max", free.estimate(0, level: level).mapped(exp)),
                    ("Bn", free.estimate(1, level: level).mapped(exp)),
                    ("exponent", free.estimate(2, level: level)),
                ], free.residualSumOfSquares, count: y.count)
        } else {
            self.init(
                .saturatingPower,
                [
                    ("rate_max", start.fit.offset.mapped(exp)),
                    ("Bn", start.fit.logScale.mapped(exp)),
                    ("exponent", Estimate(start.exponent)),
                ], start.fit.residualSumOfSquares, count: y.count,
                outside: start.fit.scaleOutside)
        }
    }
}
