/// A confidence interval.
package struct Interval: Sendable, Equatable {
    package let lower: Double
    package let upper: Double
    /// The share of repetitions in which such an interval contains the true value, such as 0.95.
    package let level: Double

    /// Creates an interval; `lower` is at most `upper`, and the level lies between 0 and 1.
    package init(lower: Double, upper: Double, level: Double) {
        precondition(lower <= upper, "an interval's lower end is not above its upper end")
        precondition(level > 0 && level < 1, "a level lies between 0 and 1")
        self.lower = lower
        self.upper = upper
        self.level = level
    }

    /// Creates Student's interval around an estimate: t standard errors on both sides.
    ///
    /// Returns nil without degrees of freedom.
    package init?(
        around value: Double, standardError: Double, degreesOfFreedom: Int, level: Double
    ) {
        guard degreesOfFreedom >= 1, value.isFinite, standardError.isFinite else { return nil }
        let half =
            standardError * StudentT.twoSided(level: level, degreesOfFreedom: degreesOfFreedom)
        self.init(lower: value - half, upper: value + half, level: level)
    }

    package var width: Double { upper - lower }

    /// Returns the interval with each end moved outward by a length.
    package func widened(by length: Double) -> Interval {
        Interval(lower: lower - length, upper: upper + length, level: level)
    }

    /// Returns whether a value lies in the interval, including its ends.
    package func contains(_ value: Double) -> Bool { lower <= value && value <= upper }

    /// Returns the interval of an increasing function of the estimated value, such as `exp`.
    package func mapped(_ increasing: (Double) -> Double) -> Interval {
        Interval(lower: increasing(lower), upper: increasing(upper), level: level)
    }
}

/// An estimated number and, if the data allow one, its interval.
package struct Estimate: Sendable, Equatable {
    package let value: Double
    /// The interval, or nil if the data leave no degree of freedom to estimate the noise.
    package let interval: Interval?

    package init(_ value: Double, interval: Interval? = nil) {
        self.value = value
        self.interval = interval
    }

    /// Returns the same value with each end of its interval moved outward by a length.
    package func widened(by length: Double) -> Estimate {
        Estimate(value, interval: interval?.widened(by: length))
    }

    /// Returns the same value with an interval that extends by at least a length on both sides.
    package func widened(atLeast length: Double) -> Estimate {
        Estimate(
            value,
            interval: interval.map {
                Interval(
                    lower: min($0.lower, value - length), upper: max($0.upper, value + length),
                    level: $0.level)
            })
    }

    /// Returns the estimate of an increasing function of the estimated value, such as `exp`.
    package func mapped(_ increasing: (Double) -> Double) -> Estimate {
        Estimate(increasing(value), interval: interval?.mapped(increasing))
    }
}
