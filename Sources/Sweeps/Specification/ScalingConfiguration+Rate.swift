import Recipes
import Support

extension ScalingConfiguration {
    /// Returns the rate that the rule prescribes at a batch, given the rate at the base batch.
    ///
    /// - Throws: `Failure` (configuration) if the rule has no rate there.
    func rate(atBatch batch: Int, base: Double) throws(Failure) -> Double {
        var optimizer = Recipe().optimizer
        optimizer.learningRate = base
        return try resolve(optimizer, globalBatch: batch).peakLearningRate
    }

    /// Checks that the rule keeps the rate of the base batch, because a regret is that of the base
    /// batch's best rate after scaling.
    ///
    /// - Throws: `Failure` (configuration) that names the formula, which alone can change it.
    func requireBaseRate(_ rate: Double, base: Double) throws(Failure) {
        try require(
            (rate / base - 1).magnitude < 1e-6,
            or: .key(
                "[scaling] formula", jsonQuoted(formula ?? ""),
                "gives \(Format.significant(rate, digits: 3)) at the base batch with lr = \(base)",
                remedy: "write one that gives lr where B = B0"))
    }
}
