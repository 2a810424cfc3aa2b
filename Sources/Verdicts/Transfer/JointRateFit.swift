import Glibc
import Statistics
import Support

/// A fit of the best rate as a product of powers of the parameters N, the tokens D and the batch B.
///
/// The best rates of one model and batch after several numbers of tokens come from the same runs,
/// so their errors are not independent, and they form a cluster. All best rates of a comparison
/// share the errors of the valley that was fitted to them.
package struct JointRateFit: Sendable, Equatable {
    /// A measured best rate.
    package struct Observation: Sendable, Equatable {
        /// The number of parameters outside the embeddings and the head.
        package let parameters: Double
        /// The number of tokens trained on.
        package let tokens: Double
        /// The number of sequences in a batch.
        package let batch: Double
        /// The logarithm of the best rate.
        package let logRate: Double
        /// The error of `logRate`; nil with one seed.
        package let error: Error?

        /// The error of a best rate.
        package struct Error: Sendable, Equatable {
            /// The variance of the rate's own error.
            package let variance: Double
            package let degreesOfFreedom: Int
            /// The number of the comparison, whose best rates share the errors below.
            package let comparison: Int
            /// The signed error from the valley's asymmetry.
            package let asymmetryError: Double
            /// The error from the valley's form.
            package let shift: Double

            package init(
                variance: Double, degreesOfFreedom: Int, comparison: Int = 0,
                asymmetryError: Double = 0, shift: Double = 0
            ) {
                self.variance = variance
                self.degreesOfFreedom = degreesOfFreedom
                self.comparison = comparison
                self.asymmetryError = asymmetryError
                self.shift = shift
            }
        }

        package init(
            parameters: Double, tokens: Double, batch: Double, logRate: Double,
            error: Error? = nil
        ) {
            self.parameters = parameters
            self.tokens = tokens
            self.batch = batch
            self.logRate = logRate
            self.error = error
        }

        /// Creates an observation from a best rate.
        ///
        /// - Parameter comparison: a number that is the same for best rates of one valley.
        package init(
            parameters: Double, tokens: Double, batch: Double, best: BestRate, comparison: Int
        ) {
            self.init(
                parameters: parameters, tokens: tokens, batch: batch, logRate: best.logRate,
                error: best.error.map {
                    Error(
                        variance: best.variance ?? 0, degreesOfFreedom: $0.degreesOfFreedom,
                        comparison: comparison, asymmetryError: best.asymmetryError,
                        shift: best.shift)
                })
        }
    }

    /// A factor of the fit. Its raw value is the letter in formulas.
    package enum Variable: String, Sendable, CaseIterable {
        case parameters = "N"
        case tokens = "D"
        case batch = "B"

        func log(_ observation: Observation) -> Double {
            switch self {
            case .parameters: Glibc.log(observation.parameters)
            case .tokens: Glibc.log(observation.tokens)
            case .batch: Glibc.log(observation.batch)
            }
        }

        /// The letter with the quantity that it stands for.
        fileprivate var meaning: String {
            switch self {
            case .parameters: "N parameters outside the embeddings and the head"
            case .tokens: "D tokens"
            case .batch: "B sequences in a batch"
            }
        }
    }

    /// The variables of the fit, each with its exponent.
    package let exponents: [(variable: Variable, exponent: Estimate)]
    /// The variables that the tokens follow, so that the exponents of these include that of the
    /// tokens. There are none if the tokens are a variable of the fit, or do not vary.
    package let tokensFollow: [Variable]
    /// The number of best rates.
    package let count: Int
    /// The number of pairs of a model and a batch that the best rates come from.
    package let clusterCount: Int
    /// The factor by which predictions for the largest model, from a fit without it, are wrong (root
    /// mean square); nil if the other models do not determine a fit.
    package let holdOutFactor: Double?

    /// Returns whether two fits have the same numbers; tuples are not `Equatable` by themselves.
    package static func == (one: JointRateFit, other: JointRateFit) -> Bool {
        one.count == other.count && one.holdOutFactor == other.holdOutFactor
            && one.clusterCount == other.clusterCount && one.tokensFollow == other.tokensFollow
            && one.exponents.map(\.variable) == other.exponents.map(\.variable)
            && one.exponents.map(\.exponent) == other.exponents.map(\.exponent)
    }

    /// The deviation of ln(tokens) from a law of the other variables below which the tokens follow
    /// them. Rounding to whole steps causes such deviations, and they determine no exponent.
    private static let leastDeviation = 0.05

    /// Fits the variables that vary. Leaves out the tokens if the other variables determine them.
    ///
    /// Returns nil if fewer than two variables vary, or too few best rates are known for intervals.
    package init?(_ observations: [Observation], level: Double) {
        var seen: [Observation] = []
        for one in observations where !seen.contains(where: { $0.isSameRuns(as: one) }) {
            seen.append(one)
        }
        let observations = seen
        var variables = Variable.allCases.filter { Self.varies($0, in: observations) }
        let followed = Self.tokensFollow(variables, observations)
        tokensFollow = followed ?? []
        if followed != nil { variables.removeAll { $0 == .tokens } }
        guard variables.count >= 2, observations.count >= variables.count + 3 else { return nil }
        let weights = Self.weights(observations, variables)
        var pairs: [[Double]] = []
        let clusters = observations.map { one in
            let pair = [one.parameters, one.batch]
            if let place = pairs.firstIndex(of: pair) { return place }
            pairs.append(pair)
            return pairs.count - 1
        }
        guard
            let fit = ClusteredFit(
                observations.map { Self.row($0, variables) },
                observations: observations.map(\.logRate), weights: weights, clusters: clusters)
        else { return nil }
        exponents = variables.enumerated().map { place, variable in
            let value = fit.parameters[place + 1]
            let own = fit.spreads[place + 1]
            let shared = Self.sharedSpread(observations, fit.derivatives[place + 1])
            let spread = shared.map(own.adding) ?? own
            return (
                variable, Estimate(value, interval: spread.interval(around: value, level: level))
            )
        }
        count = observations.count
        clusterCount = pairs.count
        holdOutFactor = Self.holdOut(observations, variables, weights)
    }

    private static func varies(_ variable: Variable, in observations: [Observation]) -> Bool {
        Set(observations.map { variable.log($0) }).count > 1
    }

    /// Returns the variables of which the tokens are a product of powers; nil if they are not.
    private static func tokensFollow(
        _ variables: [Variable], _ observations: [Observation]
    ) -> [Variable]? {
        let others = variables.filter { $0 != .tokens }
        guard others.count < variables.count, !others.isEmpty,
            observations.count > others.count,
            let fit = linearLeastSquares(
                observations.map { row($0, others) },
                observations: observations.map { Variable.tokens.log($0) })
        else { return nil }
        let square = fit.residualSumOfSquares / Double(observations.count)
        guard square < leastDeviation * leastDeviation else { return nil }
        return zip(others, fit.parameters.dropFirst()).filter { abs($0.1) > leastDeviation }
            .map(\.0)
    }

    private static func row(_ observation: Observation, _ variables: [Variable]) -> [Double] {
        [1] + variables.map { $0.log(observation) }
    }

    private static func fit(
        _ observations: [Observation], _ variables: [Variable], _ weights: [Double]
    ) -> LeastSquaresFit? {
        guard observations.count > variables.count else { return nil }
        return linearLeastSquares(
            observations.map { row($0, variables) }, observations: observations.map(\.logRate),
            weights: weights)
    }

    private static func holdOut(
        _ observations: [Observation], _ variables: [Variable], _ weights: [Double]
    ) -> Double? {
        guard let largest = observations.map(\.parameters).max() else { return nil }
        let known = zip(observations, weights).filter { $0.0.parameters < largest }
        let left = observations.filter { $0.parameters == largest }
        guard known.count > variables.count + 1,
            let fit = fit(known.map(\.0), variables, known.map(\.1))
        else { return nil }
        let squares = left.map { observation in
            let predicted = zip(row(observation, variables), fit.parameters).reduce(0) {
                $0 + $1.0 * $1.1
            }
            return (predicted - observation.logRate) * (predicted - observation.logRate)
        }
        return exp(Sample(squares).mean.squareRoot())
    }
}

