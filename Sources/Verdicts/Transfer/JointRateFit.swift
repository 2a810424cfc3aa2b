import Glibc
import Statistics
import Support

/// A fit of the best rate as a product of powers of the parameters N, the tokens D and the batch B.
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

        package init(parameters: Double, tokens: Double, batch: Double, logRate: Double) {
            self.parameters = parameters
            self.tokens = tokens
            self.batch = batch
            self.logRate = logRate
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
    }

    /// The variables of the fit, each with its exponent.
    package let exponents: [(variable: Variable, exponent: Estimate)]
    package let count: Int
    /// The factor by which predictions for the largest model, from a fit without it, are wrong (root
    /// mean square); nil if the other models do not determine a fit.
    package let holdOutFactor: Double?

    /// Returns whether two fits have the same numbers; tuples are not `Equatable` by themselves.
    package static func == (one: JointRateFit, other: JointRateFit) -> Bool {
        one.count == other.count && one.holdOutFactor == other.holdOutFactor
            && one.exponents.map(\.variable) == other.exponents.map(\.variable)
            && one.exponents.map(\.exponent) == other.exponents.map(\.exponent)
    }

    /// Fits the variables that vary. Leaves out the tokens if the other variables determine them.
    ///
    /// Returns nil if fewer than two variables vary, or too few best rates are known for intervals.
    package init?(_ observations: [Observation], level: Double) {
        var variables = Variable.allCases.filter { Self.varies($0, in: observations) }
        var fit = Self.fit(observations, variables)
        if fit == nil, variables.contains(.tokens), variables.contains(.parameters) {
            // With equal tokens per parameter, D is proportional to N.
            variables.removeAll { $0 == .tokens }
            fit = Self.fit(observations, variables)
        }
        guard let fit, variables.count >= 2, fit.degreesOfFreedom >= 2 else { return nil }
        exponents = variables.enumerated().map { place, variable in
            (variable, fit.estimate(place + 1, level: level))
        }
        count = observations.count
        holdOutFactor = Self.holdOut(observations, variables)
    }

    private static func varies(_ variable: Variable, in observations: [Observation]) -> Bool {
        Set(observations.map { variable.log($0) }).count > 1
    }

    private static func row(_ observation: Observation, _ variables: [Variable]) -> [Double] {
        [1] + variables.map { $0.log(observation) }
    }

    private static func fit(
        _ observations: [Observation], _ variables: [Variable]
    ) -> LeastSquaresFit? {
        guard observations.count > variables.count else { return nil }
        return linearLeastSquares(
            observations.map { row($0, variables) }, observations: observations.map(\.logRate))
    }

    private static func holdOut(
        _ observations: [Observation], _ variables: [Variable]
    ) -> Double? {
        guard let largest = observations.map(\.parameters).max() else { return nil }
        let known = observations.filter { $0.parameters < largest }
        let left = observations.filter { $0.parameters == largest }
        guard known.count > variables.count + 1, let fit = fit(known, variables) else {
            return nil
        }
        let squares = left.map { observation in
            let predicted = zip(row(observation, variables), fit.parameters).reduce(0) {
                $0 + $1.0 * $1.1
            }
            return (predicted - observation.logRate) * (predicted - observation.logRate)
        }
        return exp(Sample(squares).mean.squareRoot())
    }

    /// The fit in one or two sentences.
    package var sentence: String {
        func number(_ value: Double) -> String { Format.fixed(value, decimals: 2) }
        let powers = exponents.map { variable, exponent in
            let interval = exponent.interval.map {
                " (\(number($0.lower)) to \(number($0.upper)))"
            }
            return "\(variable.rawValue)^\(number(exponent.value))\(interval ?? "")"
        }
        let law =
            "\(Format.counted(count, "best rate")) give a rate proportional to "
            + powers.joined(separator: " ")
            + ", for N parameters outside the embeddings and the head, D tokens and B "
            + "sequences."
        let check = holdOutFactor.map {
            " Fitted without the largest model, it predicts that model's best rates within a "
                + "factor of \(number($0)) (root mean square)."
        }
        return law + (check ?? "")
    }

    package var json: JSONObject {
        var json: JSONObject = [
            "best_rates": .integer(count), "sentence": .string(sentence),
            "hold_out_factor": holdOutFactor.map { .number($0) } ?? .null,
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
