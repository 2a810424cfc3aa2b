import Glibc
import Statistics
import Support

/// The exponent p of a best rate proportional to B^p.
///
/// It is the slope of the weighted line of ln(best rate) on ln(batch), with Student's interval from
/// the errors of the best rates. If the batches scatter around the line by more than these errors
/// explain, no power law fits, and a law with a break is tried.
package struct RateExponent: Sendable, Equatable {
    /// The exponent of the best rates of one seed.
    package struct SeedExponent: Sendable, Equatable {
        package let seed: UInt64
        package let exponent: Double
    }

    /// Two power laws that meet at a batch.
    package struct Break: Sendable, Equatable {
        package let batch: Int
        /// The exponent up to the batch.
        package let below: Double
        /// The exponent from the batch on.
        package let above: Double
    }

    /// The exponent, or nil if fewer than two batches have a best rate.
    package let exponent: Estimate?
    /// The exponents of the seeds' own best rates.
    package let seeds: [SeedExponent]
    /// The batches with a best rate.
    package let batches: [Int]
    /// The probability of a scatter at least as large if a power law is true; nil with two batches
    /// or one seed.
    package let fitProbability: Double?
    /// The law with a break, or nil if a power law fits or no law with a break does.
    package let bend: Break?
    /// The exponents 0, 1/2 and 1 of the common rules that lie in the interval. There are none if
    /// no power law fits.
    package let possibleExponents: [Double]
    /// Whether a power law fits at least three batches, and its interval contains at most one of
    /// the common rules' exponents. A power law fits any two batches.
    package let isConclusive: Bool
    /// Whether some batch has no best rate.
    private let isPartial: Bool
    /// Whether a power law passes through the interval of every best rate.
    private let isWithinIntervals: Bool

    /// The probability below which a power law does not fit.
    static let leastProbability = 0.01
    /// The least number of batches that can test a power law.
    static let fewestBatches = 3
    /// The exponents of the common rules.
    private static let commonExponents = CommonRule.allCases.map(\.exponent)

    /// Whether a power law fits.
    package var fits: Bool { fitProbability.map { $0 >= Self.leastProbability } ?? true }

    init(_ optima: [BatchOptimum], level: Double) {
        let found = optima.compactMap { optimum in
            optimum.optimum.best.map { (batch: optimum, best: $0) }
        }
        batches = found.map(\.batch.batch)
        isPartial = found.count < optima.count
        isWithinIntervals = Self.isLineWithin(
            found.compactMap { optimum in
                optimum.best.interval.map {
                    (log(Double(optimum.batch.batch)), log($0.lower)...log($0.upper))
                }
            })
        guard found.count >= 2 else {
            (exponent, seeds, fitProbability, bend) = (nil, [], nil, nil)
            (possibleExponents, isConclusive) = (Self.commonExponents, false)
            return
        }
        let logs = found.map { log(Double($0.batch.batch)) }
        let rates = found.map(\.best.logRate)
        let errors = found.map(\.best.error)
        seeds = Self.seedExponents(found.map(\.batch), logs)
        let line = Line(
            logs, rates, variances: found.map(\.best.variance),
            sharedErrors: found.map(\.best.asymmetryError))
        let freedom = errors.compactMap { $0?.degreesOfFreedom }.min()
        let resolution = Self.slopeResolution(logs, found.map(\.best.resolution))
        let interval = freedom.flatMap { freedom in
            line.slopeError.flatMap {
                Interval(
                    around: line.slope, standardError: $0, degreesOfFreedom: freedom, level: level)
            }
        }?.widened(by: resolution)
        exponent = Estimate(line.slope, interval: interval)
        fitProbability = freedom.flatMap { line.probability(denominator: $0) }
        let isPower = fitProbability.map { $0 >= Self.leastProbability } ?? true
        bend = isPower ? nil : Self.bend(found.map(\.batch.batch), line, freedom: freedom ?? 1)
        // Without noise the interval has no width, and rounding errors would leave it.
        let slack = interval?.widened(by: 1e-6)
        possibleExponents =
            isPower ? Self.commonExponents.filter { slack?.contains($0) ?? true } : []
        let isEnough = found.count >= Self.fewestBatches
        isConclusive = isPower && interval != nil && possibleExponents.count <= 1 && isEnough
    }

    /// Returns whether some line passes through all ranges of y, each at its own x.
    ///
    /// If one does, so does a line through the ends of two ranges.
    private static func isLineWithin(_ ranges: [(x: Double, y: ClosedRange<Double>)]) -> Bool {
        func ends(_ range: ClosedRange<Double>) -> [Double] {
            [range.lowerBound, range.upperBound]
        }
        for (place, first) in ranges.enumerated() {
            for second in ranges[(place + 1)...] {
                for start in ends(first.y) {
                    for end in ends(second.y) {
                        let slope = (end - start) / (second.x - first.x)
                        let isWithin = ranges.allSatisfy { x, y in
                            let value = start + slope * (x - first.x)
                            return y.lowerBound - 1e-9 <= value && value <= y.upperBound + 1e-9
                        }
                        if isWithin { return true }
                    }
                }
            }
        }
        return false
    }

    private static func seedExponents(
        _ optima: [BatchOptimum], _ logs: [Double]
    ) -> [SeedExponent] {
        let common = optima.dropFirst().reduce(Set(optima.first?.seeds.map(\.seed) ?? [])) {
            $0.intersection($1.seeds.map(\.seed))
        }.sorted()
        return common.compactMap { seed in
            let rates = optima.compactMap { $0.seed(seed)?.logRate }
            guard rates.count == optima.count else { return nil }
            return linearLeastSquares(logs.map { [1, $0] }, observations: rates).map {
                SeedExponent(seed: seed, exponent: $0.parameters[1])
            }
        }
    }

    /// Returns the error of the slope if best rates are known only to the grid's resolution.
    private static func slopeResolution(_ logs: [Double], _ resolutions: [Double]) -> Double {
        let mean = Sample(logs).mean
        let squares = logs.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return zip(logs, resolutions).reduce(0) { $0 + abs($1.0 - mean) * $1.1 } / squares
    }

    /// Returns the best two lines that meet at a batch, or nil if they do not fit either.
    private static func bend(_ batches: [Int], _ line: Line, freedom: Int) -> Break? {
        guard batches.count >= 4 else { return nil }
        let tries = (1..<batches.count - 1).compactMap { place -> (Break, Double)? in
            let rows = line.x.map { [1, $0, max(0, $0 - line.x[place])] }
            guard
                let fit = linearLeastSquares(
                    rows, observations: line.y, weights: line.weights)
            else { return nil }
            let slopes = (fit.parameters[1], fit.parameters[1] + fit.parameters[2])
            return (
                Break(batch: batches[place], below: slopes.0, above: slopes.1),
                fit.residualSumOfSquares
            )
        }
        guard let best = tries.min(by: { $0.1 < $1.1 }) else { return nil }
        let left = batches.count - 3
        let probability = VarianceRatio.upperTail(
            best.1 / Double(left), numerator: left, denominator: freedom)
        return probability >= leastProbability ? best.0 : nil
    }

    /// The finding in sentences.
    package var sentence: String {
        guard let exponent else {
            return "The exponent of the best rate is undecided, because fewer than two batches "
                + "have a best rate."
        }
        guard fits else {
            let powers = bend.map {
                "; they are proportional to B^\(Format.fixed($0.below, decimals: 2)) up to "
                    + "B = \($0.batch) and to B^\(Format.fixed($0.above, decimals: 2)) above it"
            }
            return "No power law fits the best rates\(powers ?? "")."
                + (isWithinIntervals
                    ? " A power law passes through all their intervals, but its combined "
                        + "deviations from the rates are too improbable." : "")
        }
        let value =
            (isPartial
                ? "The known best rates, at B = \(Format.list(batches.map(String.init))), are"
                : "The best rate is")
            + " proportional to B^\(Format.fixed(exponent.value, decimals: 2))"
        guard let interval = exponent.interval else {
            return value + ", but one seed gives no interval, so the exponent is undecided."
        }
        let decimals = Self.decimals(
            interval,
            excluded: Self.commonExponents.filter {
                !possibleExponents.contains($0)
            })
        let range =
            " (\(Format.fixed(interval.lower, decimals: decimals)) to "
            + "\(Format.fixed(interval.upper, decimals: decimals)) at "
            + "\(Format.significant(100 * interval.level, digits: 3)) %)"
        guard batches.count >= Self.fewestBatches else {
            return value + range
                + ", but any two batches fit a power law, so the exponent is undecided."
        }
        let names = possibleExponents.map(Self.ruleName)
        let excluded = Self.commonExponents.filter { !possibleExponents.contains($0) }
            .reversed().map(Self.ruleName)
        switch names.count {
        case 0: return value + range + ", which excludes \(Format.list(excluded))."
        case 1:
            return value + range
                + ", which agrees with \(names[0]) but excludes \(Format.list(excluded))."
        default:
            return value + range + ", so the rule is undecided between \(Format.list(names))."
        }
    }

    /// Returns the number of decimals with which an interval is not rounded to an exponent that it
    /// excludes.
    private static func decimals(_ interval: Interval, excluded: [Double]) -> Int {
        ((interval.width < 0.02 ? 4 : 2)...6).first { decimals in
            let ends = [interval.lower, interval.upper].map { Format.fixed($0, decimals: decimals) }
            return !excluded.contains { ends.contains(Format.fixed($0, decimals: decimals)) }
        } ?? 6
    }

    /// Returns the name of the common rule with an exponent.
    private static func ruleName(_ exponent: Double) -> String {
        CommonRule.allCases.first { $0.exponent == exponent }?.title ?? "\(exponent)"
    }
}

