import Support

/// The rule that multiplies the rate by k (Goyal et al. 2017, "Accurate, Large Minibatch SGD").
struct LinearRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 1, batches.ratio, batches)
    }
}
