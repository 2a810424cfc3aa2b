import Support
import Training
import Verdicts

/// The results of a sweep so far and their analysis.
package struct SweepFindings: Sendable {
    package let specification: SweepSpecification
    /// The results, sorted by the names of their points.
    package let results: [PointResult]
    package let progress: SweepLedger.Progress
    package let warnings: [SweepWarning]
    /// A sentence about the end of a planned sweep; nil for a grid.
    let planNote: String?
    package let analysis: Analysis

    /// A sentence about the missing runs or, for a planned sweep, about its end; nil if a grid is
    /// complete.
    package var caveat: String? {
        if let planNote { return planNote }
        return progress.done < progress.total
            ? "Only \(Format.count(progress.done)) of at least \(Format.count(progress.total)) runs have "
                + "ended; the others may change every result below."
            : nil
    }

    /// The failure of a sweep in which every run diverged; nil if there is a result to compare.
    package var failure: Failure? {
        guard !results.isEmpty, results.allSatisfy(\.diverged) else { return nil }
        let count = Format.counted(results.count, "run")
        return Failure(
            .configuration,
            "Every run of the sweep diverged (\(count)), so there is nothing to compare; lower "
                + "learning_rates, with `lockstep find-lr` as a guide.")
    }

    /// The caveat and the warnings, if there are any, and a summary of the analysis.
    package var text: String {
        let notes = (caveat.map { [$0] } ?? []) + warnings.map { "Warning: \($0.sentence)" }
        return (notes.isEmpty ? "" : notes.joined(separator: "\n") + "\n\n") + analysis.summary
    }

    /// The caveat, the warnings and the analysis as JSON, for other programs.
    package var json: JSONObject {
        var json = analysis.json(notes: caveat.map { [$0] } ?? [])
        json["warnings"] = .array(
            warnings.map { warning in
                [
                    "confound": .string(warning.confound.rawValue),
                    "batches": .array(warning.batches.map { .integer($0) }),
                    "sentence": .string(warning.sentence),
                ]
            })
        return json
    }
}

extension SweepFolder {
    /// The path of the table with a row for each evaluation of each run.
    package var table: String { "\(path)/results.csv" }
    /// The path of the analysis as JSON, for other programs.
    package var analysis: String { "\(path)/analysis.json" }

    /// Analyzes the results in the ledger.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats; nil for the tolerance
    ///   of the sweep.
    /// - Throws: `Failure` (missing input) if there is no sweep or no run has ended; the failures
    ///   of the analysis.
    package func findings(tolerance: Double? = nil) throws(Failure) -> SweepFindings {
        var specification = try readSpecification()
        try specification.validate()
        specification.tolerance = tolerance ?? specification.tolerance
        let schedule = try SweepSchedule(specification)
        let ledger = SweepLedger(self, schedule: schedule, session: "")
        // The order must not depend on which run ended first.
        let results = try ledger.results().sorted { $0.point.name < $1.point.name }
        guard results.contains(where: { $0.point.rule == TrainedPoint.grid }) else {
            throw .file(
                .missingInput, path, "no run of this sweep has ended yet",
                remedy: "resume it with `lockstep sweep --resume --out \(shellQuoted(path))`")
        }
        let plan = isPlanned ? try SweepPlan(self, specification) : nil
        var settings = specification.analysisSettings
        settings.seedsShareRates = plan == nil
        let analysis = try Analysis(try ledger.trainedPoints(results), settings: settings)
        return SweepFindings(
            specification: specification, results: results, progress: schedule.progress(results),
            // Only a warning needs the file, so the analysis does without it.
            warnings: try specification.warnings(
                trainingTokens: (try? readOrigin())?.trainingTokens),
            planNote: try plan.map { (plan) throws(Failure) in
                try note(plan, results, analysis)
            },
            analysis: analysis)
    }

    private func note(
        _ plan: SweepPlan, _ results: [PointResult], _ analysis: Analysis
    ) throws(Failure) -> String {
        let count = Format.counted(results.count, "run")
        let ended = Set(results.map(\.point.name))
        let isOpen = try plan.points().contains { !ended.contains($0.name) }
        // A budget may have ended in the middle of a round that was not needed.
        guard !analysis.designs[0].verdicts.allSatisfy(\.isSettled) else {
            return "Every rule is settled after \(count)."
        }
        switch isOpen ? .runs([]) : plan.next(results) {
        case .decided: return "Every rule is settled after \(count)."
        case .exhausted: return "After \(count), no further run is expected to settle a rule."
        case .runs:
            return "After \(count), some rules are not settled; to continue, use `lockstep sweep "
                + "--resume --budget 20m --out \(shellQuoted(path))`."
        }
    }

    /// Writes the table of the results and the analysis into the folder.
    ///
    /// - Throws: `Failure` (I/O) if a file cannot be written.
    package func write(_ findings: SweepFindings) throws(Failure) {
        try AtomicFile.write(Self.table(of: findings.results), to: table)
        try AtomicFile.write(findings.json.text + "\n", to: analysis)
    }

    /// Returns the results as comma-separated values.
    private static func table(of results: [PointResult]) -> String {
        var lines = [
            "rule,batch,learning_rate,seed,diverged,step,tokens,validation_loss,noise_scale"
        ]
        for result in results {
            let point = result.point
            let start =
                "\(quoted(point.rule)),\(point.batch),\(result.learningRate),\(point.seed),"
                + "\(result.diverged)"
            let scale = result.noiseScale.map { "\($0)" } ?? ""
            lines += result.curve.map {
                "\(start),\($0.step),\($0.tokens),\($0.validationLoss),\(scale)"
            }
            if result.curve.isEmpty { lines.append("\(start),,,,\(scale)") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Returns a string as a field (RFC 4180), in quotes if it contains a separator.
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }
}
