import Recipes
import Support
import Verdicts

/// The choices for the analysis of a table of runs; those that are unset have a sweep's defaults.
package struct RunTableRequest: Sendable {
    /// The regret up to which a rule holds, in nats.
    package var tolerance: Double?
    /// The batch whose best rate the rules scale.
    package var baseBatch: Int?
    /// The names of the rules.
    package var rules: [String]?
    /// The numbers of steps after which batches are compared.
    package var steps: [Int] = []
    /// The numbers of tokens after which batches are compared.
    package var tokens: [Int] = []

    package init() {}
}

/// The analysis of a table of runs.
package struct RunTableFindings: Sendable {
    /// The analysis that suits the runs.
    package enum Result: Sendable {
        /// The analysis over batches of the runs of one model.
        case batches(Analysis)
        /// The findings about several models.
        case sizes(SizeFindings)
    }

    package let result: Result
    /// The sentences about the limits of the table.
    package let notes: [String]

    /// The notes and a summary of the analysis.
    package var text: String {
        let summary =
            switch result {
            case .batches(let analysis): analysis.summary
            case .sizes(let sizes): sizes.text
            }
        return (notes + [summary]).joined(separator: "\n\n")
    }

    /// The findings as a JSON object.
    package var json: JSONObject {
        switch result {
        case .batches(let analysis): analysis.json(notes: notes)
        case .sizes(let sizes): sizes.json(notes: notes)
        }
    }
}

extension RunTable {
    /// Analyzes the runs.
    ///
    /// - Throws: `Failure` (bad data) if the runs have nothing to compare; (usage) that names the
    ///   first option that does not suit them.
    package func findings(_ request: RunTableRequest) throws(Failure) -> RunTableFindings {
        let grid = points.filter { $0.rule == TrainedPoint.grid }
        guard !grid.allSatisfy(\.diverged) else {
            throw .file(
                .badData, path, "has nothing to compare, because every run diverged",
                remedy: "add runs with lower rates")
        }
        var settings = AnalysisSettings()
        settings.tolerance = request.tolerance ?? settings.tolerance
        settings.baseBatch = try baseBatch(request.baseBatch, grid)
        if let names = request.rules {
            let batches = Set(grid.map(\.batch)).sorted()
            settings.rules = try Self.rules(
                names, baseBatch: settings.baseBatch ?? batches[0], batches: batches)
            guard !hasOneBatch else {
                throw .option(
                    "--rules", names.joined(separator: ","),
                    "does nothing for runs with one batch", remedy: "remove it")
            }
        }
        let marks =
            request.tokens.map(Design.equalTokens) + request.steps.map(Design.equalSteps)
        for mark in marks { try check(mark, grid) }
        // The cost of a target loss follows from curves in steps and tokens.
        let hasCurves = hasSteps && hasTokens && grid.contains { $0.curve.count > 1 }
        settings.targetLosses = hasCurves ? nil : []
        guard models.count == 1 else { return try sizeFindings(settings, marks: marks) }
        var notes: [String] = []
        (settings.designs, notes) = marks.isEmpty ? try commonDesigns(grid) : (marks, [])
        // With one batch, equal tokens are equal steps, and no comparison is missing.
        if marks.isEmpty, hasOneBatch { (settings.designs, notes) = ([settings.designs[0]], []) }
        notes += Self.nearMarkNotes(settings.designs, points)
        return RunTableFindings(
            result: .batches(try Analysis(points, settings: settings)), notes: columnNotes + notes)
    }

    private func baseBatch(_ batch: Int?, _ grid: [TrainedPoint]) throws(Failure) -> Int? {
        let batches = Set(grid.map(\.batch)).sorted()
        guard let batch, !batches.contains(batch) else { return batch }
        throw Failure.option(
            "--base-batch", batch, "is not a batch of \(path)",
            remedy: "use one of \(batches.map(String.init).joined(separator: ", "))")
    }

