import Glibc
import Statistics

extension TrainedPoint {
    /// The steps after which the validation loss first reaches a target, a fraction between two
    /// evaluations; nil where it does not.
    ///
    /// Between them the loss is taken from the straight line in ln(step), as it falls by like
    /// amounts over like ratios of steps. At the first evaluation after the start it is that one's
    /// steps, a bound.
    package func steps(to target: Double) -> Double? {
        guard let index = curve.firstIndex(where: { $0.validationLoss <= target }) else {
            return nil
        }
        let later = curve[index]
        guard index > 0, case let earlier = curve[index - 1], earlier.step > 0,
            earlier.validationLoss > target, earlier.validationLoss > later.validationLoss
        else { return Double(later.step) }
        let part =
            (earlier.validationLoss - target) / (earlier.validationLoss - later.validationLoss)
        return Double(earlier.step) * pow(Double(later.step) / Double(earlier.step), part)
    }

    /// Whether it has reached a target when it is first evaluated after the start.
    fileprivate func reachesAtFirst(_ target: Double) -> Bool {
        curve.first { $0.step > 0 }.map { $0.validationLoss <= target } ?? false
    }

    /// The tokens of one step; nil without an evaluation after a step.
    var tokensPerStep: Double? {
        curve.last.flatMap { $0.step > 0 ? Double($0.tokens) / Double($0.step) : nil }
    }
}

/// What it takes one batch to reach a target loss, at the grid's rate nearest to its best.
package struct BatchCost: Sendable, Equatable {
    package let batch: Int
    package let rate: Double
    /// Whether some seed reaches the target before its first evaluation after the start. What it
    /// takes is then not measured, and the estimates are bounds that it does not exceed.
    package let isUpperBound: Bool
    /// Geometric means over seeds with Student's intervals of their logarithms; nil where some seed
    /// does not reach the target.
    package let steps: Estimate?
    package let tokens: Estimate?
    package let seconds: Estimate?
    /// Each seed's steps, for what is fitted over seeds.
    let stepsBySeed: [UInt64: Double]
    let tokensPerStep: Double?

    /// - Parameter runs: the batch's runs at one rate of the grid, one for each seed.
    init(batch: Int, rate: Double, runs: [TrainedPoint], target: Double, level: Double) {
        self.batch = batch
        self.rate = rate
        tokensPerStep = runs.lazy.compactMap(\.tokensPerStep).first
        let reached = runs.compactMap { run in
            run.steps(to: target).map { (run: run, steps: $0) }
        }
        isUpperBound = runs.contains { $0.reachesAtFirst(target) }
        stepsBySeed = Dictionary(reached.map { ($0.run.seed, $0.steps) }) { first, _ in first }
        guard !reached.isEmpty, reached.count == runs.count else {
            (steps, tokens, seconds) = (nil, nil, nil)
            return
        }
        let size = tokensPerStep
        let steps = Self.geometricMean(reached.map { $0.steps }, level: level)
        self.steps = steps
        tokens = size.map { size in steps.mapped { size * $0 } }
        let times = reached.map { $0.steps * $0.run.secondsPerStep }
        seconds =
            times.allSatisfy { $0 > 0 } ? Self.geometricMean(times, level: level) : nil
    }
}

extension BatchCost {
    /// Of numbers above 0, so that the interval's ends are.
    private static func geometricMean(_ values: [Double], level: Double) -> Estimate {
        Sample(values.map { log($0) }).meanEstimate(level: level).mapped { exp($0) }
    }
}

/// What it takes each batch to reach a target loss, and the critical batch that follows.
package struct TargetLoss: Sendable, Equatable {
    /// In nats a token.
    package let loss: Double
    /// By batch.
    package let costs: [BatchCost]
    /// Nil where fewer than three batches reach the target.
    package let criticalBatch: CriticalBatch?
    /// The batch that takes the least time to the target; nil where none reaches it, or where
    /// bounds do not tell.
    package let fastestBatch: Int?

    init(loss: Double, optima: [BatchOptimum], points: [TrainedPoint], level: Double) {
        self.loss = loss
        costs = optima.compactMap { optimum in
            guard let rate = optimum.gridRate else { return nil }
            return BatchCost(
                batch: optimum.batch, rate: rate,
                runs: points.runs(batch: optimum.batch, rate: rate), target: loss, level: level)
        }
        criticalBatch = CriticalBatch(costs, level: level)
        let timed = costs.compactMap { cost in
            cost.seconds.map { (cost: cost, seconds: $0.value) }
        }
        let fastest = timed.min { $0.seconds < $1.seconds }?.cost
        // Of a batch that has a bound alone nothing is known but that it takes no longer.
        let isTold = !timed.contains { $0.cost.isUpperBound && $0.cost != fastest }
        fastestBatch = isTold ? fastest?.batch : nil
    }

    /// Up to three targets that every seed of every batch reaches at its best rate: the least such
    /// loss, and those 5 % and 10 % of the way back to the initial loss, but for those that some
    /// run has reached when it is first evaluated.
    static func reachable(optima: [BatchOptimum], points: [TrainedPoint]) -> [Double] {
        let runs = optima.map { optimum in
            optimum.gridRate.map { points.runs(batch: optimum.batch, rate: $0) } ?? []
        }
        let least = runs.compactMap { runs in
            // The worst seed's, so that all reach it.
            runs.compactMap { $0.curve.map(\.validationLoss).min() }.max()
        }
        let start = runs.joined().map(\.initialLoss).min()
        guard let worst = least.max(), let start, start > worst else { return [] }
        let targets = [0, 0.05, 0.1].map { worst + $0 * (start - worst) }
        return targets.prefix(1)
            + targets.dropFirst().filter { target in
                !runs.joined().contains { $0.reachesAtFirst(target) }
            }
    }
}

extension [TrainedPoint] {
    /// The grid's runs of one batch and rate that did not diverge.
    fileprivate func runs(batch: Int, rate: Double) -> [TrainedPoint] {
        filter {
            $0.rule == TrainedPoint.grid && $0.batch == batch && !$0.diverged
                && abs($0.learningRate / rate - 1) < 1e-9
        }
    }
}
