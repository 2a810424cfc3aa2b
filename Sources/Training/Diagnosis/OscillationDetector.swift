import Statistics

/// A detector of swings of the loss that the batches' noise cannot explain.
///
/// The batches' noise is independent from step to step, so three signs reveal a rate that is too
/// large: losses above the loss of an untrained model, medians of blocks of steps that swing up and
/// down by more than their noise, and losses that alternate between high and low at every step.
struct OscillationDetector: Sendable {
    static let block = 10
    static let capacity = 200
    /// The bounds for losses above the starting loss: at least `count` of the last `window` losses
    /// must exceed `factor` times the starting loss, and the highest must exceed `highest` times
    /// it.
    static let overshoot = (window: 20, count: 8, factor: 1.1, highest: 1.5)
    /// The required number of swings, up and down again, among the blocks.
    static let fewestSwings = 2
    /// The least swing of a block's median, in standard errors of a median and as a fraction of the
    /// loss. A median's standard error is about sqrt(pi/2) times that of a mean. From noise alone,
    /// the lowest of twenty medians lies about two standard errors below their middle.
    static let leastSwing = (errors: 7.0, ofLoss: 0.05)
    /// The bounds for alternation over the last `window` losses. `ratio` is the least ratio of half
    /// the mean squared successive difference to the variance (von Neumann 1941): 1 for independent
    /// noise, with a standard deviation of 0.1 over 100 steps; 2 for strict alternation. Epochs of
    /// two batches give 1.5. `deviationOfLoss` is the least standard deviation as a fraction of the
    /// mean loss.
    static let alternation = (window: 100, ratio: 1.8, deviationOfLoss: 0.03)

    private var losses = TrailingValues(capacity: capacity)
    private var count = 0

    /// Adds a step whose loss is finite; returns a diagnosis if there is one.
    mutating func add(_ step: ObservedStep, start: Double) -> Diagnosis? {
        losses.append(step.loss)
        count += 1
        guard count.isMultiple(of: Self.block) else { return nil }
        if let overshoot = overshoot(start: start) {
            return diagnosis(step, isFar: true, overshoot)
        }
        if let swing = swing() ?? alternation() { return diagnosis(step, isFar: false, swing) }
        return nil
    }

    private func overshoot(start: Double) -> String? {
        let last = losses.values.suffix(Self.overshoot.window)
        guard last.count == Self.overshoot.window,
            last.count(where: { $0 > Self.overshoot.factor * start }) >= Self.overshoot.count,
            let highest = last.max(), highest > Self.overshoot.highest * start
        else { return nil }
        return "the loss began at about \(lossText(start)) and rose to \(lossText(highest)) in the "
            + "last \(last.count) steps"
    }

    private func swing() -> String? {
        let values = losses.values
        let medians = stride(from: 0, to: values.count - Self.block + 1, by: Self.block).map {
            median(Array(values[$0..<$0 + Self.block]))
        }
        let error = differenceDeviation(values) * (Double.pi / 2 / Double(Self.block)).squareRoot()
        let least = max(Self.leastSwing.errors * error, Self.leastSwing.ofLoss * median(values))
        guard swings(in: medians, of: least) >= Self.fewestSwings, let low = medians.min(),
            let high = medians.max()
        else { return nil }
        return "the smoothed loss swings up and down repeatedly, between \(lossText(low)) and "
            + "\(lossText(high)), in the last \(values.count) steps"
    }

    /// Returns the number of times that a curve rises by more than `least` above its last low and
    /// then falls by more than `least` below its last high.
    private func swings(in course: [Double], of least: Double) -> Int {
        var (rising, turn, count) = (false, course.first ?? 0, 0)
        for value in course {
            turn = rising ? max(turn, value) : min(turn, value)
            guard abs(value - turn) > least else { continue }
            if rising { count += 1 }
            rising.toggle()
            turn = value
        }
        return count
    }

    private func alternation() -> String? {
        let last = losses.values.suffix(Self.alternation.window)
        guard last.count == Self.alternation.window else { return nil }
        let mean = last.reduce(0, +) / Double(last.count)
        let variance = last.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(last.count)
        let differences = zip(last, last.dropFirst()).reduce(0) {
            $0 + ($1.1 - $1.0) * ($1.1 - $1.0)
        }
        let ratio = differences / Double(last.count - 1) / (2 * variance)
        guard variance.squareRoot() > Self.alternation.deviationOfLoss * mean,
            ratio > Self.alternation.ratio
        else { return nil }
        return "the loss jumps up and down at every step, by \(lossText(2 * variance.squareRoot()))"
    }

    private func diagnosis(_ step: ObservedStep, isFar: Bool, _ evidence: String) -> Diagnosis {
        let rate = rateText(step.learningRate)
        return Diagnosis(
            step: step.step, sign: .strongOscillation,
            cause: "\(evidence): the learning rate (\(rate)) is \(isFar ? "far " : "")too large",
            remedy: isFar
                ? "lower [optimizer] learning_rate by a factor of 3 to 10, or find one with "
                    + "`lockstep find-lr`"
                : "lower [optimizer] learning_rate two to three times, or lengthen [schedule] "
                    + "warmup_steps")
    }
}
