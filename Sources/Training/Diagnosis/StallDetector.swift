/// A detector of a loss that stays at its starting value.
struct StallDetector: Sendable {
    /// The number of steps after warmup before the first verdict.
    static let stepsToFall = 100
    /// The number of steps whose mean loss is compared with the start, which is also the number of
    /// steps between two comparisons.
    static let window = 50
    /// The fall that counts as learning, as a fraction of the loss at the start. Any useful rate
    /// lowers the loss by a fifth or more in `stepsToFall` steps, because learning the tokens'
    /// frequencies alone achieves that.
    static let leastFall = 0.05
    /// The number of standard errors between a fall and `leastFall` that a verdict requires.
    static let errors = 3.0

    private var losses = TrailingValues(capacity: window)
    private var highestRate = 0.0
    private var stepsAfterWarmup = 0
    private var isSettled = false

    /// Adds a step whose loss is finite; returns a diagnosis if the loss has stalled.
    mutating func add(_ step: ObservedStep, start: Double) -> Diagnosis? {
        guard !isSettled else { return nil }
        losses.append(step.loss)
        // In the warmup of any schedule, each step's rate is higher than all earlier ones.
        if step.learningRate > highestRate {
            highestRate = step.learningRate
            return nil
        }
        stepsAfterWarmup += 1
        guard stepsAfterWarmup >= Self.stepsToFall, stepsAfterWarmup.isMultiple(of: Self.window)
        else { return nil }
        let mean = losses.values.reduce(0, +) / Double(losses.count)
        let error = differenceDeviation(losses.values) / Double(losses.count).squareRoot()
        let excess = (start - mean) - Self.leastFall * start
        guard abs(excess) > Self.errors * error else { return nil }
        isSettled = true
        guard excess < 0 else { return nil }
        // A rate that is too small cannot raise the loss.
        let isTooLarge = mean > start * (1 + Self.leastFall)
        return Diagnosis(
            step: step.step, sign: .lossNotFalling,
            cause: "the loss began at about \(lossText(start)) and is \(lossText(mean)) "
                + "\(stepsAfterWarmup) steps after warmup: the learning rate "
                + "(\(rateText(highestRate))) is far too "
                + (isTooLarge ? "large" : "small, or the data cannot be learned"),
            remedy: isTooLarge
                ? "lower [optimizer] learning_rate by a factor of 10, or find one with "
                    + "`lockstep find-lr`"
                : "find a rate with `lockstep find-lr`, or raise [optimizer] learning_rate by a "
                    + "factor of 3 to 10 at a time until the loss falls")
    }
}
