import Glibc
import Support

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
