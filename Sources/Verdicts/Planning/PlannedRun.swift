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
}