// MARK: - Errors

extension JointRateFit.Observation {
    /// Returns whether two best rates come from the same runs after the same number of tokens.
    fileprivate func isSameRuns(as other: Self) -> Bool {
        parameters == other.parameters && batch == other.batch && tokens == other.tokens
    }
}

extension JointRateFit {
    /// The least variance as a part of the greatest one, so that no rate outweighs all others.
    private static let leastPart = 1e-3

    /// Returns the inverse of the variance of each best rate's own error and of the misfit, the
    /// variance of best rates around the law that their errors do not explain (Paule & Mandel 1982).
    /// Without errors, the weights are equal.
    private static func weights(
        _ observations: [Observation], _ variables: [Variable]
    ) -> [Double] {
        let known = observations.compactMap { $0.error?.variance }
        let greatest = known.max() ?? 0
        guard known.count == observations.count, greatest > 1e-18 else {
            return observations.map { _ in 1 }
        }
        let own = known.map { max($0, leastPart * greatest) }
        func weights(_ misfit: Double) -> [Double] { own.map { 1 / ($0 + misfit) } }
        func isExplained(_ misfit: Double) -> Bool {
            guard let fit = fit(observations, variables, weights(misfit)) else { return true }
            return fit.residualSumOfSquares <= Double(max(1, fit.degreesOfFreedom))
        }
        guard !isExplained(0) else { return weights(0) }
        var (lower, upper) = (0.0, greatest)
        while !isExplained(upper), upper < 0x1p20 { (lower, upper) = (upper, 2 * upper) }
        for _ in 0..<40 {
            let middle = (lower + upper) / 2
            if isExplained(middle) { upper = middle } else { lower = middle }
        }
        return weights(upper)
    }

