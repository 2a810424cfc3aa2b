import Glibc
import Support

extension ScalingConfiguration {
    /// The batches that a rule compares.
    private struct Batches {
        let base: Int
        let global: Int
        /// k, in the rules.
        var ratio: Double { Double(global) / Double(base) }
    }

    /// What a global batch of `globalBatch` sequences makes of an optimizer's configuration.
    ///
    /// - Parameter optimizer: the recipe's, for the base batch.
    /// - Throws: what `validate` does, and a `.configuration` failure where the rule does not hold
    ///   for the optimizer or the batch, or what it gives is no value that the optimizer can take.
    package func resolve(
        _ optimizer: OptimizerConfiguration, globalBatch: Int
    ) throws(Failure) -> ScaledRate {
        try validate()
        guard globalBatch >= 1 else {
            throw invalid(
                "[training] global_batch", globalBatch, "a number of sequences from 1 up",
                "set the sequences in one optimizer step, over all ranks")
        }
        try refuse(optimizer.name)
        let batches = Batches(base: baseBatch ?? globalBatch, global: globalBatch)
        let (exponent, factor, peak) = try peak(optimizer, batches)
        var scaled = optimizer
        scaled.learningRate = peak
        if rule == .adamSDE { try followSDE(&scaled, batches) }
        if rule == .beta2HalfLife { scaled.beta2 = pow(optimizer.beta2, batches.ratio) }
        if weightDecay == .timescale {
            scaled.weightDecay = optimizer.weightDecay * batches.ratio / factor
        }
        try check(scaled, from: optimizer, batches)
        return ScaledRate(
            rule: rule, exponent: exponent, factor: factor, baseBatch: batches.base,
            globalBatch: globalBatch, baseLearningRate: optimizer.learningRate,
            peakLearningRate: peak, gradualWarmup: gradualWarmup, warmup: warmup,
            optimizer: scaled)
    }

    /// `noise-scale`'s exponent with an optimizer, where the recipe is silent.
    package func noiseExponent(for name: OptimizerConfiguration.Name) -> Double {
        noiseExponent ?? (name.isDescent ? 1 : 0.5)
    }

    /// Refuses rules of Adam's moments and of AdamW's decay with optimizers that have none.
    private func refuse(_ name: OptimizerConfiguration.Name) throws(Failure) {
        guard name.isAdam || rule != .adamSDE && rule != .beta2HalfLife else {
            throw conflict(
                "[scaling] rule", "\"\(rule.rawValue)\"",
                "scales betas, which [optimizer] name = \"\(name.rawValue)\" has not",
                "set name = \"adamw\", \"adam\" or \"lamb\", or rule = \"linear\"")
        }
        guard name == .adamw || weightDecay != .timescale else {
            throw conflict(
                "[scaling] weight_decay", "\"\(weightDecay.rawValue)\"",
                "keeps the timescale of AdamW's decay, which [optimizer] name = "
                    + "\"\(name.rawValue)\" has not",
                "set name = \"adamw\", or weight_decay = \"kept\"")
        }
    }

    /// The rate at the global batch, over the base rate and itself, and the power that this is of
    /// k.
    private func peak(
        _ optimizer: OptimizerConfiguration, _ batches: Batches
    ) throws(Failure) -> (exponent: Double?, factor: Double, peak: Double) {
        let base = optimizer.learningRate
        let ratio = batches.ratio
        if let formula = try validatedFormula() {
            let peak = formula.value(
                [base, Double(batches.global), Double(batches.base), ratio, noiseScale ?? .nan])
            guard peak.isFinite, peak > 0, (peak / base).isFinite else {
                throw conflict(
                    "[scaling] formula", (self.formula ?? "").debugDescription,
                    "gives \(described(peak)) with lr = \(base) at global_batch = \(batches.global) and "
                        + "base_batch = \(batches.base)",
                    "write one that gives a learning rate, a number above 0")
            }
            return (nil, peak / base, peak)
        }
        let (power, factor): (Double?, Double)
        switch rule {
        case .linear: (power, factor) = (1, ratio)
        case .sqrt, .adamSDE: (power, factor) = (0.5, ratio.squareRoot())
        case .none, .formula: (power, factor) = (0, 1)
        case .power, .beta2HalfLife: (power, factor) = (exponent ?? 0, pow(ratio, exponent ?? 0))
        case .noiseScale:
            let gain = noisePart(batches.base) / noisePart(batches.global)
            (power, factor) = (nil, pow(gain, noiseExponent(for: optimizer.name)))
        case .surge: (power, factor) = (nil, surgePart(batches.base) / surgePart(batches.global))
        }
        let peak = base * factor
        guard factor.isFinite, peak.isFinite, peak > 0 else {
            let written: (key: String, value: String, remedy: String) =
                power.map { ("exponent", "\($0)", "an exponent from 0 to 1") }
                ?? ("noise_scale", "\(noiseScale ?? 0)", "a noise_scale nearer to the batches")
            throw conflict(
                "[scaling] \(written.key)", written.value,
                "turns learning_rate = \(base) into \(described(peak)) at global_batch = "
                    + "\(batches.global) with base_batch = \(batches.base)",
                "choose \(written.remedy)")
        }
        return (power, factor, peak)
    }

