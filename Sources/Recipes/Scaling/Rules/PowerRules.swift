import Glibc
import Support

/// The rule that multiplies the rate by k (Goyal et al. 2017, "Accurate, Large Minibatch SGD").
struct LinearRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 1, batches.ratio, batches)
    }
}

/// The rule that multiplies the rate by k^(1/2) (Krizhevsky 2014, "One weird trick for
/// parallelizing CNNs").
struct SquareRootRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 0.5, batches.ratio.squareRoot(), batches)
    }
}

/// The rule that keeps the same rate for every batch.
struct ConstantRule: ScalingRule {
    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 0, 1, batches)
    }
}

/// The rule that multiplies the rate by k to the power of the recipe's exponent.
struct PowerRule: ScalingRule {
    static let keys: [ScalingKey: ScalingKey.Use] = [.exponent: .required]
    private let exponent: Double

    init(_ scaling: ScalingConfiguration) { exponent = scaling.exponent ?? 0 }

    func title(_ name: String) -> String { "\(name) \(exponent)" }

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(
            power: exponent, pow(batches.ratio, exponent), batches)
    }
}
