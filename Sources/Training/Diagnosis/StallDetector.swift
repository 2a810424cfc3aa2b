/// Looks for a loss that stays where it began.
struct StallDetector: Sendable {
    /// Steps after warmup before the first verdict.
    static let patience = 100
    /// Steps whose mean loss is compared with the start, and steps between two looks.
    static let window = 50
    /// The fall that counts as learning, as a part of the loss at the start: any useful rate takes
    /// it down by a fifth and more in so many steps, since tokens' frequencies alone give that.
    static let leastFall = 0.05
    /// Standard errors between a fall and `leastFall` for a verdict.
    static let errors = 3.0

    private var losses = TrailingValues(capacity: window)
    private var highestRate = 0.0
    private var stepsAfterWarmup = 0
    private var isSettled = false

    /// Takes a step whose loss is finite.
    mutating func add(_ step: ObservedStep, start: Double) -> Diagnosis? {
        guard !isSettled else { return nil }
        losses.append(step.loss)
        // Warmup, whatever the schedule: each step's rate is above all before.
        if step.learningRate > highestRate {
            highestRate = step.learningRate
            return nil
        }
        stepsAfterWarmup += 1
        guard stepsAfterWarmup >= Self.patience, stepsAfterWarmup.isMultiple(of: Self.window)
        else { return nil }
        let mean = losses.values.reduce(0, +) / Double(losses.count)
        let error = differenceDeviation(losses.values) / Double(losses.count).squareRoot()
        let excess = (start - mean) - Self.leastFall * start
        guard abs(excess) > Self.errors * error else { return nil }
        isSettled = true
        return excess < 0 ? diagnosis(step, start: start, mean: mean) : nil
    }

    private func diagnosis(_ step: ObservedStep, start: Double, mean: Double) -> Diagnosis {
        let evidence =
            "the loss began at about \(lossText(start)) and is \(lossText(mean)) "
            + "\(stepsAfterWarmup) steps after warmup"
        let rate = rateText(highestRate)
        // A rate that moves nothing cannot raise the loss.
        if mean > start * (1 + Self.leastFall) {
            return Diagnosis(
                step: step.step, sign: .lossNotFalling,
                cause: "\(evidence): the learning rate (\(rate)) is far too large",
                remedy: "lower [optimizer] learning_rate ten times, or find one with `lockstep "
                    + "find-lr`")
        }
        return Diagnosis(
            step: step.step, sign: .lossNotFalling,
            cause: "\(evidence): the learning rate (\(rate)) is far too small, if the data can be "
                + "learned at all",
            remedy: "find a rate with `lockstep find-lr`, or raise [optimizer] learning_rate three "
                + "to ten times, and again until the loss falls")
    }
}
