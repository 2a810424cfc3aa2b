import Statistics

/// A comparison of the laws of the best rate by Akaike's corrected criterion.
///
/// Each batch is one observation: its ln(best rate) over all seeds. The seeds of a batch are not
/// further observations of the law.
package struct ModelComparison: Sendable, Equatable {
    /// The fitted laws in the order of `RateLaw`. A law for which the batches are too few has no
    /// criterion.
    package let models: [RateModel]
    /// The batches with a best rate.
    package let batches: [Int]
    /// The variance of a batch's ln(best rate), or nil if it is unknown.
    private let noise: Noise?
    /// The laws for which the batches are too few.
    package let refused: [RateLaw]

    init(_ optima: [BatchOptimum], level: Double) {
        let found = optima.compactMap { optimum in
            optimum.optimum.best.map { (batch: optimum.batch, best: $0) }
        }
        let errors = found.compactMap(\.best.error)
        let noise =
            errors.count < found.count || errors.isEmpty
            ? nil
            : Noise(
                variance: Sample(errors.map { $0.value * $0.value }).mean,
                degreesOfFreedom: errors.map(\.degreesOfFreedom).min() ?? 1)
        self.init(
            batches: found.map { $0.batch }, rates: found.map(\.best.rate), noise: noise,
            level: level)
    }

    /// Fits and compares the laws.
    ///
    /// - Parameters:
    ///   - rates: the best rate of each batch.
    ///   - noise: the variance of a batch's ln(best rate), or nil if it is unknown. A law does not
    ///     fit if the noise does not explain its residuals.
    package init(batches: [Int], rates: [Double], noise: Noise? = nil, level: Double) {
        precondition(batches.count == rates.count, "every batch has a best rate")
        self.batches = batches
        self.noise = noise
        var fitted: [RateModel] = []
        if batches.count >= 2 {
            fitted = RateLaw.allCases.compactMap {
                RateModel($0, batches: batches.map { Double($0) }, rates: rates, level: level)
            }
        }
        let judged = fitted.indices.filter { fitted[$0].criterion != nil }
        let criteria = judged.compactMap { fitted[$0].criterion }
        let weights = InformationCriterion.akaikeWeights(criteria)
        for (position, index) in judged.enumerated() {
            fitted[index].delta = criteria[position] - (criteria.min() ?? 0)
            fitted[index].weight = weights[position]
        }
        models = fitted
        let names = Set(judged.map { fitted[$0].law })
        refused = RateLaw.allCases.filter { !names.contains($0) }
    }

    /// The number of batches with which every law can be judged.
    static let fewestBatches = 6

    /// Returns the laws that the batches cannot distinguish from the best one.
    ///
    /// They are the laws whose criterion is within 2 of the best one's, for which there is
    /// substantial support (Burnham & Anderson 2004). The free power is among them if the
    /// exponent's interval excludes the exponent of the best law.
    func rivals(of best: RateModel, exponent: Estimate?) -> [RateModel] {
        let isExcluded = best.law.isExcluded(by: exponent)
        return models.filter { model in
            guard let delta = model.delta, model.law != best.law else { return false }
            return delta < 2 || isExcluded && model.law == .power
        }
    }

    /// The law with the least criterion, or nil if no law could be judged or this one does not fit.
    package var best: RateModel? {
        let best = models.filter { $0.delta != nil }.min { ($0.delta ?? 0) < ($1.delta ?? 0) }
        // While the free power cannot be judged, laws that do not fit are not refuted by it.
        return best.flatMap { fits($0) || refused.contains(.power) ? $0 : nil }
    }

    /// Whether at least one law could be judged, but the best one does not fit.
    var isRefuted: Bool { best == nil && models.contains { $0.delta != nil } }

    /// The probability below which a law does not fit.
    private static let leastProbability = 0.01

    private func fits(_ model: RateModel) -> Bool {
        let left = batches.count - model.parameters.count
        guard let noise, noise.variance > 1e-18, left >= 1 else { return true }
        let ratio = model.residualSumOfSquares / Double(left) / noise.variance
        let probability = VarianceRatio.upperTail(
            ratio, numerator: left, denominator: noise.degreesOfFreedom)
        return probability >= Self.leastProbability
    }
}
