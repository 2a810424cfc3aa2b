import Support

/// What an analysis asks of a sweep.
package struct AnalysisSettings: Sendable {
    /// The batch whose own best rate the rules scale; nil for the smallest.
    package var baseBatch: Int?
    /// The designs to judge by; empty for `Design.furthest`.
    package var designs: [Design]
    /// The rules whose rates are looked up on the grid. Rules that were trained are judged as well.
    package var rules: [ScalingRule]
    /// The losses to reach; empty for three that some run of every batch reaches.
    package var targetLosses: [Double]
    /// The regret up to which a rule holds, in nats.
    package var tolerance: Double
    /// The level of every interval.
    package var level: Double
    /// How far above the least loss, as a part of it, a rate still counts for the parabola.
    ///
    /// A loss is a parabola in ln(rate) near its least only: further away it rises like a cliff on
    /// one side and like a slope on the other, and a wide fit would move the vertex towards the
    /// slope. 5 % of a language model's loss, .1 to .2 nats, is ten times the tolerance and more,
    /// so that what lies beyond matters to no verdict, and spans a few rates a factor of 2 apart.
    package var window: Double

    package init(
        baseBatch: Int? = nil, designs: [Design] = [],
        rules: [ScalingRule] = [.none, .squareRoot, .linear], targetLosses: [Double] = [],
        tolerance: Double = 0.01, level: Double = 0.95, window: Double = 0.05
    ) {
        self.baseBatch = baseBatch
        self.designs = designs
        self.rules = rules
        self.targetLosses = targetLosses
        self.tolerance = tolerance
        self.level = level
        self.window = window
    }

    /// Checks every value.
    ///
    /// - Throws: a failure that names the first value that is impossible.
    package func validate() throws(Failure) {
        guard tolerance > 0, tolerance.isFinite else {
            throw Failure(
                .usage, "the tolerance \(tolerance) is not a positive number of nats: try 0.01")
        }
        guard level > 0, level < 1 else {
            throw Failure(
                .usage, "the level \(level) of intervals is not between 0 and 1: try 0.95")
        }
        guard window > 0, window.isFinite else {
            throw Failure(
                .usage, "the window \(window) is not a positive part of the loss: try 0.05")
        }
        if let loss = targetLosses.first(where: { !$0.isFinite }) {
            throw Failure(.usage, "the target loss \(loss) is not a number: name one in nats")
        }
    }
}