    private static func rules(
        _ names: [String], baseBatch: Int, batches: [Int]
    ) throws(Failure) -> [RateRule] {
        let rules = try names.map { (name) throws(Failure) -> RateRule in
            if let scaling = try scaling(name, baseBatch: baseBatch) {
                return try scalingRule(name, scaling, batches: batches)
            }
            return try rule(name)
        }
        guard Set(rules.map(\.name)).count == rules.count else {
            throw Failure.option(
                "--rules", "\(names.joined(separator: ","))", "must be distinct",
                remedy: "name each once")
        }
        return rules
    }

    /// Returns the configuration of a recipe's rule with a name such as "formula:lr * k^0.25" or
    /// "surge:64"; nil for any other name.
    private static func scaling(
        _ name: String, baseBatch: Int
    ) throws(Failure) -> ScalingConfiguration? {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let rule = ScalingConfiguration.Rule(rawValue: String(parts[0])),
            rule == .formula || rule == .surge
        else { return nil }
        var scaling = ScalingConfiguration()
        (scaling.rule, scaling.baseBatch) = (rule, baseBatch)
        if rule == .formula {
            scaling.formula = String(parts[1])
        } else {
            guard let noiseScale = Double(parts[1]) else {
                throw .option(
                    "--rules", jsonQuoted(name), "has no number as the noise scale",
                    remedy: "write one such as surge:64")
            }
            scaling.noiseScale = noiseScale
        }
        return scaling
    }

    /// Returns the rule of a configuration.
    ///
    /// - Throws: `Failure` (usage) if it is invalid, has no rate at a batch, or changes the rate of
    ///   the base batch.
    private static func scalingRule(
        _ name: String, _ scaling: ScalingConfiguration, batches: [Int]
    ) throws(Failure) -> RateRule {
        do throws(Failure) {
            try scaling.validate()
            for batch in batches {
                let rate = try scaling.rate(atBatch: batch, base: exampleRate)
                if batch == scaling.baseBatch {
                    try scaling.requireBaseRate(rate, base: exampleRate)
                }
            }
        } catch {
            throw Failure(
                .usage,
                "--rules \(jsonQuoted(name)): "
                    + error.sentence.replacing("[scaling] ", with: ""))
        }
        return RateRule(name) { base, ratio in
            let batch = Int((ratio * Double(scaling.baseBatch ?? 1)).rounded())
            return (try? scaling.rate(atBatch: batch, base: base)) ?? .nan
        }
    }

    /// The rate of the base batch with which rules are tried.
    private static let exampleRate = 1e-3

    /// Returns the rule with a name such as "sqrt" or "power:0.7".
    private static func rule(_ name: String) throws(Failure) -> RateRule {
        let known = AnalysisSettings().rules
        if let rule = known.first(where: { $0.name == name }) { return rule }
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts[0] == RateRule.powerName else {
            let choices =
                known.map(\.name) + [
                    "\(RateRule.powerName):EXPONENT", "formula:FORMULA", "surge:NOISE_SCALE",
                ]
            throw .option(
                "--rules", jsonQuoted(name), "must be one of \(choices.joined(separator: ", "))",
                remedy: spellingRemedy(
                    for: name, among: known.map(\.name),
                    otherwise: "use some of them, with commas between them"))
        }
        guard parts.count == 2, !parts[1].contains(where: { "xX".contains($0) }),
            let exponent = Double(parts[1]), RateRule.exponents.contains(exponent)
        else {
            throw .option(
                "--rules", jsonQuoted(name),
                "needs an exponent from \(Int(RateRule.exponents.lowerBound)) to "
                    + "\(Int(RateRule.exponents.upperBound))",
                remedy: "write one such as \(RateRule.powerName):0.7")
        }
        return .power(exponent)
    }

    // MARK: - Designs

    private func isKnown(_ design: Design) -> Bool {
        switch design {
        case .equalSteps: hasSteps
        case .equalTokens: hasTokens
        }
    }

    /// Checks that a mark of the user lies on the curve of some run.
    private func check(_ design: Design, _ grid: [TrainedPoint]) throws(Failure) {
        let option = "--\(design.unit)"
        guard isKnown(design) else {
            throw .option(
                option, design.mark, "cannot be found, because \(path) has no \(design.unit)",
                remedy: "add a column or --context-length with the tokens of a sequence")
        }
        guard !grid.contains(where: { !$0.diverged && $0.loss(at: design) != nil }) else { return }
        throw .option(
            option, design.mark, "is not a mark at which a run of \(path) has a loss",
            remedy: Self.remedy(for: design, grid))
    }

