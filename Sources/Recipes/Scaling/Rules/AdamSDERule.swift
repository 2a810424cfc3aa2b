import Support

/// The square root rule of Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient
/// Algorithms".
///
/// The rate is multiplied by k^(1/2), betas become 1 - k (1 - beta), and epsilon is divided by
/// k^(1/2), so that Adam follows the same stochastic differential equation. k must be below
/// 1 / (1 - beta).
struct AdamSDERule: ScalingRule {
    static let scalesBetas = true

    init(_ scaling: ScalingConfiguration) {}

    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate {
        try PeakRate(power: 0.5, batches.ratio.squareRoot(), batches)
    }

    func scale(_ optimizer: inout OptimizerConfiguration, _ batches: BatchChange) throws(Failure) {
        // At the base batch nothing may change, not even by rounding, and a beta of 0 must stay 0.
        guard batches.global != batches.base else { return }
        let shortest = min(optimizer.beta1, optimizer.beta2)
        guard keeps(shortest, at: batches.ratio) else {
            let name = optimizer.beta1 <= optimizer.beta2 ? "beta1" : "beta2"
            let limit = (1e6 / (1 - shortest)).rounded() / 1e6
            throw Failure.key(
                "[training] global_batch", batches.global,
                "is \(batches.ratio) times base_batch = \(batches.base), but rule = \"adam-sde\" "
                    + "holds only below 1 / (1 - \(name)) = \(limit) times",
                remedy: "use at most \(largestBatch(batches.base, beta: shortest)), or another rule"
            )
        }
        optimizer.beta1 = 1 - batches.ratio * (1 - optimizer.beta1)
        optimizer.beta2 = 1 - batches.ratio * (1 - optimizer.beta2)
        optimizer.epsilon /= batches.ratio.squareRoot()
    }

    func reaches(_ batches: BatchChange) -> Bool {
        let optimizer = batches.optimizer
        return batches.global == batches.base
            || keeps(min(optimizer.beta1, optimizer.beta2), at: batches.ratio)
    }

    /// Returns whether 1 - k (1 - beta) is above 0 by more than the rounding of a beta such as 0.9.
    private func keeps(_ beta: Double, at ratio: Double) -> Bool { ratio * (1 - beta) < 1 - 1e-12 }

    /// Returns the largest batch at which a beta stays above 0, at least the base batch.
    private func largestBatch(_ base: Int, beta: Double) -> Int {
        var batch = Int(min(0x1p53, Double(base) / (1 - beta))) + 1
        while batch > base, !keeps(beta, at: Double(batch) / Double(base)) { batch -= 1 }
        return max(batch, base)
    }
}
