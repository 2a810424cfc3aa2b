import Glibc
import Statistics

extension Regret {
    /// Computes the regret of a rule that scales the base batch's best rate.
    init(
        _ rule: RateRule, at batch: BatchOptimum, base: BatchOptimum, valley: SharedValley?,
        settings: AnalysisSettings
    ) {
        let ratio = Double(batch.batch) / Double(base.batch)
        func logRate(shift: Double) -> Double? {
            guard let best = base.optimum.best else { return nil }
            let rate = rule.rate(best.rate * exp(shift), ratio)
            return rate > 0 && rate.isFinite ? log(rate) : nil
        }
        guard let logRate0 = logRate(shift: 0) else {
            self.init(unavailableAt: batch)
            return
        }
        guard batch.batch != base.batch else {
            self.init(base: base)
            return
        }
        // The gain is the fraction of the base rate's error that the rule passes on. It is 1 if the
        // rule multiplies the rate.
        let step = 1e-4
        let gain = ((logRate(shift: step) ?? logRate0) - logRate0) / step
        let (first, own) = (base.optimum.best, batch.optimum.best)
        var noise: Noise?
        if let error = first?.error, own == nil || own?.error != nil {
            let shared = gain * (first?.asymmetryError ?? 0) - (own?.asymmetryError ?? 0)
            let ownError = own?.error?.value ?? 0
            noise = Noise(
                variance: gain * gain * error.value * error.value + ownError * ownError
                    + shared * shared, degreesOfFreedom: error.degreesOfFreedom)
        }
        self.init(
            RuleRate(
                logRate: logRate0, noise: noise,
                resolution: abs(gain) * (first?.resolution ?? 0)
                    + (own?.resolution ?? 0)),
            at: batch, valley: valley, settings: settings)
    }
}

extension RateRule {
    /// Returns ln(factor) by which the rule multiplies any base rate at `ratio` times the base
    /// batch, or nil if the factor depends on the rate.
    func logFactor(_ ratio: Double) -> Double? {
        let (one, two) = (rate(1e-3, ratio), rate(2e-3, ratio))
        guard one > 0, two > 0, one.isFinite, two.isFinite, abs(two / one - 2) < 1e-9 else {
            return nil
        }
        return log(one / 1e-3)
    }
}

extension Regret {
    /// Returns the regrets of a rule whose constant is fitted to the best rates of all batches. The
    /// best rate of the base batch alone may be the noisiest.
    ///
    /// Returns nil if the rule does not multiply the rate, or if fewer than two batches have a best
    /// rate with an error.
    static func fitted(
        _ rule: RateRule, _ optima: [BatchOptimum], baseBatch: Int, valley: SharedValley?,
        settings: AnalysisSettings
    ) -> [Regret]? {
        var factors: [Double] = []
        for optimum in optima {
            guard let factor = rule.logFactor(Double(optimum.batch) / Double(baseBatch)) else {
                return nil
            }
            factors.append(factor)
        }
        var (weights, constants) = ([Double](), [Double]())
        var freedom = Int.max
        for (optimum, factor) in zip(optima, factors) {
            guard let best = optimum.optimum.best, let error = best.error,
                let variance = best.variance
            else { continue }
            weights.append(1 / max(variance, 1e-18))
            constants.append(best.logRate - factor)
            freedom = min(freedom, error.degreesOfFreedom)
        }
        guard weights.count >= 2 else { return nil }
        let total = weights.reduce(0, +)
        let constant = zip(weights, constants).reduce(0) { $0 + $1.0 * $1.1 } / total
        return zip(optima, factors).map { optimum, factor in
            // The batch's own best rate is a part of the constant, so the errors partly cancel.
            let own = optimum.optimum.best?.variance.map { $0 - 1 / total }
            return Regret(
                RuleRate(
                    logRate: constant + factor,
                    noise: Noise(
                        variance: max(0, own ?? 1 / total), degreesOfFreedom: freedom),
                    resolution: optimum.optimum.best?.resolution ?? 0),
                at: optimum, valley: valley, settings: settings)
        }
    }
}
