import Support

/// The rule that keeps the same rate for every batch.
struct ConstantRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 0, 1, batches)
    }
}
