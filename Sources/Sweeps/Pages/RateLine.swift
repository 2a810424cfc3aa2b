import Glibc
import Report
import Statistics
import Support
import Verdicts

/// The power law of the best rates, or the two laws that meet at a batch, as a line in a chart.
struct RateLine {
    let name: String
    /// The rates, with the interval of the fit if there is one law.
    let points: [LineChart.Point]

    /// Creates the line of a design's best rates against the batch.
    ///
    /// Returns nil if no law fits the best rates, or fewer than two batches have one.
    init?(_ analysis: DesignAnalysis, level: Double) {
        self.init(analysis.optima, analysis.exponent, variable: "B", level: level)
    }

    /// Creates the line of a transfer's best rates against the number of parameters.
    ///
    /// Returns nil if no law fits the best rates, or fewer than two models have one.
    init?(_ analysis: TransferAnalysis, level: Double) {
        self.init(analysis.optima, analysis.exponent, variable: "N", level: level)
    }

    private init?(
        _ optima: [BatchOptimum], _ exponent: RateExponent, variable: String, level: Double
    ) {
        let found = optima.compactMap { optimum in
            optimum.optimum.best.map { (log: log(Double(optimum.batch)), best: $0) }
        }
        guard found.count >= 2, let slope = exponent.exponent,
            let first = found.first?.log, let last = found.last?.log
        else { return nil }
        let variances = Self.variances(found.map(\.best))
        let weights = variances?.map { 1 / $0 } ?? found.map { _ in 1 }
        let total = weights.reduce(0, +)
        func mean(_ values: [Double]) -> Double {
            zip(weights, values).reduce(0) { $0 + $1.0 * $1.1 } / total
        }
        let center = mean(found.map(\.log))
        let marks = (0...32).map { first + (last - first) * Double($0) / 32 }
        if exponent.fits {
            let level0 = mean(found.map(\.best.logRate))
            let half = variances.flatMap { _ in
                Self.centralHalf(found.map(\.best), variance: 1 / total, level: level)
            }
            let slopeHalf = slope.interval.map { $0.width / 2 }
            name = "fit, \(variable)^\(Format.fixed(slope.value, decimals: 2))"
            points = marks.map { mark in
                let rate = level0 + slope.value * (mark - center)
                let ends = half.flatMap { half in
                    slopeHalf.map { hypot(half, $0 * (mark - center)) }
                }
                return LineChart.Point(
                    exp(mark), exp(rate), interval: ends.map { exp(rate - $0)...exp(rate + $0) })
            }
        } else if let bend = exponent.bend {
            let corner = log(Double(bend.batch))
            let shape = { (log: Double) in
                (log < corner ? bend.below : bend.above) * (log - corner)
            }
            let level0 = mean(found.map { $0.best.logRate - shape($0.log) })
            name =
                "fit, \(variable)^\(Format.fixed(bend.below, decimals: 2)) up to \(bend.batch), then "
                + "\(variable)^\(Format.fixed(bend.above, decimals: 2))"
            points = (marks + [corner]).sorted().map {
                LineChart.Point(exp($0), exp(level0 + shape($0)))
            }
        } else {
            return nil
        }
    }

    /// The least variance as a part of the greatest one, so that no rate outweighs all others.
    private static let leastPart = 1e-3

    /// Returns the variances of ln(best rate) of single batches; nil if one is unknown, or if the
    /// rates are exact and have no error to weigh them by.
    private static func variances(_ rates: [BestRate]) -> [Double]? {
        let own = rates.compactMap(\.variance)
        guard own.count == rates.count, let greatest = own.max(), greatest > 1e-18 else {
            return nil
        }
        return own.map { max($0, leastPart * greatest) }
    }

    /// Returns half the width of the interval of ln(rate) at the center of the batches: the errors
    /// of single batches, which average out, and those that all batches share, which do not.
    ///
    /// - Parameter variance: the variance of the mean of the single batches.
    private static func centralHalf(
        _ rates: [BestRate], variance: Double, level: Double
    ) -> Double? {
        let shared = rates.compactMap { rate -> Double? in
            guard let error = rate.error, let interval = rate.interval else { return nil }
            let t = StudentT.twoSided(level: level, degreesOfFreedom: error.degreesOfFreedom)
            let whole = (log(interval.upper / interval.lower) / 2 - rate.resolution) / t
            return max(0, whole * whole - error.value * error.value)
        }
        let freedom = rates.compactMap { $0.error?.degreesOfFreedom }.min()
        guard let least = shared.min(), let freedom else { return nil }
        return StudentT.twoSided(level: level, degreesOfFreedom: freedom)
            * (variance + least).squareRoot()
    }
}
