import Glibc
import Statistics

/// Which law of the best rate the batches support, by Akaike's corrected criterion.
///
/// The observations are the batches: their best rates over seeds, in ln(rate). The seeds of one
/// batch are no further observations of the law.
package struct ModelComparison: Sendable, Equatable {
    /// In `RateLaw`'s order; those that the batches are too few for have no criterion.
    package let models: [RateModel]
    /// The batches it rests on.
    package let batches: [Int]
    /// The laws that could not be fitted or judged: not enough batches.
    package let refused: [RateLaw]

    init(_ optima: [BatchOptimum], level: Double) {
        let found = optima.compactMap { optimum in
            optimum.optimum.best.map { (batch: optimum.batch, rate: $0.rate) }
        }
        self.init(batches: found.map { $0.batch }, rates: found.map { $0.rate }, level: level)
    }

    /// - Parameter rates: the best rate of each batch.
    package init(batches: [Int], rates: [Double], level: Double) {
        precondition(batches.count == rates.count, "a rate for each batch")
        self.batches = batches
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

    /// With which every law can be judged.
    static let fewestBatches = 6

    /// The laws that the batches do not tell from the best one: those within 2 of its criterion,
    /// for which there is substantial support (Burnham & Anderson 2004); and where the exponent's
    /// interval excludes the best law's, the free power.
    func rivals(of best: RateModel, exponent: Estimate?) -> [RateModel] {
        let interval = exponent?.interval?.widened(by: 1e-9)
        let isExcluded =
            best.law.exponent.flatMap { own in interval.map { !$0.contains(own) } } ?? false
        return models.filter { model in
            guard let delta = model.delta, model.law != best.law else { return false }
            return delta < 2 || isExcluded && model.law == .power
        }
    }

    /// The law with the least criterion; nil where none could be judged.
    package var best: RateModel? {
        models.filter { $0.delta != nil }.min { ($0.delta ?? 0) < ($1.delta ?? 0) }
    }
}
