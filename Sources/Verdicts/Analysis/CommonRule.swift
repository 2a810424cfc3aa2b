/// A rule that multiplies the rate by a usual power of the batch ratio, by its name in recipes.
package enum CommonRule: String, CaseIterable, Sendable {
    /// The rule that keeps the base batch's rate.
    case unchanged = "none"
    /// The square root rule (Krizhevsky 2014; Hoffer, Hubara & Soudry 2017).
    case squareRoot = "sqrt"
    /// The linear rule (Goyal et al. 2017).
    case linear

    /// The power of the batch ratio.
    package var exponent: Double {
        switch self {
        case .unchanged: 0
        case .squareRoot: 0.5
        case .linear: 1
        }
    }

    /// Returns the factor of the rate at `ratio` times the base batch.
    package func factor(_ ratio: Double) -> Double {
        switch self {
        case .unchanged: 1
        case .squareRoot: ratio.squareRoot()
        case .linear: ratio
        }
    }

    /// The name of the rule in tables and verdicts.
    package var title: String { self == .unchanged ? "no scaling" : rawValue }

    /// The rule as the subject of a sentence.
    package var subject: String {
        switch self {
        case .unchanged: "the unchanged rate"
        case .squareRoot: "the square-root rule"
        case .linear: "the linear rule"
        }
    }

    /// The rule's rate as the subject of a sentence.
    package var rateSubject: String { self == .unchanged ? subject : "\(subject)'s rate" }
}
