import Glibc
import Statistics

/// The fit of y = c + shape(ln(x0 / x)), a curve that bends at a scale x0.
struct ScaleFit {
    /// The offset c.
    let offset: Estimate
    /// The logarithm of the scale, ln(x0).
    let logScale: Estimate
    /// The sum c + ln(x0).
    let offsetAndScale: Estimate
    let residualSumOfSquares: Double
    /// The number of points minus the number of parameters.
    let degreesOfFreedom: Int
    /// The side on which x0 lies so far outside the data that they do not show it, or nil if they
    /// show it.
    let scaleOutside: Side?

    /// The distance from the data within which x0 is searched, in ln(x). There the curves are
    /// straight to 0.1 %.
    private static let searchDistance = log(1000.0)
    /// The distance from the data within which x0 is trusted, in ln(x). Further away, the slope
    /// differs from a straight line's by less than a tenth at any x, which may have other causes.
    private static let trustedDistance = log(10.0)

    /// Returns the range in which x0 is searched, given the range of the data; both are logarithms.
    static func range(_ logs: ClosedRange<Double>) -> ClosedRange<Double> {
        logs.lowerBound - searchDistance...logs.upperBound + searchDistance
    }

    /// Fits the curve by least squares.
    ///
    /// The fit starts from the best x0 of a fine grid, because the sum of squares may have several
    /// minima. For a given x0, the best c is a mean.
    ///
    /// Returns nil if all `x` are equal.
    ///
    /// - Parameters:
    ///   - x: positive numbers, at least two of them different.
    ///   - shape: the curve as a function of ln(x0 / x).
    init?(x: [Double], y: [Double], level: Double, shape: (Double) -> Double) {
        let logs = x.map { log($0) }
        guard let least = logs.min(), let greatest = logs.max(), least < greatest else {
            return nil
        }
        degreesOfFreedom = x.count - 2
        let range = Self.range(least...greatest)
        func residuals(_ scale: Double) -> [Double] {
            zip(logs, y).map { $1 - shape(scale - $0) }
        }
        func squares(_ scale: Double) -> Double {
            let sample = Sample(residuals(scale))
            return (sample.variance ?? 0) * Double(sample.count - 1)
        }
        // The curves bend over several units of ln(x0), so starts 0.3 apart miss no minimum.
        let steps = 64
        let scan = (0...steps).map { step in
            range.lowerBound + (range.upperBound - range.lowerBound) * Double(step) / Double(steps)
        }
        guard let start = scan.min(by: { squares($0) < squares($1) }) else { return nil }
        let fit = nonlinearLeastSquares(
            start: [Sample(residuals(start)).mean, start], count: x.count
        ) { parameters in residuals(parameters[1]).map { $0 - parameters[0] } }
        guard let fit, fit.parameters[1] > range.lowerBound, fit.parameters[1] < range.upperBound,
            start > range.lowerBound, start < range.upperBound
        else {
            let end = start < (least + greatest) / 2 ? range.lowerBound : range.upperBound
            offset = Estimate(Sample(residuals(end)).mean)
            logScale = Estimate(end)
            offsetAndScale = Estimate(offset.value + end)
            residualSumOfSquares = squares(end)
            scaleOutside = end == range.lowerBound ? .below : .above
            return
        }
        offset = fit.estimate(0, level: level)
        logScale = fit.estimate(1, level: level)
        offsetAndScale = fit.estimate(ofSum: [0, 1], level: level)
        residualSumOfSquares = fit.residualSumOfSquares
        let scale = fit.parameters[1]
        scaleOutside =
            scale < least - Self.trustedDistance
            ? .below : scale > greatest + Self.trustedDistance ? .above : nil
    }
}

/// Returns ln(1 + e^u) without overflow.
func softplus(_ u: Double) -> Double { max(u, 0) + log1p(exp(-abs(u))) }

/// Returns ln(cosh(v)) without overflow.
func logCosh(_ v: Double) -> Double { abs(v) + log1p(exp(-2 * abs(v))) - log(2.0) }
