import Statistics

/// A simulation of more seeds. It draws their best rates with the fitted noise and judges the rules
/// again.
///
/// Each repetition also draws the batches' true best rates (`LikelyBestRates`). The errors of the
/// valley's form that noise causes shrink with the number of runs.
struct SeedSimulation {
    private let batches: [Int]
    private let optima: [BatchOptimum]
    private let valley: SharedValley
    private let baseBatch: Int
    private let settings: AnalysisSettings
    private let likely: LikelyBestRates
    /// The places of the batches of `likely` among the optima.
    private let places: [Int]

    private static let repetitions = 200

    /// Prepares a simulation of more seeds at `batches`.
    ///
    /// Returns nil if a batch has no best rate in the valley, or if there is only one seed.
    init?(
        _ batches: [Int], _ optima: [BatchOptimum], _ valley: SharedValley, baseBatch: Int,
        settings: AnalysisSettings
    ) {
        guard let seedVariance = valley.seedVariance,
            batches.allSatisfy({ valley.place(of: $0) != nil })
        else { return nil }
        (self.batches, self.optima, self.valley) = (batches, optima, valley)
        (self.baseBatch, self.settings) = (baseBatch, settings)
        let known = optima.indices.compactMap { place -> (Int, LikelyBestRates.Measurement)? in
            let optimum = optima[place]
            guard let best = optimum.optimum.best, let own = valley.place(of: optimum.batch),
                let noise = valley.seedNoise(own), !optimum.seeds.isEmpty
            else { return nil }
            return (
                place,
                LikelyBestRates.Measurement(
                    batch: optimum.batch, logRate: best.logRate,
                    variance: noise.variance / Double(optimum.seeds.count))
            )
        }
        places = known.map(\.0)
        likely = LikelyBestRates(
            known.map(\.1), degreesOfFreedom: seedVariance.degreesOfFreedom)
    }

    /// Returns the share of repetitions with `count` more seeds in which each rule is settled, by the
    /// rule's name.
    ///
    /// - Parameter isFormKnown: whether runs at rates between the known ones have also shown the
    ///   valley's form.
    func probabilities(
        ofDecisionWith count: Int, isFormKnown: Bool = false
    ) -> [String: Double] {
        var shares: [String: Double] = [:]
        let known = optima.reduce(0) { $0 + $1.seeds.count }
        let ratio = Double(known) / Double(known + batches.count * count)
        for repetition in 0..<Self.repetitions {
            var random = NormalNumbers(key: UInt64(repetition) << 16 | UInt64(count))
            let truths = likely.draw(&random)
            var drawn = optima
            for (place, truth) in zip(places, truths) {
                let more = batches.contains(drawn[place].batch) ? count : 0
                drawn[place] = draw(
                    drawn[place], truth, more, formRatio: isFormKnown ? nil : ratio, &random)
            }
            let verdicts = DesignAnalysis.lookedUp(
                drawn, valley, baseBatch: baseBatch, settings: settings)
            for verdict in verdicts where verdict.isSettled {
                shares[verdict.rule, default: 0] += 1 / Double(Self.repetitions)
            }
        }
        return shares
    }

    /// Returns a batch with the best rate that `count` more seeds might show.
    ///
    /// - Parameters:
    ///   - truth: the logarithm of the true best rate.
    ///   - formRatio: the factor by which the runs reduce the variances of the valley's form; nil
    ///     if they show the form exactly.
    private func draw(
        _ optimum: BatchOptimum, _ truth: Double, _ count: Int, formRatio: Double?,
        _ random: inout NormalNumbers
    ) -> BatchOptimum {
        guard let best = optimum.optimum.best, let place = valley.place(of: optimum.batch),
            let seedNoise = valley.seedNoise(place)
        else { return optimum }
        let (known, more) = (Double(optimum.seeds.count), Double(count))
        let seen =
            count > 0 ? truth + (seedNoise.variance / more).squareRoot() * random.normal() : 0
        let variance =
            seedNoise.variance / (known + more)
            + (formRatio.map { valley.commonVariance(place, formRatio: $0) } ?? 0)
        return optimum.with(
            BestRate(
                logRate: (known * best.logRate + more * seen) / (known + more), loss: best.loss,
                error: .init(
                    value: variance.squareRoot(),
                    degreesOfFreedom: seedNoise.degreesOfFreedom + batches.count * count),
                asymmetryError: best.asymmetryError * (formRatio ?? 0).squareRoot(),
                level: settings.level))
    }
}
