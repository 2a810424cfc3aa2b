import Recipes
import Support

/// The options of `lockstep branch` that decide its results; nil for those that were not given.
package struct BranchOptions: Sendable {
    package var run: String?
    package var data: String?
    /// The steps of the checkpoints, or "all".
    package var checkpoints: String?
    /// The batches as multiples of the run's.
    package var batches: String?
    package var rule: String?
    package var tokens: Int?
    package var decays: Bool
    package var tolerance: Double?
    package var repeats: Int?

    package init(
        run: String?, data: String?, checkpoints: String?, batches: String?, rule: String?,
        tokens: Int?, decays: Bool, tolerance: Double?, repeats: Int?
    ) {
        self.run = run
        self.data = data
        self.checkpoints = checkpoints
        self.batches = batches
        self.rule = rule
        self.tokens = tokens
        self.decays = decays
        self.tolerance = tolerance
        self.repeats = repeats
    }

    static let usualTolerance = 0.01
    static let usualRepeats = 3
    private static let usualBatches = "1,2,4,8"

    /// Returns the steps of the requested checkpoints in ascending order; nil if none are named.
    ///
    /// - Throws: `Failure` (usage) if the text is neither a list of steps nor "all".
    func checkpointSteps() throws(Failure) -> [Int]? {
        guard let checkpoints, checkpoints != "all" else { return nil }
        let steps = Self.parts(checkpoints).map { Int($0) ?? 0 }
        guard steps.allSatisfy({ $0 > 0 }), Set(steps).count == steps.count else {
            throw Failure.option(
                "--checkpoints", checkpoints, "must be distinct steps above 0, or \"all\"",
                remedy: "try 100,200,400")
        }
        return steps.sorted()
    }

    /// The relative rounding error of a product such as 0.57 * 100.
    private static let rounding = 1e-9

    /// The requested or usual batches as text.
    var batchText: String { batches ?? Self.usualBatches }

    /// Returns the requested batches in sequences, in ascending order.
    ///
    /// - Throws: `Failure` (usage) if the text is not a list of multiples that includes 1 and gives
    ///   whole batches.
    func batchSizes(ofRunWithBatch batch: Int) throws(Failure) -> [Int] {
        let text = batchText
        let sizes = Self.parts(text).map { part -> Int in
            guard let multiple = Double(part), multiple > 0 else { return 0 }
            let size = multiple * Double(batch)
            let isWhole = abs(size - size.rounded()) <= Self.rounding * size
            return isWhole && size <= Double(BranchDesign.mostSequences) ? Int(size.rounded()) : 0
        }
        guard sizes.allSatisfy({ $0 > 0 }), Set(sizes).count == sizes.count, sizes.count >= 2,
            sizes.contains(batch)
        else {
            throw Failure.option(
                "--batches", text,
                "must be at least two distinct multiples of the run's batch, \(batch), including "
                    + "1, that give up to a billion whole sequences",
                remedy: "try \(Self.usualBatches)")
        }
        return sizes.sorted()
    }

    /// Returns the requested scaling rule, or the usual one for an optimizer: a rate proportional
    /// to the square root of the batch for Adam and Muon, and to the batch for gradient descent.
    ///
    /// - Throws: `Failure` (usage) if there is no such rule or it needs a key of a recipe.
    func scalingRule(
        for optimizer: OptimizerConfiguration.Name
    ) throws(Failure) -> ScalingConfiguration.Rule {
        guard let rule else { return optimizer.normalizesSteps ? .sqrt : .linear }
        let allowed = ScalingConfiguration.Rule.allCases.filter(\.needsNoKey)
        if let choice = allowed.first(where: { $0.rawValue == rule }) { return choice }
        throw Failure.option(
            "--rule", rule, "must be one of \(Format.list(allowed.map(\.rawValue)))",
            remedy: "try sqrt")
    }

    /// Checks the numbers.
    ///
    /// - Throws: `Failure` (usage) that names the option, its value and the valid range.
    func validate() throws(Failure) {
        if let tokens, tokens < 1 {
            throw Failure.option(
                "--tokens", tokens, "must be at least 1", remedy: "try 100000")
        }
        if let tolerance, !(tolerance > 0 && tolerance.isFinite) {
            throw Failure.option(
                "--tolerance", tolerance, "must be a number of nats above 0",
                remedy: "try \(Self.usualTolerance)")
        }
        if let repeats {
            try requireOption(
                "--repeats", repeats, in: 1...100, remedy: "try \(Self.usualRepeats)")
        }
    }

    private static func parts(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map {
            String($0.filter { !$0.isWhitespace })
        }
    }
}
