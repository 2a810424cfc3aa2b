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
}
