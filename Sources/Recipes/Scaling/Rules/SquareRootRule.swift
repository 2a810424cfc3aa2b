import Support

/// The rule that multiplies the rate by k^(1/2) (Krizhevsky 2014, "One weird trick for
/// parallelizing CNNs").
struct SquareRootRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 0.5, batches.ratio.squareRoot(), batches)
    }
}
