import Statistics

/// A simulation of more seeds. It draws their best rates with the fitted noise and judges the rules
/// again.
///
/// Each repetition also draws the batches' true best rates, within their errors.
struct SeedSimulation {
    private let batches: [Int]
    private let optima: [BatchOptimum]
    private let valley: SharedValley
    private let baseBatch: Int
    private let settings: AnalysisSettings

    private static let repetitions = 200

    /// Prepares a simulation of more seeds at `batches`.
    ///
    /// Returns nil if a batch has no best rate in the valley, or if there is only one seed.
    init?(
        _ batches: [Int], _ optima: [BatchOptimum], _ valley: SharedValley, baseBatch: Int,
        settings: AnalysisSettings
    ) {
        guard valley.seedVariance != nil,
            batches.allSatisfy({ valley.place(of: $0) != nil })
        else { return nil }
        (self.batches, self.optima, self.valley) = (batches, optima, valley)
        (self.baseBatch, self.settings) = (baseBatch, settings)
    }

    /// Returns, for each rule by name, the share of repetitions with `count` more seeds in which it is
    /// decided.
    func probabilities(ofDecisionWith count: Int) -> [String: Double] {
        var shares: [String: Double] = [:]
        for repetition in 0..<Self.repetitions {
            var random = NormalNumbers(key: UInt64(repetition) << 16 | UInt64(count))
            let drawn = optima.map { optimum in
                batches.contains(optimum.batch) ? draw(optimum, count, &random) : optimum
            }
            let verdicts = DesignAnalysis.lookedUp(
                drawn, valley, baseBatch: baseBatch, settings: settings)
            for verdict in verdicts where verdict.isSettled {
                shares[verdict.name, default: 0] += 1 / Double(Self.repetitions)
            }
        }
        return shares
    }

    /// Returns a batch with the best rate that `count` more seeds might show.
    private func draw(
        _ optimum: BatchOptimum, _ count: Int, _ random: inout NormalNumbers
    ) -> BatchOptimum {
        guard let best = optimum.optimum.best, let place = valley.place(of: optimum.batch),
            let seedNoise = valley.seedNoise(place)
        else { return optimum }
        let (known, more) = (Double(optimum.seeds.count), Double(count))
        let truth = best.logRate + (seedNoise.variance / known).squareRoot() * random.normal()
        let seen = truth + (seedNoise.variance / more).squareRoot() * random.normal()
        let variance = seedNoise.variance / (known + more) + valley.commonVariance(place)
        return optimum.with(
            BestRate(
                logRate: (known * best.logRate + more * seen) / (known + more), loss: best.loss,
                error: .init(
                    value: variance.squareRoot(),
                    degreesOfFreedom: seedNoise.degreesOfFreedom + batches.count * count),
                asymmetryError: best.asymmetryError, level: settings.level))
    }
}
