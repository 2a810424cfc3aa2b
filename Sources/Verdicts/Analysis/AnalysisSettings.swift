import Support

/// The settings of an analysis.
package struct AnalysisSettings: Sendable {
    /// The batch whose best rate the rules scale; nil for the smallest.
    package var baseBatch: Int?
    /// The designs by which runs are judged; empty for `Design.furthest`.
    package var designs: [Design]
    /// The rules whose rates are looked up on the grid. Rules that were trained are judged as well.
    package var rules: [RateRule]
    /// The losses whose cost is compared; nil for up to three that every batch reaches.
    package var targetLosses: [Double]?
    /// The regret up to which a rule holds, in nats.
    package var tolerance: Double
    /// The level of every interval.
    package var level: Double
    /// The height of the window to which a valley is fitted, as a fraction of the least loss: a
    /// rate is in the window if its loss exceeds the least loss by at most this.
    ///
    /// A valley has a simple form only near its least loss. Further away the loss rises steeply on
    /// one side and slowly on the other, and a wide fit would move the best rate toward the slow
    /// side. 5 % of a language model's loss is 0.1 to 0.2 nats. This is at least ten times the
    /// tolerance, so losses above the window affect no verdict, and the window contains a few rates
    /// that differ by factors of 2.
    package var window: Double
    /// Whether the seeds of a batch are meant to have the same rates. Those of a planned sweep are
    /// not, so no runs are missing there.
    package var seedsShareRates = true

    package init(
        baseBatch: Int? = nil, designs: [Design] = [],
        rules: [RateRule] = [.none, .squareRoot, .linear], targetLosses: [Double]? = nil,
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
    /// - Throws: `Failure` (usage) that names the first value that is invalid.
    package func validate() throws(Failure) {
        guard tolerance > 0, tolerance.isFinite else {
            throw .option(
                "--tolerance", tolerance, "must be a number of nats above 0", remedy: "try 0.01")
        }
        guard level > 0, level < 1 else {
            throw .key(
                "level", level, "must be between 0 and 1", remedy: "try 0.95", code: .usage)
        }
        guard window > 0, window.isFinite else {
            throw .key(
                "window", window, "must be a share of the loss above 0", remedy: "try 0.05",
                code: .usage)
        }
        if let loss = targetLosses?.first(where: { !$0.isFinite }) {
            throw .key(
                "target_losses", loss, "must be a loss in nats", remedy: "try 2.0", code: .usage)
        }
    }
}
