import Support

/// Llama 3's change of rotary frequencies for contexts longer than the original one (Grattafiori et
/// al. 2024; `rope_type` "llama3" of Hugging Face's Transformers).
///
/// Waves longer than the original context divided by `lowFrequency` become `factor` times longer,
/// those shorter than it divided by `highFrequency` stay, and those in between are interpolated.
package struct RopeScaling: Sendable, Equatable {
    package var factor = 8.0
    package var lowFrequency = 1.0
    package var highFrequency = 4.0
    package var originalContext = 8192

    package init() {}

    /// The numbers as a recipe states them.
    package var toml: String { recipeValue?.toml ?? "" }

    /// Returns a frequency in radians per position after scaling.
    package func scaled(_ frequency: Double) -> Double {
        let turns = Double(originalContext) * frequency / (2 * .pi)
        let kept = min(1, max(0, (turns - lowFrequency) / (highFrequency - lowFrequency)))
        return kept * frequency + (1 - kept) * frequency / factor
    }

    /// Checks the numbers.
    ///
    /// - Throws: `Failure` (configuration) that names the key.
    func validate() throws(Failure) {
        func check(_ isValid: Bool, _ problem: String, _ remedy: String) throws(Failure) {
            try require(
                isValid,
                or: .key(
                    "[model] rope_scaling", toml, problem, remedy: remedy))
        }
        try check(
            factor >= 1 && factor.isFinite, "has a factor below 1", "write 8 as in Llama 3.1")
        try check(
            lowFrequency > 0 && lowFrequency < highFrequency && highFrequency.isFinite,
            "needs 0 < low_frequency < high_frequency", "write 1 and 4 as in Llama 3.1")
        try check(
            originalContext >= 1, "has an original_context below 1", "write 8192 as in Llama 3.1")
    }
}

extension RopeScaling: RecipeConvertible {
    private static let keys = ["factor", "low_frequency", "high_frequency", "original_context"]
    static let expectation = "a table { factor, low_frequency, high_frequency, original_context }"
    static let remedy =
        "write { factor = 8, low_frequency = 1, high_frequency = 4, original_context = 8192 }"

    static func read(_ value: RecipeValue, key: String) throws(Failure) -> RopeScaling? {
        guard case .table(let entries) = value else { return nil }
        for name in entries.keys.sorted() where !keys.contains(name) {
            throw .about(
                .configuration, key, "has the unknown key \"\(name)\"",
                remedy: spellingRemedy(
                    for: name, among: keys, otherwise: "use one of \(keys.joined(separator: ", "))")
            )
        }
        func number<Value: RecipeConvertible>(
            _ name: String, or usual: Value
        ) throws(Failure) -> Value {
            guard let value = entries[name] else { return usual }
            return try Value.converted(value, key: "\(key) \(name)")
        }
        var scaling = RopeScaling()
        scaling.factor = try number("factor", or: scaling.factor)
        scaling.lowFrequency = try number("low_frequency", or: scaling.lowFrequency)
        scaling.highFrequency = try number("high_frequency", or: scaling.highFrequency)
        scaling.originalContext = try number("original_context", or: scaling.originalContext)
        return scaling
    }

    var recipeValue: RecipeValue? {
        .table([
            "factor": .real(factor), "low_frequency": .real(lowFrequency),
            "high_frequency": .real(highFrequency), "original_context": .integer(originalContext),
        ])
    }
}
