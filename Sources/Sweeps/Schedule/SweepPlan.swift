import Support
import Telemetry
import Verdicts

/// The rounds of a planned sweep, in a file of its folder.
///
/// A round is written when all runs of the earlier ones have ended, so it depends only on their
/// results.
package struct SweepPlan: Sendable {
    private let folder: SweepFolder
    private let planner: RunPlanner

    /// Creates the plan of a sweep.
    ///
    /// - Throws: `Failure` (configuration) if a rule of the specification needs runs of its own.
    package init(_ folder: SweepFolder, _ specification: SweepSpecification) throws(Failure) {
        if let rule = specification.rules.first(where: \.isTrained) {
            throw .key(
                "\(specification.path): rules", "\"\(rule.name)\"",
                "changes more than the rate, so it needs a grid",
                remedy: "remove it, or omit --budget")
        }
        guard !specification.hasSizes else {
            throw .option(
                "--budget",
                "plans a comparison of batches, but the specification has several models",
                remedy: "remove --budget, or widths and layers")
        }
        guard !specification.rules.isEmpty, specification.batches.last != specification.baseBatch
        else {
            throw .about(
                .configuration, "a planned sweep",
                "needs a rule and a batch above base_batch, \(specification.baseBatch)",
                remedy: "add them, or omit --budget")
        }
        self.folder = folder
        planner = RunPlanner(
            startRates: Dictionary(
                uniqueKeysWithValues: specification.batches.map {
                    ($0, specification.rates(ofBatch: $0))
                }), baseBatch: specification.baseBatch, seeds: specification.seeds,
            settings: specification.analysisSettings)
    }

    /// Returns the runs of all rounds so far.
    ///
    /// - Throws: `Failure` (bad data) that names the damaged line; (I/O) if the file cannot be
    ///   read.
    package func points() throws(Failure) -> [SweepPoint] {
        guard FileSystem.exists(folder.plan) else { return [] }
        var points: [SweepPoint] = []
        for (index, record) in try MetricsLog.read(folder.plan).enumerated() {
            guard let round: [SweepPoint] = try? record.json.read("runs") else {
                throw .file(
                    .badData, folder.plan, "line \(index + 1) is not a round of runs",
                    remedy: "remove that line and those after it")
            }
            points += round
        }
        return points
    }

    /// Returns the next round, without writing it.
    ///
    /// - Parameter results: the results of all runs of the earlier rounds.
    package func next(_ results: [PointResult]) -> RunPlanner.Round {
        // The round must not depend on which run ended first.
        let sorted = results.sorted { $0.point.name < $1.point.name }
        let ended = Set(results.map(\.point.name))
        let round = planner.next(after: sorted.map { $0.trained(secondsPerStep: 0) })
        guard case .runs(let runs) = round else { return round }
        let new = runs.filter { !ended.contains(SweepPoint($0).name) }
        return new.isEmpty ? .exhausted : .runs(new)
    }

    /// Returns a clause about runs that resuming the sweep does not train; nil if there are none.
    ///
    /// - Parameters:
    ///   - results: the results of all runs that have ended.
    ///   - gridRuns: the number of runs in the specification's grid that have no result.
    package func untrained(_ results: [PointResult], gridRuns: Int) throws(Failure) -> String? {
        let ended = Set(results.map(\.point.name))
        let isOpen = try points().contains { !ended.contains($0.name) }
        let grid =
            gridRuns == 0
            ? nil
            : "the plan chooses the rates and seeds, so it trains "
                + "\(Format.counted(gridRuns, "further run")) of the specification's grid only "
                + "where a rule needs them"
        guard !isOpen else { return grid }
        switch next(results) {
        case .runs: return grid
        case .decided: return "every rule is settled, so no further run is trained"
        case .exhausted:
            return "no further run is expected to settle a rule, so none is trained; a larger "
                + "tolerance or more batches in the specification may help"
        }
    }

    /// Appends a round to the file.
    ///
    /// - Throws: `Failure` (I/O) if the file cannot be written.
    func append(_ runs: [PlannedRun]) throws(Failure) -> [SweepPoint] {
        let points = runs.map(SweepPoint.init)
        try MetricsLog.append(
            [
                "runs": .array(
                    points.map {
                        [.integer($0.batch), .number($0.rate), .string(String($0.seed))]
                    })
            ], to: folder.plan)
        return points
    }
}

extension SweepPoint: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        self.init(batch: try json.read(0), rate: try json.read(1), seed: try json.read(2))
        guard batch >= 1, rate > 0 else { throw .mismatch("run") }
    }
}

extension SweepPoint {
    /// Creates the point of a planned run.
    package init(_ run: PlannedRun) {
        self.init(batch: run.batch, rate: shortened(run.learningRate), seed: run.seed)
    }
}
