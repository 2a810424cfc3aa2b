import Glibc

/// A run that a plan asks for.
package struct PlannedRun: Sendable, Hashable {
    package let batch: Int
    package let learningRate: Double
    package let seed: UInt64

    package init(batch: Int, learningRate: Double, seed: UInt64) {
        self.batch = batch
        self.learningRate = learningRate
        self.seed = seed
    }

    /// Returns whether another run trains the same batch and seed at the same rate.
    func isSame(as other: PlannedRun) -> Bool {
        batch == other.batch && seed == other.seed
            && isSameRate(log(learningRate), log(other.learningRate))
    }
}
