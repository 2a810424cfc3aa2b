import Support

/// The rule for the best rate of Adam and similar optimizers: 2 lr_max / (sqrt(Bn/B) + sqrt(B/Bn)),
/// with the lr_max that gives `learning_rate` at B0.
///
/// The rate rises up to B = Bn and then falls (Li et al. 2024, "Surge Phenomenon in Optimal
/// Learning Rate and Batch Size Scaling").
struct SurgeRule: ScalingRule {
    static let keys: [ScalingKey: ScalingKey.Use] = [.noiseScale: .required]
    private let noiseScale: Double

    init(_ scaling: ScalingConfiguration) { noiseScale = scaling.noiseScale ?? 0 }

    func title(_ name: String) -> String {
        "\(name) at noise scale \(Format.significant(noiseScale, digits: 6))"
    }

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(
            part(batches.base) / part(batches.global), batches,
            key: (.noiseScale, noiseScale), remedy: "a noise_scale nearer to the batches")
    }

    /// Returns sqrt(Bn/B) + sqrt(B/Bn).
    private func part(_ batch: Int) -> Double {
        let root = (noiseScale / Double(batch)).squareRoot()
        return root + 1 / root
    }
}
