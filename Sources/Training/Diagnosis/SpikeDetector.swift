import Statistics

/// Looks for one loss that stands far above those before it.
struct SpikeDetector: Sendable {
    /// Steps that a loss is compared with: few enough that the loss hardly falls over them.
    static let capacity = 50
    /// Steps before there is a verdict: fewer say too little of the noise.
    static let fewest = 20
    /// Standard deviations above the median; a mean over few tokens has a long upper tail.
    static let deviations = 10.0
    /// The least rise, as a part of the median and of the loss at the start: a model that knows its
    /// text by heart has hardly any noise, and a long tail.
    static let leastRise = (ofMedian: 0.2, ofStart: 0.1)

    private var losses = TrailingValues(capacity: capacity)

    /// Takes a step whose loss is finite.
    mutating func add(_ step: ObservedStep, start: Double) -> Diagnosis? {
        defer { losses.append(step.loss) }
        // The median is above the lowest, and need not be found for most steps.
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
            remedy: "if it comes again, lower [optimizer] learning_rate two to three times, set "
                + "clip_norm to 1 or less, and look for damaged text in the data")
    }
}
