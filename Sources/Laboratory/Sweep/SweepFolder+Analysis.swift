import Checkpointing
import Failures
import Telemetry
import Training

extension SweepFolder {
    /// A row for each evaluation of each run.
    package var table: String { "\(path)/results.csv" }
    /// What the analysis found, for other programs.
    package var analysis: String { "\(path)/analysis.json" }

    /// Analyses what the ledger holds, and writes it down as tables.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats; nil for the sweep's own.
    /// - Throws: a `.missingInput` failure where there is no sweep; what the analysis throws.
    @discardableResult
    package func analyze(tolerance: Double? = nil) throws(Failure) -> Analysis {
        var specification = try readSpecification()
        try specification.validate()
        specification.tolerance = tolerance ?? specification.tolerance
        let schedule = try SweepSchedule(specification)
        let ledger = SweepLedger(self, schedule: schedule, session: "")
        let results = try ledger.results().sorted { $0.point.name < $1.point.name }
        let analysis = try Analysis(
            try ledger.trainedPoints(), settings: specification.analysisSettings)
        try AtomicFile.write(Self.table(of: results), to: table)
        try AtomicFile.write(analysis.json.text + "\n", to: self.analysis)
        return analysis
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
