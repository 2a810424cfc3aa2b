import Glibc
import Support

/// The rule that multiplies the rate by ((1 + Bn/B0) / (1 + Bn/B))^a.
///
/// The result is lr_max / (1 + Bn/B)^a, with the lr_max that gives `learning_rate` at B0
/// (McCandlish et al. 2018, "An Empirical Model of Large-Batch Training"). With a = 1, the factor
/// is AdaScale's gain (Johnson et al. 2020).
struct NoiseScaleRule: ScalingRule {
    static let keys: [ScalingKey: ScalingKey.Use] = [
        .noiseScale: .required, .noiseExponent: .optional,
    ]
    private let noiseScale: Double
    private let exponent: Double?

    init(_ scaling: ScalingConfiguration) {
        noiseScale = scaling.noiseScale ?? 0
        exponent = scaling.noiseExponent
    }

    func title(_ name: String) -> String {
        "\(name) \(Format.significant(noiseScale, digits: 6)) with exponent \(exponent ?? 0)"
    }

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        let gain = part(batches.base) / part(batches.global)
        return try PeakRate(
            pow(gain, exponent(for: batches.optimizer)), batches,
            key: (.noiseScale, noiseScale), remedy: "a noise_scale nearer to the batches")
    }

    func settle(_ scaling: inout ScalingConfiguration, for optimizer: OptimizerConfiguration) {
        scaling.noiseExponent = exponent(for: optimizer)
    }

    /// Returns the exponent for an optimizer.
    ///
    /// Below the noise scale, the best rate of SGD and LARS is proportional to the batch, and that
    /// of Adam, Muon and similar optimizers to the square root of the batch.
    private func exponent(for optimizer: OptimizerConfiguration) -> Double {
        exponent ?? (optimizer.name.normalizesSteps ? 0.5 : 1)
    }

    /// Returns 1 + Bn/B.
    private func part(_ batch: Int) -> Double { 1 + noiseScale / Double(batch) }
}
