import Support

/// The rule by which the recipe's formula gives the rate, as a function of lr, B, B0, k and, if
/// there is a noise scale, Bn.
struct FormulaRule: ScalingRule {
    static let keys: [ScalingKey: ScalingKey.Use] = [.formula: .required, .noiseScale: .optional]
    private let text: String
    private let noiseScale: Double?

    init(_ scaling: ScalingConfiguration) {
        text = scaling.formula ?? ""
        noiseScale = scaling.noiseScale
    }

    func title(_ name: String) -> String { text.debugDescription }

    func validate() throws(Failure) { _ = try parsed() }

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        let base = batches.optimizer.learningRate
        let rate = try parsed().value(
            [base, Double(batches.global), Double(batches.base), batches.ratio, noiseScale ?? .nan])
        try require(
            rate.isFinite && rate > 0 && (rate / base).isFinite,
            or: .key(
                "[scaling] formula", text.debugDescription,
                "gives \(described(rate)) with lr = \(base) at global_batch = \(batches.global) and "
                    + "base_batch = \(batches.base)",
                remedy: "write one that gives a learning rate, a number above 0"))
        return PeakRate(factor: rate / base, rate: rate)
    }

    private func parsed() throws(Failure) -> Formula {
        let formula = try Formula(
            text, key: "[scaling] formula", variables: ["lr", "B", "B0", "k", "Bn"])
        if let noiseScale {
            try require(
                formula.mentions("Bn"),
                or: .key(
                    "[scaling] noise_scale", noiseScale, "does nothing with a formula without Bn",
                    remedy: "remove it, or write Bn in the formula"))
        } else {
            try require(
                !formula.mentions("Bn"),
                or: .key(
                    "[scaling] formula", text.prefix(60).debugDescription,
                    "mentions Bn, which noise_scale does not give",
                    remedy: ScalingKey.noiseScale.example))
        }
        return formula
    }
}