    /// The largest number of marks that a message lists.
    private static let mostListed = 8

    /// Returns an instruction that lists the marks of the rows, or their range if there are many.
    private static func remedy(for design: Design, _ grid: [TrainedPoint]) -> String {
        let marks = Set(grid.flatMap { $0.curve.map(design.amount) }).sorted()
        guard let first = marks.first, let last = marks.last else { return "add rows with losses" }
        return marks.count <= mostListed
            ? "use one of \(marks.map(String.init).joined(separator: ", "))"
            : "use one of the rows' \(marks.count) marks from \(first) to \(last), such as "
                + "\(marks[marks.count / 2])"
    }

    /// Returns equal tokens and equal steps at the furthest mark that every batch reaches, as far as
    /// the runs show the losses there, with notes on the limits of these comparisons.
    func commonDesigns(
        _ grid: [TrainedPoint]
    ) throws(Failure) -> (designs: [Design], notes: [String]) {
        var designs: [Design] = []
        var notes: [String] = []
        for design in Design.furthest(in: grid) {
            guard isKnown(design) else {
                notes.append(
                    "Batches are not compared by \(design.title), because the file has no "
                        + "\(design.unit); to add this comparison, give --context-length the "
                        + "number of tokens in a sequence.")
                continue
            }
            if let batch = earliestAbsent(at: design, grid) {
                notes.append(
                    "Batches are not compared by \(design.title), because no run of batch \(batch) "
                        + "was evaluated at or before \(design.mark) \(design.unit).")
            } else {
                designs.append(design)
            }
        }
        for design in designs where goesBeyond(design, grid) {
            notes.append(
                "Some runs continue beyond the mark of \(design.name). Comparing them there is fair "
                    + "only if their rates were constant; --tokens and --steps choose the marks.")
        }
        guard !designs.isEmpty else {
            throw .file(
                .badData, path, "has no mark with losses of every batch",
                remedy: "add rows after equal steps or equal tokens of every batch"
                    + (hasSteps && hasTokens
                        ? ""
                        : ", or give --context-length the number of tokens in a sequence"))
        }
        return (designs, notes)
    }

    /// Returns the first batch without a run that is evaluated at or before a mark and after it.
    private func earliestAbsent(at design: Design, _ grid: [TrainedPoint]) -> Int? {
        Set(grid.map(\.batch)).sorted().first { batch in
            let runs = grid.filter { $0.batch == batch && !$0.diverged }
            return !runs.isEmpty
                && !runs.contains { run in
                    run.miss(of: design) != nil
                        || run.curve.first.map { design.amount($0) <= design.mark } ?? false
                            && run.loss(at: design) != nil
                }
        }
    }

    /// Returns whether some run continues for more than a step beyond a mark and has no evaluation
    /// near it.
    private func goesBeyond(_ design: Design, _ grid: [TrainedPoint]) -> Bool {
        grid.contains { run in
            guard !run.diverged, let last = run.curve.last, run.miss(of: design) == nil else {
                return false
            }
            let slack = design.unit == "tokens" ? run.tokensPerStep ?? 0 : 0
            return Double(design.amount(last)) > Double(design.mark) + slack
        }
    }

    /// Returns a note for each mark that some runs narrowly miss.
    static func nearMarkNotes(_ designs: [Design], _ points: [TrainedPoint]) -> [String] {
        designs.compactMap { design in
            let misses = points.compactMap { run in
                run.miss(of: design).map { (batch: run.batch, share: $0) }
            }
            guard let greatest = misses.map(\.share).max() else { return nil }
            let batches = Set(misses.map(\.batch)).sorted().map(String.init)
            return "Runs at B = \(Format.list(batches)) miss the mark of \(design.name) by up to "
                + "\(Format.significant(100 * greatest, digits: 2)) %; their last evaluations "
                + "count as evaluations there."
        }
    }
}

extension Design {
    fileprivate var title: String { "equal \(unit)" }
}
