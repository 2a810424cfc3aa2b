import Glibc
import Statistics

/// The inverse covariance of a batch's ln(curvature) and asymmetry.
struct FormInformation {
    var curvature = 0.0
    var asymmetry = 0.0
    /// The element off the diagonal.
    var product = 0.0
}

extension ValleyFit {
    /// Fits valleys whose forms differ between batches only as far as the losses demand it.
    ///
    /// Batches usually share the form, which makes the best rates precise. A form that differs
    /// would move a best rate if it were shared. The asymmetries are tested first, then the
    /// curvatures: what differs significantly varies with a standard deviation that is estimated
    /// from the batches, and each batch's own value is shrunk toward the mean accordingly.
    ///
    /// Returns nil if the runs do not determine the parameters.
    static func fitting(_ runs: [ValleyRun], starts: [Double]) -> ValleyFit? {
        func fit(_ spread: FormSpread) -> ValleyFit? {
            // Runs that do not determine an asymmetry may determine a parabola.
            ValleyFit(runs, starts: starts, form: .linex, spread: spread)
                ?? ValleyFit(runs, starts: starts, form: .linex, spread: spread, isSymmetric: true)
        }
        let shared = fit(.none)
        guard starts.count >= 2, shared.map({ $0.noise >= RobustValleyFit.exactNoise }) ?? true
        else { return shared }
        var spread = FormSpread()
        let loose = ValleyFit(runs, starts: starts, form: .linex, spread: .loose)
        if let loose {
            spread.asymmetry = loose.spread(
                of: loose.valleys.map(\.asymmetry),
                variances: loose.information.map { $0.asymmetryVariance(within: .loose) })
        }
        if spread.asymmetry > 0, let loose {
            spread.curvature = loose.spread(
                of: loose.valleys.map { log($0.curvature) },
                variances: loose.information.map { $0.curvatureVariance(within: .loose) })
        } else if let scaled = fit(FormSpread(curvature: FormSpread.loose.curvature)) {
            spread.curvature = scaled.spread(
                of: scaled.valleys.map { log($0.curvature) },
                variances: scaled.information.map {
                    1 / ($0.curvature + pow(FormSpread.loose.curvature, -2))
                })
        }
        spread = spread.relevant
        return spread == .none ? shared : fit(spread) ?? shared
    }

    /// The probability below which a difference between batches is significant.
    private static let leastProbability = 0.01

    /// Returns the standard deviation over batches of values with known errors (DerSimonian & Laird
    /// 1986), or 0 if their differences are not significant.
    private func spread(of values: [Double], variances: [Double]) -> Double {
        let weights = variances.map { 1 / max($0, 1e-12) }
        let total = weights.reduce(0, +)
        let mean = zip(weights, values).reduce(0) { $0 + $1.0 * $1.1 } / total
        let squares = zip(weights, values).reduce(0) { $0 + $1.0 * ($1.1 - mean) * ($1.1 - mean) }
        let freedom = values.count - 1
        let probability = VarianceRatio.upperTail(
            squares / Double(freedom), numerator: freedom, denominator: degreesOfFreedom)
        guard probability < Self.leastProbability else { return 0 }
        let scale = total - weights.reduce(0) { $0 + $1 * $1 } / total
        return max(0, (squares - Double(freedom)) / scale).squareRoot()
    }
}

extension FormInformation {
    /// Returns the variance of the asymmetry if the curvature is unknown within a spread.
    func asymmetryVariance(within spread: FormSpread) -> Double {
        let (c, a) = precisions(within: spread)
        return c / (c * a - product * product)
    }

    /// Returns the variance of ln(curvature) if the asymmetry is unknown within a spread.
    func curvatureVariance(within spread: FormSpread) -> Double {
        let (c, a) = precisions(within: spread)
        return a / (c * a - product * product)
    }

    private func precisions(within spread: FormSpread) -> (Double, Double) {
        (
            curvature + 1 / (spread.curvature * spread.curvature),
            asymmetry + 1 / (spread.asymmetry * spread.asymmetry)
        )
    }
}