    /// Returns the variance of a parameter from the errors that all best rates of a comparison share;
    /// nil if no error is known.
    ///
    /// - Parameter derivatives: the derivative of the parameter by each best rate.
    private static func sharedSpread(
        _ observations: [Observation], _ derivatives: [Double]
    ) -> SpreadEstimate? {
        var (asymmetry, shift): ([Int: Double], [Int: Double]) = ([:], [:])
        for (one, derivative) in zip(observations, derivatives) {
            guard let error = one.error else { continue }
            asymmetry[error.comparison, default: 0] += derivative * error.asymmetryError
            shift[error.comparison, default: 0] += derivative * error.shift
        }
        // A dictionary has no order, and sums must not depend on it.
        let variance = (asymmetry.sorted { $0.key < $1.key } + shift.sorted { $0.key < $1.key })
            .reduce(0) { $0 + $1.value * $1.value }
        guard let freedom = observations.compactMap({ $0.error?.degreesOfFreedom }).min() else {
            return nil
        }
        return SpreadEstimate(variance: variance, degreesOfFreedom: Double(max(1, freedom)))
    }
}

// MARK: - Text

extension JointRateFit {
    /// The fit in a few sentences.
    package var sentence: String {
        func number(_ value: Double) -> String { Format.fixed(value, decimals: 2) }
        let powers = exponents.enumerated().map { place, entry in
            let (variable, exponent) = entry
            let interval = exponent.interval.map {
                let level = Format.significant(100 * $0.level, digits: 3)
                return " (\(number($0.lower)) to \(number($0.upper))"
                    + (place == 0 ? " at \(level) %)" : ")")
            }
            return "\(variable.rawValue)^\(number(exponent.value))\(interval ?? "")"
        }
        let law =
            "\(Format.counted(count, "best rate")) of "
            + "\(Format.counted(clusterCount, "pair")) of a model and a batch give a rate "
            + "proportional to \(powers.joined(separator: " ")), for "
            + "\(Format.list(exponents.map(\.variable.meaning)))."
        return [law, tokensSentence, holdOutSentence].compactMap(\.self).joined(separator: " ")
    }

    private var tokensSentence: String? {
        guard !tokensFollow.isEmpty else { return nil }
        let letters = Format.list(tokensFollow.map(\.rawValue))
        let isOne = tokensFollow.count == 1
        return "The tokens D follow \(letters) here, so the \(isOne ? "exponent" : "exponents") of "
            + "\(letters) \(isOne ? "includes" : "include") that of D."
    }

    private var holdOutSentence: String? {
        holdOutFactor.map {
            "Fitted without the largest model, it predicts that model's best rates within a "
                + "factor of \(Format.fixed($0, decimals: 2)) (root mean square)."
        }
    }

    package var json: JSONObject {
        var json: JSONObject = [
            "best_rates": .integer(count), "clusters": .integer(clusterCount),
            "sentence": .string(sentence),
            "tokens_follow": .strings(tokensFollow.map(\.rawValue)),
            "hold_out_factor": JSONValue(holdOutFactor),
        ]
        for (variable, exponent) in exponents {
            json["exponent_\(variable.rawValue)"] = [
                "value": .number(exponent.value),
                "interval": exponent.interval.map { [.number($0.lower), .number($0.upper)] }
                    ?? .null,
            ]
        }
        return json
    }
}
