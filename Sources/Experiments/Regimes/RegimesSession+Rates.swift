import Compute
import Recipes
import Support
import Training

/// The choice of the rates, and the time that the session takes.
extension RegimesSession {
    /// The part of the good rate's fall that the loss of the other two rates lacks.
    private static let lackingPart = 0.5

    /// Announces the work and its time, and searches for the rates unless they are given; returns
    /// nil if a signal stopped the search. Collective: every rank must call this.
    func findRates(
        _ input: TrainingInput, isGiven: Bool, _ engine: ComputeEngine
    ) throws(Failure) -> RateSearch? {
        let recipe = input.plan.recipe
        // A probe that is longer than a run would find rates for longer runs.
        let steps =
            probeSteps
            ?? max(RateProbe.fewestSteps, min(RateProbe.usualSteps, recipe.training.steps))
        let search = RateSearch(
            start: input.plan.rate.peakLearningRate, probeSteps: steps, lacking: Self.lackingPart)
        let runner = try StepRunner(plan: input.plan, communicator: communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        let clock = ContinuousClock()
        var last = clock.now
        var step = Duration.zero
        _ = try runner.run(
            TimingTrial(rate: input.plan.rate.peakLearningRate),
            observe: { _ in
                // The first steps are slower, and the last is kept.
                step = clock.now - last
                last = clock.now
            }, batches: batches)
        announce(input.plan, search: isGiven ? nil : search, secondsPerStep: step / .seconds(1))
        let found = isGiven ? search : try job.probe(search, runner, batches)
        try runner.free()
        return found
    }

    /// Returns the rates for the recipe that a finished search has found, in ascending order.
    ///
    /// - Throws: `Failure` (configuration) if there are no three rates.
    func chosenRates(of search: RateSearch, _ plan: TrainingPlan) throws(Failure) -> [Double] {
        let probes = [search.probe(beyond: -1), search.goodProbe, search.probe(beyond: 1)]
        let rates = probes.compactMap { $0?.rate }
        let tried = search.probes.map { Format.scientific($0.rate, digits: 2) }
        guard rates.count == 3, rates[0] < rates[1], rates[1] < rates[2] else {
            throw .about(
                .configuration, "the search for rates",
                "found no good rate with a worse one on either side among \(Format.list(tried))",
                remedy: "give --rates with three rates")
        }
        return try rates.map { (rate) throws(Failure) in
            let base = rate / plan.rate.factor
            let recipe = plan.recipe.at(learningRate: base)
            let peak = try TrainingPlan(recipe, ranks: communicator.size).rate.peakLearningRate
            guard (peak / rate - 1).magnitude < 0.01 else {
                throw .key(
                    "[scaling] rule", "\"\(plan.rate.rule.rawValue)\"",
                    "gives no rate of \(Format.scientific(rate, digits: 2)) at batch "
                        + "\(plan.rate.globalBatch)",
                    remedy: "give --rates with three rates")
            }
            return base
        }
    }

    private func announce(_ plan: TrainingPlan, search: RateSearch?, secondsPerStep: Double) {
        let (steps, batch) = (plan.recipe.training.steps, plan.recipe.training.globalBatch)
        let probing = search.map { $0.usualProbes * $0.probeSteps } ?? 0
        let points = 3 * RegimeRun.sharpnessCount
        // A forward pass is a third of a step. A product with the Hessian takes two gradients.
        let sharpness = points * 2 * Self.usualProducts * min(sequences, Self.sharpnessSequences)
        let losses = (2 * grid * grid + 3 * RegimeRun.snapshotCount) * sequences / 3
        let seconds =
            secondsPerStep
            * (Double(probing + 3 * steps) + Double(sharpness + losses) / Double(batch))
        let finding = search.map {
            "finding three rates in about \($0.usualProbes) runs of \(Format.count($0.probeSteps)) "
                + "steps; then "
        }
        job.announce(
            """
            \(finding ?? "")training one model of \(Format.count(plan.recipe.model.parameterCount)) \
            parameters at three rates, \(Format.count(steps)) steps each; then the sharpness at \
            \(points) points and the loss at 2 x \(grid) x \(grid), on \(job.layout); all of this \
            takes about \(Format.duration(seconds, tenths: false))
            """)
    }

    /// The number of products with the Hessian that a sharpness usually takes.
    private static let usualProducts = 10
}

/// A few steps whose time is measured.
private struct TimingTrial: RateTrial {
    let rate: Double
    private var count = 0

    init(rate: Double) { self.rate = rate }

    var nextRate: Double? { count < 4 ? rate : nil }

    mutating func add(_ loss: Double, isFinite: Bool) { count += 1 }
}
