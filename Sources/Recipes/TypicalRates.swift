import Glibc

/// The range of peak learning rates that is typical of Adam and AdamW for models of one size.
///
/// The ranges are a rough guide from published recipes, such as those of GPT-3 (Brown et al. 2020,
/// 2005.14165, table 2.1) and LLaMA (Touvron et al. 2023, 2302.13971, table 2).
package struct TypicalRates: Sendable, Equatable {
    /// The number of parameters.
    package let parameters: Double
    package let rates: ClosedRange<Double>

    /// The typical ranges, in ascending order of parameters.
    package static let guide = [
        TypicalRates(parameters: 1e8, rates: 3e-4...1e-3),
        TypicalRates(parameters: 1e9, rates: 1e-4...3e-4),
        TypicalRates(parameters: 1e10, rates: 3e-5...1e-4),
        TypicalRates(parameters: 1e11, rates: 1e-5...3e-5),
    ]

    /// Returns the range for a number of parameters.
    ///
    /// Between the sizes of the guide, the logarithms of the bounds are interpolated. Smaller models
    /// have the range of the smallest size, and larger ones that of the largest.
    package static func range(parameters: Double) -> ClosedRange<Double> {
        let smallest = guide[0]
        guard parameters > smallest.parameters else { return smallest.rates }
        for (low, high) in zip(guide, guide.dropFirst()) where parameters <= high.parameters {
            let share = log(parameters / low.parameters) / log(high.parameters / low.parameters)
            func bound(_ key: KeyPath<ClosedRange<Double>, Double>) -> Double {
                low.rates[keyPath: key]
                    * pow(high.rates[keyPath: key] / low.rates[keyPath: key], share)
            }
            return bound(\.lowerBound)...bound(\.upperBound)
        }
        return guide[guide.count - 1].rates
    }

    /// The factor beyond the range from which a rate deserves a warning.
    private static let farFactor = 10.0

    /// Returns whether a rate is so far outside the range that it may be a mistake.
    package static func isFar(_ rate: Double, from range: ClosedRange<Double>) -> Bool {
        rate > range.upperBound * farFactor || rate < range.lowerBound / farFactor
    }
}
