import Glibc
import Statistics

/// The distribution of the batches' true best rates, given the measured ones.
///
/// Best rates usually follow a power law of the batch, and often that of a common rule. So the true
/// rates are shrunk toward a line of ln(best rate) on ln(batch), unless the measured rates clearly
/// scatter around it. The line has the exponent of a common rule or any other one, with the
/// probabilities that follow from the measured rates. Without this, a deviation from a rule that
/// noise explains would count as if it were likely to last, and decisions would seem less probable
/// than they are.
struct LikelyBestRates {
    /// A measured best rate.
    struct Measurement {
        let batch: Int
        let logRate: Double
        /// The part of the variance of `logRate` that more seeds reduce.
        let variance: Double
    }

    private let measurements: [Measurement]
    /// The variance over batches of the true rates around the line (DerSimonian & Laird 1986); 0 if
    /// it is not significant, and infinite if too few batches show it.
    private let scatter: Double
    private let center: Double
    private let level: Double
    private let slope: Double
    /// The variances of `level` and `slope`.
    private let errors: (level: Double, slope: Double)
    /// The probability of each common rule's exponent; the rest is that of any other one.
    private let ruleProbabilities: [(exponent: Double, probability: Double)]

    /// The least number of batches that may contradict a line.
    private static let fewestBatches = 3
    /// The probability, before any measurement, that the exponent is that of a common rule.
    private static let commonShare = 0.5
    /// The width of the range in which any other exponent lies with a constant density.
    private static let exponentRange = 2.0

    /// Finds the likely laws.
    ///
    /// - Parameter degreesOfFreedom: those of the variances.
    init(_ measurements: [Measurement], degreesOfFreedom: Int) {
        self.measurements = measurements
        let x = measurements.map { log(Double($0.batch)) }
        let y = measurements.map(\.logRate)
        func line(scatter: Double) -> (weights: [Double], sums: Sums) {
            let weights = measurements.map { 1 / max($0.variance + scatter, 1e-18) }
            return (weights, Sums(x, y, weights))
        }
        let (weights, first) = line(scatter: 0)
        guard measurements.count >= Self.fewestBatches, first.squares > 0 else {
            (scatter, center, level, slope, errors) = (.infinity, 0, 0, 0, (0, 0))
            ruleProbabilities = []
            return
        }
        var (chiSquare, scale) = (0.0, 0.0)
        for place in x.indices {
            let distance = x[place] - first.center
            let residual = y[place] - first.level - first.slope * distance
            let leverage = 1 / first.total + distance * distance / first.squares
            chiSquare += weights[place] * residual * residual
            scale += weights[place] * (1 - weights[place] * leverage)
        }
        let freedom = x.count - 2
        let probability = VarianceRatio.upperTail(
            chiSquare / Double(freedom), numerator: freedom, denominator: degreesOfFreedom)
        scatter =
            probability < RateExponent.leastProbability
            ? max(0, (chiSquare - Double(freedom)) / scale) : 0
        let sums = line(scatter: scatter).sums
        (center, level, slope) = (sums.center, sums.level, sums.slope)
        errors = (1 / sums.total, 1 / sums.squares)
        ruleProbabilities = Self.ruleProbabilities(slope, variance: errors.slope)
    }

    private static func ruleProbabilities(
        _ slope: Double, variance: Double
    ) -> [(exponent: Double, probability: Double)] {
        let exponents = CommonRule.allCases.map(\.exponent)
        let each = commonShare / Double(exponents.count)
        let weights = exponents.map { exponent in
            each * exp(-(exponent - slope) * (exponent - slope) / (2 * variance))
        }
        let other = (1 - commonShare) * (2 * Double.pi * variance).squareRoot() / exponentRange
        let total = weights.reduce(other, +)
        return zip(exponents, weights).map { ($0, $1 / total) }
    }

    /// Returns the exponent of a drawn law.
    private func drawExponent(_ random: inout NormalNumbers) -> Double {
        let other = slope + errors.slope.squareRoot() * random.normal()
        var rest = random.uniform()
        for rule in ruleProbabilities {
            if rest < rule.probability { return rule.exponent }
            rest -= rule.probability
        }
        return other
    }

    /// Draws ln(best rate) of each batch.
    func draw(_ random: inout NormalNumbers) -> [Double] {
        let level = level + errors.level.squareRoot() * random.normal()
        let slope = drawExponent(&random)
        return measurements.map { measurement in
            let normal = random.normal()
            guard scatter.isFinite else {
                return measurement.logRate + measurement.variance.squareRoot() * normal
            }
            let likely = level + slope * (log(Double(measurement.batch)) - center)
            let trust = scatter / max(scatter + measurement.variance, 1e-18)
            return likely + trust * (measurement.logRate - likely)
                + (trust * measurement.variance).squareRoot() * normal
        }
    }

    /// The weighted sums of a line.
    private struct Sums {
        let total: Double
        let center: Double
        let level: Double
        let squares: Double
        let slope: Double

        init(_ x: [Double], _ y: [Double], _ weights: [Double]) {
            let total = weights.reduce(0, +)
            let center = zip(weights, x).reduce(0) { $0 + $1.0 * $1.1 } / total
            let level = zip(weights, y).reduce(0) { $0 + $1.0 * $1.1 } / total
            var (squares, products) = (0.0, 0.0)
            for place in x.indices {
                squares += weights[place] * (x[place] - center) * (x[place] - center)
                products += weights[place] * (x[place] - center) * (y[place] - level)
            }
            (self.total, self.center, self.level, self.squares) = (total, center, level, squares)
            slope = squares > 0 ? products / squares : 0
        }
    }
}