/// A weighted line of y on x.
private struct Line {
    let x: [Double]
    let y: [Double]
    /// The inverse variances; nil for equal weights.
    let weights: [Double]?
    let slope: Double
    /// The standard error of the slope that follows from the variances, or nil if one is unknown.
    let slopeError: Double?
    /// The least variance as a part of the greatest one.
    private static let leastPart = 1e-3
    /// The sum of squared residuals in units of the variances, given the shared error.
    private let squares: Double

    init(_ x: [Double], _ y: [Double], variances: [Double?], sharedErrors: [Double]) {
        (self.x, self.y) = (x, y)
        // One exact rate must not outweigh all others.
        let least = Self.leastPart * (variances.compactMap(\.self).max() ?? 0)
        let known = variances.compactMap { $0.map { max($0, least) } }
        let isKnown = known.count == variances.count
        // Exact rates have no error to weigh them by.
        let usable = isKnown && known.allSatisfy { $0 > 1e-18 }
        let weights = usable ? known.map { 1 / $0 } : nil
        self.weights = weights
        let own = weights ?? x.map { _ in 1 }
        let total = own.reduce(0, +)
        let center = zip(own, x).reduce(0) { $0 + $1.0 * $1.1 } / total
        let level = zip(own, y).reduce(0) { $0 + $1.0 * $1.1 } / total
        var (xx, xy, shared) = (0.0, 0.0, 0.0)
        for place in x.indices {
            xx += own[place] * (x[place] - center) * (x[place] - center)
            xy += own[place] * (x[place] - center) * (y[place] - level)
            shared += own[place] * (x[place] - center) * sharedErrors[place]
        }
        let slope = xy / xx
        self.slope = slope
        let sharedError = shared / xx
        slopeError =
            usable ? (1 / xx + sharedError * sharedError).squareRoot() : isKnown ? 0 : nil
        guard usable else {
            squares = 0
            return
        }
        // A line follows only a part of the error that all batches share. The rest of this error,
        // `part`, also moves the residuals, so residuals along it count less.
        let sharedLevel = zip(own, sharedErrors).reduce(0) { $0 + $1.0 * $1.1 } / total
        var (residuals, common, product) = (0.0, 0.0, 0.0)
        for place in x.indices {
            let distance = x[place] - center
            let residual = y[place] - level - slope * distance
            let part = sharedErrors[place] - sharedLevel - sharedError * distance
            residuals += own[place] * residual * residual
            common += own[place] * part * part
            product += own[place] * residual * part
        }
        squares = residuals - product * product / (1 + common)
    }

    /// Returns the probability of residuals at least this large if the line is true.
    func probability(denominator: Int) -> Double? {
        guard weights != nil, x.count >= 3 else { return nil }
        return VarianceRatio.upperTail(
            squares / Double(x.count - 2), numerator: x.count - 2, denominator: denominator)
    }
}
