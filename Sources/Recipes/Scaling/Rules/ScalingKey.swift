import Support

/// A key of `[scaling]` that some rules take and others do not.
enum ScalingKey: String, CaseIterable {
    case exponent
    case noiseExponent = "noise_exponent"
    case noiseScale = "noise_scale"
    case formula

    /// The use of a key by a rule.
    enum Use { case required, optional }

    /// The setting to recommend if the recipe sets the key but its rule does not take it: the rules
    /// that require the key or, if there are none, those that take it.
    var rules: String {
        let taking = ScalingConfiguration.Rule.allCases.filter { $0.definition.keys[self] != nil }
        let requiring = taking.filter { $0.definition.keys[self] == .required }
        let names = (requiring.isEmpty ? taking : requiring).map { "\"\($0.rawValue)\"" }
        return "rule = \(Format.alternatives(names))"
    }

    /// The remedy if a rule requires the key and it is unset.
    var example: String {
        switch self {
        case .exponent: "add exponent = 0.5 or another number from 0 to 1"
        case .noiseExponent: "add noise_exponent = 0.5"
        case .noiseScale:
            "add the gradient noise scale in sequences, such as noise_scale = 256"
        case .formula: "add one such as formula = \"lr * (B / B0)^0.7\""
        }
    }

    /// Returns the text of the value in a recipe, or nil if it is unset.
    func written(in scaling: ScalingConfiguration) -> String? {
        switch self {
        case .exponent: scaling.exponent.map { "\($0)" }
        case .noiseExponent: scaling.noiseExponent.map { "\($0)" }
        case .noiseScale: scaling.noiseScale.map { "\($0)" }
        case .formula: scaling.formula?.prefix(60).debugDescription
        }
    }
}
