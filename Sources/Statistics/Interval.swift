/// A confidence interval.
package struct Interval: Sendable, Equatable {
    package let lower: Double
    package let upper: Double
    /// The part of repetitions in which such an interval holds the truth, such as 0.95.
    package let level: Double

    package init(lower: Double, upper: Double, level: Double) {
        precondition(lower <= upper, "an interval's lower end is not above its upper end")
        precondition(level > 0 && level < 1, "a level lies between 0 and 1")
        self.lower = lower
        self.upper = upper
        self.level = level
    }

    /// Student's interval around an estimate: t standard errors to both sides.
    ///
    /// Nil without degrees of freedom.
    package init?(
        around value: Double, standardError: Double, degreesOfFreedom: Int, level: Double
    ) {
        guard degreesOfFreedom >= 1, value.isFinite, standardError.isFinite else { return nil }
        let half =
            standardError * StudentT.twoSided(level: level, degreesOfFreedom: degreesOfFreedom)
        self.init(lower: value - half, upper: value + half, level: level)
    }

    package var width: Double { upper - lower }

    /// The interval with its ends further out.
    package func widened(by length: Double) -> Interval {
        Interval(lower: lower - length, upper: upper + length, level: level)
    }

    package func contains(_ value: Double) -> Bool { lower <= value && value <= upper }

    /// The interval of an increasing function of the estimated value, such as `exp`.
    package func mapped(_ increasing: (Double) -> Double) -> Interval {
        Interval(lower: increasing(lower), upper: increasing(upper), level: level)
    }
}

/// An estimated number and, where the data tell, how far it may be off.
package struct Estimate: Sendable, Equatable {
    package let value: Double
    /// Nil where the data leave no degree of freedom to judge the noise by.
    package let interval: Interval?

    package init(_ value: Double, interval: Interval? = nil) {
        self.value = value
        self.interval = interval
    }

    /// The same value, with the ends of its interval further out.
    package func widened(by length: Double) -> Estimate {
        Estimate(value, interval: interval?.widened(by: length))
    }

    /// The same value, with an interval that reaches so far to both sides at least.
    package func widened(atLeast length: Double) -> Estimate {
        Estimate(
            value,
            interval: interval.map {
                Interval(
                    lower: min($0.lower, value - length), upper: max($0.upper, value + length),
                    level: $0.level)
            })
    }

    /// The estimate of an increasing function of the estimated value, such as `exp`.
    package func mapped(_ increasing: (Double) -> Double) -> Estimate {
        Estimate(increasing(value), interval: interval?.mapped(increasing))
    }
}
