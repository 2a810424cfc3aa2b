import Support

extension ScalingConfiguration {
    /// Returns the rate and the optimizer's configuration at a global batch.
    ///
    /// - Parameters:
    ///   - optimizer: the configuration at the base batch.
    ///   - globalBatch: the number of sequences.
    /// - Throws: `Failure` (configuration) if a value is not valid, the rule does not hold for the
    ///   optimizer or the batch, or the optimizer cannot take the result.
    package func resolve(
        _ optimizer: OptimizerConfiguration, globalBatch: Int
    ) throws(Failure) -> BatchScaling {
        try validate()
        try require(
            globalBatch >= 1,
            or: .key(
                "[training] global_batch", globalBatch, "must be a number of sequences, 1 or more",
                remedy: "set the sequences in one optimizer step, over all ranks"))
        try refuse(optimizer.name)
        let batches = BatchChange(
            base: baseBatch ?? globalBatch, global: globalBatch, optimizer: optimizer)
        let rule = rule.definition.init(self)
        let peak = try rule.peakRate(batches)
        var scaled = optimizer
        scaled.learningRate = peak.rate
        scaled.adamLearningRate = optimizer.adamLearningRate.map { $0 * peak.factor }
        try rule.scale(&scaled, batches)
        if weightDecay == .timescale {
            scaled.weightDecay = optimizer.weightDecay * batches.ratio / peak.factor
        }
        try check(scaled, batches)
        return BatchScaling(
            rule: self.rule, exponent: peak.exponent, factor: peak.factor, baseBatch: batches.base,
            globalBatch: globalBatch, baseLearningRate: optimizer.learningRate,
            peakLearningRate: peak.rate, gradualWarmup: gradualWarmup, warmup: warmup,
            optimizer: scaled)
    }

    /// Sets unset keys to the values that the rule uses.
    mutating func settle(for optimizer: OptimizerConfiguration) {
        rule.definition.init(self).settle(&self, for: optimizer)
    }

    /// The rule and its numbers, as the plan shows them.
    package var title: String { rule.definition.init(self).title(rule.rawValue) }

    /// Returns whether the rule still holds at a batch, given the optimizer's configuration at the
    /// base batch.
    package func reaches(_ globalBatch: Int, with optimizer: OptimizerConfiguration) -> Bool {
        rule.definition.init(self).reaches(
            BatchChange(
                base: baseBatch ?? globalBatch, global: globalBatch, optimizer: optimizer))
    }

    /// Checks that the optimizer has the betas and the decay that `[scaling]` changes.
    private func refuse(_ name: OptimizerConfiguration.Name) throws(Failure) {
        typealias Names = OptimizerConfiguration.Name
        try require(
            !name.orthogonalizes || !rule.scalesBetas,
            or: .key(
                "[scaling] rule", "\"\(rule.rawValue)\"",
                "scales Adam's betas, but the matrices of [optimizer] name = \"\(name.rawValue)\" "
                    + "follow a momentum that it does not scale",
                remedy: "set rule = \"sqrt\", or name = \"adamw\""))
        try require(
            name.takes(.betas) || !rule.scalesBetas,
            or: .key(
                "[scaling] rule", "\"\(rule.rawValue)\"",
                "scales betas, but [optimizer] name = \"\(name.rawValue)\" has none",
                remedy: "set \(Names.setting { $0.keys.contains(.betas) && !$0.orthogonalizes }), "
                    + "or rule = \"linear\""))
        try require(
            name.decouplesDecay || weightDecay != .timescale,
            or: .key(
                "[scaling] weight_decay", "\"\(weightDecay.rawValue)\"",
                "keeps the timescale of AdamW's decay, but [optimizer] name = \"\(name.rawValue)\" has "
                    + "none",
                remedy: "set \(Names.setting(where: \.decouplesDecay)), or weight_decay = \"kept\"")
        )
    }

    /// Checks that the optimizer can take the scaled values, which overflow if the batches are too
    /// far apart.
    private func check(
        _ scaled: OptimizerConfiguration, _ batches: BatchChange
    ) throws(Failure) {
        let optimizer = batches.optimizer
        let smallest = Double(Float.leastNormalMagnitude)
        let largest = Double(Float.greatestFiniteMagnitude)
        let values: [(String, Double, Double, ClosedRange<Double>)] = [
            ("betas[0]", optimizer.beta1, scaled.beta1, 0...1.0.nextDown),
            ("betas[1]", optimizer.beta2, scaled.beta2, 0...1.0.nextDown),
            ("epsilon", optimizer.epsilon, scaled.epsilon, smallest...largest),
            ("weight_decay", optimizer.weightDecay, scaled.weightDecay, 0...largest),
        ]
        for (key, value, scaled, allowed) in values {
            try require(
                scaled == value || allowed.contains(scaled),
                or: .key(
                    "[optimizer] \(key)", value,
                    "becomes \(scaled) by [scaling] at global_batch = \(batches.global) with "
                        + "base_batch = \(batches.base)",
                    remedy: "choose batches that are closer together"))
        }
    }
}
