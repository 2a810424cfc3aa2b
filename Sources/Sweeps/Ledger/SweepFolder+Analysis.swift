import Support
import Training

/// What a sweep says so far.
package struct SweepFindings: Sendable {
    package let specification: SweepSpecification
    /// By name.
    package let results: [PointResult]
    package let progress: SweepLedger.Progress
    package let analysis: Analysis

    /// What is missing, in a sentence; nil where all runs have ended.
    package var caveat: String? {
        progress.done < progress.total
            ? "Only \(Format.count(progress.done)) of at least \(Format.count(progress.total)) runs have "
                + "ended: what the others bring may change all of this."
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

    /// For a terminal.
    package var text: String {
        (caveat.map { $0 + "\n\n" } ?? "") + analysis.summary
    }
}

extension SweepFolder {
    /// A row for each evaluation of each run.
    package var table: String { "\(path)/results.csv" }
    /// What the analysis found, for other programs.
    package var analysis: String { "\(path)/analysis.json" }

    /// Analyses what the ledger holds.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats; nil for the sweep's
    ///   own.
    /// - Throws: a `.missingInput` failure where there is no sweep, or no run has ended; what the
    ///   analysis throws.
    package func findings(tolerance: Double? = nil) throws(Failure) -> SweepFindings {
        var specification = try readSpecification()
        try specification.validate()
        specification.tolerance = tolerance ?? specification.tolerance
        let schedule = try SweepSchedule(specification)
        let ledger = SweepLedger(self, schedule: schedule, session: "")
        // In an order that does not depend on how they came.
        let results = try ledger.results().sorted { $0.point.name < $1.point.name }
        guard results.contains(where: { $0.point.rule == TrainedPoint.grid }) else {
            throw Failure(
                .missingInput,
                "No run of the sweep in \(path) has ended yet: go on with it by `lockstep sweep "
                    + "--resume --out \(shellQuoted(path))`.")
        }
        return SweepFindings(
            specification: specification, results: results, progress: schedule.progress(results),
            analysis: try Analysis(
                try ledger.trainedPoints(results), settings: specification.analysisSettings))
    }

    /// Writes the findings' tables into the folder.
    ///
    /// - Throws: `.inputOutput`.
    package func write(_ findings: SweepFindings) throws(Failure) {
        try AtomicFile.write(Self.table(of: findings.results), to: table)
        try AtomicFile.write(findings.analysis.json.text + "\n", to: analysis)
    }

    /// The results as comma-separated values, the same for the same results.
    private static func table(of results: [PointResult]) -> String {
        var lines = ["rule,batch,learning_rate,seed,diverged,step,tokens,validation_loss"]
        for result in results {
            let point = result.point
            let start =
                "\(quoted(point.rule)),\(point.batch),\(result.learningRate),\(point.seed),"
                + "\(result.diverged)"
            lines += result.curve.map { "\(start),\($0.step),\($0.tokens),\($0.validationLoss)" }
            if result.curve.isEmpty { lines.append("\(start),,,") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A text as a field (RFC 4180): in quotes where it holds what separates fields.
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { ",\"\n\r".contains($0) }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }
}
