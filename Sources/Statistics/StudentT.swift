import Glibc

/// Student's t distribution with a whole number of degrees of freedom.
package enum StudentT {
    /// Returns the value up to which the probability is `probability`.
    ///
    /// The method is bisection of `central`.
    ///
    /// - Parameter probability: in (0, 1).
    package static func quantile(_ probability: Double, degreesOfFreedom: Int) -> Double {
        precondition(degreesOfFreedom >= 1, "Student's t has at least one degree of freedom")
        precondition(probability > 0 && probability < 1, "a probability lies between 0 and 1")
        guard probability >= 0.5 else {
            return -quantile(1 - probability, degreesOfFreedom: degreesOfFreedom)
        }
        let target = 2 * probability - 1
        var (lower, upper) = (0.0, 1.0)
        while central(upper, degreesOfFreedom) < target, upper < 0x1p60 {
            (lower, upper) = (upper, 2 * upper)
        }
        while true {
            let middle = lower + (upper - lower) / 2
            guard middle > lower, middle < upper else { return middle }
            if central(middle, degreesOfFreedom) < target {
                lower = middle
            } else {
                upper = middle
            }
        }
    }

    /// Returns the half-width of a two-sided interval of a `level`, in standard errors.
    package static func twoSided(level: Double, degreesOfFreedom: Int) -> Double {
        quantile((1 + level) / 2, degreesOfFreedom: degreesOfFreedom)
    }

    /// Returns the half-width for degrees of freedom that need not be a whole number. Its
    /// logarithm is interpolated linearly in their inverse.
    package static func twoSided(level: Double, realDegreesOfFreedom degreesOfFreedom: Double)
        -> Double
    {
        precondition(degreesOfFreedom >= 1, "Student's t has at least one degree of freedom")
        // Beyond this number, t is that of a normal distribution to three digits.
        let lower = Int(min(degreesOfFreedom, 1000))
        let part = (1 - Double(lower) / degreesOfFreedom) * Double(lower + 1)
        let ends = [lower, lower + 1].map { twoSided(level: level, degreesOfFreedom: $0) }
        return ends[0] * pow(ends[1] / ends[0], min(1, max(0, part)))
    }

    /// Returns the probability between -t and t, for t of at least 0.
    ///
    /// With theta = atan(t / sqrt(n)), it is a finite sum of powers of cos(theta), one for odd and
    /// one for even n (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4).
    package static func central(_ t: Double, _ degreesOfFreedom: Int) -> Double {
        let n = Double(degreesOfFreedom)
        let cosineSquared = n / (n + t * t)
        let sine = t / (n + t * t).squareRoot()
        let even = degreesOfFreedom.isMultiple(of: 2)
        var term = even ? 1 : cosineSquared.squareRoot()
        var sum = degreesOfFreedom == 1 ? 0 : term
        for power in stride(from: even ? 2 : 3, through: degreesOfFreedom - 2, by: 2) {
            term *= cosineSquared * Double(power - 1) / Double(power)
            sum += term
            // The remaining terms are below a geometric series of this ratio: below rounding.
            if term < (1 - cosineSquared) * 1e-18 * sum { break }
        }
        return even ? sine * sum : 2 / Double.pi * (atan(t / n.squareRoot()) + sine * sum)
    }
}
