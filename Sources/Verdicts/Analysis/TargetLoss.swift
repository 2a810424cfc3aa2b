import Glibc
import Statistics

extension TrainedPoint {
    /// Returns the number of steps after which the validation loss first reaches a target, or nil
    /// if it does not.
    ///
    /// The loss is linearly interpolated in ln(step) between two evaluations, because it falls by
    /// similar amounts over equal ratios of steps. If the first evaluation after the start already
    /// reaches the target, its step is returned as an upper bound.
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

    /// Returns whether the first evaluation after the start already reaches a target.
    fileprivate func reachesAtFirst(_ target: Double) -> Bool {
        curve.first { $0.step > 0 }.map { $0.validationLoss <= target } ?? false
    }

    /// The number of tokens in one step, or nil without an evaluation after the start.
    package var tokensPerStep: Double? {
        curve.last.flatMap { $0.step > 0 ? Double($0.tokens) / Double($0.step) : nil }
    }
}

/// The steps, tokens and seconds that a batch needs to reach a target loss at one rate of the grid.
package struct BatchCost: Sendable, Equatable {
    package let batch: Int
    package let rate: Double
    /// Whether some seed has reached the target at its first evaluation after the start. The
    /// estimates are then only upper bounds.
    package let isUpperBound: Bool
    /// The number of steps: the geometric mean over seeds with Student's interval of the logarithm.
    /// It is nil if some seed does not reach the target.
    package let steps: Estimate?
    /// The number of tokens, with the mean and interval of `steps`.
    package let tokens: Estimate?
    /// The time of the steps, each as long as a typical one of the batch (`RunDurations`); nil if it
    /// is unknown. It has the mean and the interval of `steps`, so it does not depend on what else
    /// the machine did during these runs.
    package let seconds: Estimate?
    /// The median over seeds of the gradient noise scale at the end of training, in sequences; nil
    /// if it is unknown.
    package let noiseScale: Double?
    /// The number of steps of each seed, for fits of single seeds.
    let stepsBySeed: [UInt64: Double]
    let tokensPerStep: Double?

    /// Measures the cost of a target loss.
    ///
    /// - Parameters:
    ///   - runs: the batch's runs at one rate of the grid, one for each seed.
    ///   - secondsPerStep: the duration of a step, or nil if it is unknown.
    init(
        batch: Int, rate: Double, runs: [TrainedPoint], secondsPerStep: Double?, target: Double,
        level: Double
    ) {
        self.batch = batch
        self.rate = rate
        tokensPerStep = runs.lazy.compactMap(\.tokensPerStep).first
        let scales = runs.compactMap(\.noiseScale)
        noiseScale = scales.isEmpty ? nil : median(scales)
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
        seconds = secondsPerStep.map { duration in steps.mapped { duration * $0 } }
    }
}

extension BatchCost {
    /// Returns the geometric mean of positive numbers with an interval whose ends are positive.
    private static func geometricMean(_ values: [Double], level: Double) -> Estimate {
        Sample(values.map { log($0) }).meanEstimate(level: level).mapped { exp($0) }
    }
}

/// The cost of a target loss for each batch, and the critical batch that follows from it.
package struct TargetLoss: Sendable, Equatable {
    /// The target loss in nats per token.
    package let loss: Double
    /// The costs, sorted by batch. Each is measured at the grid's rate nearest to the batch's best
    /// rate.
    package let costs: [BatchCost]
    /// The critical batch, or nil if fewer than three batches reach the target in a measured number
    /// of steps.
    package let criticalBatch: CriticalBatch?
    /// The batch that reaches the target in the least time, or nil if no batch reaches it or upper
    /// bounds leave the fastest one unknown.
    package let fastestBatch: Int?

    init(loss: Double, optima: [BatchOptimum], points: [TrainedPoint], level: Double) {
        self.loss = loss
        let durations = RunDurations(points)
        costs = optima.compactMap { optimum in
            guard let rate = optimum.gridRate else { return nil }
            return BatchCost(
                batch: optimum.batch, rate: rate,
                runs: points.runs(batch: optimum.batch, rate: rate),
                secondsPerStep: durations.secondsPerStep(ofBatch: optimum.batch), target: loss,
                level: level)
        }
        criticalBatch = CriticalBatch(costs, level: level)
        let timed = costs.compactMap { cost in
            cost.seconds.map { (cost: cost, seconds: $0.value) }
        }
        let fastest = timed.min { $0.seconds < $1.seconds }?.cost
        // A batch with an upper bound may be faster than the one with the least time.
        let isKnown = !timed.contains { $0.cost.isUpperBound && $0.cost != fastest }
        fastestBatch = isKnown ? fastest?.batch : nil
    }

    /// Returns up to three targets that every seed of every batch reaches near its best rate.
    ///
    /// They are the least such loss, and the losses 5 % and 10 % of the way from there back to the
    /// initial loss. The latter two are left out if the first evaluation of some run already
    /// reaches them.
    static func reachable(optima: [BatchOptimum], points: [TrainedPoint]) -> [Double] {
        let runs = optima.map { optimum in
            optimum.gridRate.map { points.runs(batch: optimum.batch, rate: $0) } ?? []
        }
        let least = runs.compactMap { runs in
            // The least loss of the worst seed is a loss that all seeds reach.
            runs.compactMap { $0.curve.map(\.validationLoss).min() }.max()
        }
        let start = runs.joined().map(\.initialLoss).min()
        guard let worst = least.max(), let start, start > worst else { return [] }
        guard start.isFinite else { return [worst] }
        let targets = [0, 0.05, 0.1].map { worst + $0 * (start - worst) }
        return targets.prefix(1)
            + targets.dropFirst().filter { target in
                !runs.joined().contains { $0.reachesAtFirst(target) }
            }
    }
}

extension [TrainedPoint] {
    /// Returns the grid's runs of one batch and rate that did not diverge.
    fileprivate func runs(batch: Int, rate: Double) -> [TrainedPoint] {
        filter {
            $0.rule == TrainedPoint.grid && $0.batch == batch && !$0.diverged
                && abs($0.learningRate / rate - 1) < 1e-9
        }
    }
}
