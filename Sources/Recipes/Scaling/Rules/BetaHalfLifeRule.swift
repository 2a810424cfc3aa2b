import Glibc
import Support

/// The rule that turns beta2 into beta2^k, which keeps the second moment's half-life in tokens
/// (Marek et al. 2025, "Small Batch Size Training for Language Models").
///
/// The rate is multiplied by k^exponent, or is unchanged if the recipe sets no exponent.
struct BetaHalfLifeRule: ScalingRule {
    static let keys: [ScalingKey: ScalingKey.Use] = [.exponent: .optional]
    static let scalesBetas = true
    private let exponent: Double?

    init(_ scaling: ScalingConfiguration) { exponent = scaling.exponent }

    func title(_ name: String) -> String {
        name + (exponent.map { " with exponent \($0)" } ?? "")
    }

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        let exponent = exponent ?? 0
        return try PeakRate(
            power: exponent, pow(batches.ratio, exponent), batches)
    }

    func scale(_ optimizer: inout OptimizerConfiguration, _ batches: BatchChange) throws(Failure) {
        optimizer.beta2 = pow(optimizer.beta2, batches.ratio)
    }
}