    /// A number for a sentence; whether one that is none has a sign is the processor's choice.
    private func described(_ value: Double) -> String { value.isNaN ? "nan" : "\(value)" }

    /// 1 + Bn/B.
    private func noisePart(_ batch: Int) -> Double { 1 + (noiseScale ?? 0) / Double(batch) }

    /// sqrt(Bn/B) + sqrt(B/Bn).
    private func surgePart(_ batch: Int) -> Double {
        let root = ((noiseScale ?? 0) / Double(batch)).squareRoot()
        return root + 1 / root
    }

    /// The betas and epsilon of the square root rule of Malladi et al. 2022.
    private func followSDE(
        _ optimizer: inout OptimizerConfiguration, _ batches: Batches
    ) throws(Failure) {
        // Nothing to scale, not even by a rounding; and a beta of 0 is left as it is.
        guard batches.global != batches.base else { return }
        let shortest = min(optimizer.beta1, optimizer.beta2)
        guard Self.keeps(shortest, at: batches.ratio) else {
            let name = optimizer.beta1 <= optimizer.beta2 ? "beta1" : "beta2"
            let limit = (1e6 / (1 - shortest)).rounded() / 1e6
            throw conflict(
                "[training] global_batch", batches.global,
                "is \(batches.ratio) times base_batch = \(batches.base), but rule = \"adam-sde\" "
                    + "holds below 1 / (1 - \(name)) = \(limit) times alone",
                "use \(largestBatch(batches.base, beta: shortest)) at most, or another rule")
        }
        optimizer.beta1 = 1 - batches.ratio * (1 - optimizer.beta1)
        optimizer.beta2 = 1 - batches.ratio * (1 - optimizer.beta2)
        optimizer.epsilon /= batches.ratio.squareRoot()
    }

    /// Whether a rule that is right for an optimizer goes as far as a batch: `adam-sde` ends where
    /// it would leave no beta above 0.
    package func reaches(_ globalBatch: Int, with optimizer: OptimizerConfiguration) -> Bool {
        guard rule == .adamSDE, let baseBatch, globalBatch != baseBatch else { return true }
        return Self.keeps(
            min(optimizer.beta1, optimizer.beta2), at: Double(globalBatch) / Double(baseBatch))
    }

    /// Whether 1 - k (1 - beta) is above 0 by more than the rounding of what the user meant as 0.9.
    private static func keeps(_ beta: Double, at ratio: Double) -> Bool {
        ratio * (1 - beta) < 1 - 1e-12
    }

    /// The largest batch at which a beta holds, or the base batch itself.
    private func largestBatch(_ base: Int, beta: Double) -> Int {
        var batch = Int(min(0x1p53, Double(base) / (1 - beta))) + 1
        while batch > base, !Self.keeps(beta, at: Double(batch) / Double(base)) {
            batch -= 1
        }
        return max(batch, base)
    }

    /// Refuses what a rule made of values at batches so far apart that no optimizer can take it.
    private func check(
        _ scaled: OptimizerConfiguration, from optimizer: OptimizerConfiguration,
        _ batches: Batches
    ) throws(Failure) {
        let smallest = Double(Float.leastNormalMagnitude)
        let largest = Double(Float.greatestFiniteMagnitude)
        let values: [(String, Double, Double, ClosedRange<Double>)] = [
            ("betas[0]", optimizer.beta1, scaled.beta1, 0...1.0.nextDown),
            ("betas[1]", optimizer.beta2, scaled.beta2, 0...1.0.nextDown),
            ("epsilon", optimizer.epsilon, scaled.epsilon, smallest...largest),
            ("weight_decay", optimizer.weightDecay, scaled.weightDecay, 0...largest),
        ]
        for (key, value, scaled, allowed) in values
        where scaled != value && !allowed.contains(scaled) {
            throw conflict(
                "[optimizer] \(key)", value,
                "becomes \(scaled) by [scaling] at global_batch = \(batches.global) with "
                    + "base_batch = \(batches.base)",
                "choose batches that are nearer to one another")
        }
    }
}
