import Statistics

/// A detector of a loss that is far above the losses before it.
struct SpikeDetector: Sendable {
    /// The number of steps that a loss is compared with: few enough that the loss hardly falls over
    /// them.
    static let capacity = 50
    /// The number of steps required for a verdict, so that the noise can be estimated.
    static let fewest = 20
    /// The least rise above the median in standard deviations; a mean over few tokens has a long
    /// upper tail.
    static let deviations = 10.0
    /// The least rise, as a fraction of the median and of the loss at the start. It is needed
    /// because the loss of a model that has memorized its text has hardly any noise but a long
    /// upper tail.
    static let leastRise = (ofMedian: 0.2, ofStart: 0.1)

    private var losses = TrailingValues(capacity: capacity)

    /// Adds a step whose loss is finite; returns a diagnosis if it is a spike.
    mutating func add(_ step: ObservedStep, start: Double) -> Diagnosis? {
        defer { losses.append(step.loss) }
        // The median is not below the lowest loss, so most steps need no median.
        guard losses.count >= Self.fewest, let lowest = losses.values.min(),
            step.loss > lowest + Self.leastRise.ofStart * start
        else { return nil }
        let middle = median(losses.values)
        let rise = max(
            Self.deviations * robustDeviation(losses.values), Self.leastRise.ofMedian * middle,
            Self.leastRise.ofStart * start)
        guard step.loss > middle + rise else { return nil }
        return Diagnosis(
            step: step.step, sign: .lossSpike,
            cause: "the loss is \(lossText(step.loss)) after a median of \(lossText(middle)) over "
                + "\(losses.count) steps: the learning rate (\(rateText(step.learningRate))) is "
                + "too large, or this batch's data are bad",
            remedy: "if it happens again, lower [optimizer] learning_rate two to three times, set "
                + "clip_norm to 1 or less, and look for damaged text in the data")
    }
}
