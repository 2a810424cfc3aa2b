import Support
import Training
import Verdicts

extension SweepFolder {
    /// Returns the runs that resuming the sweep would train first: the rest of its grid or of its
    /// last round, otherwise the next round of its planner.
    ///
    /// Returns nil if all runs of the grid have ended and no budget can plan more, because the
    /// sweep has several models or a rule with runs of its own.
    ///
    /// - Parameter plan: the plan of a planned sweep; nil for a grid.
    func outlook(
        after analysis: Analysis, of results: [PointResult], _ specification: SweepSpecification,
        plan: SweepPlan?, schedule: SweepSchedule
    ) throws(Failure) -> RunPlanner.Round? {
        guard !specification.hasSizes else { return nil }
        // A budget may have ended in the middle of a round that was not needed.
        guard !analysis.designs.allSatisfy(\.isSettled) else { return .decided }
        if plan == nil {
            let open = schedule.openPoints(results).filter { $0.rule == TrainedPoint.grid }
            guard open.isEmpty else { return .runs(open.map(\.run)) }
        }
        guard let plan = plan ?? (try? SweepPlan(self, specification)) else { return nil }
        let ended = Set(results.map(\.point.name))
        let open = try plan.points().filter { !ended.contains($0.name) }
        guard open.isEmpty else { return .runs(open.map(\.run)) }
        let round = plan.next(results)
        guard case .runs(let runs) = round else { return round }
        return .runs(runs.map { SweepPoint($0).run })
    }

    /// Returns an analysis whose next runs are those of the outlook, with the command that trains
    /// them.
    ///
    /// - Parameter otherTolerance: the tolerance of the analysis if it is not the sweep's own.
    func advised(
        _ analysis: Analysis, _ outlook: RunPlanner.Round?, otherTolerance: Double?, isGrid: Bool,
        durations: RunDurations
    ) -> Analysis {
        var analysis = analysis
        guard let outlook else {
            let command = resumption(specification: "SPECIFICATION")
            analysis.replaceNextRuns {
                $0?.ofSweep(
                    durations: durations,
                    instruction: "to train them, add them to the specification and use \(command)")
            }
            return analysis
        }
        let runs: [PlannedRun]
        switch outlook {
        case .runs(let next): runs = next
        case .decided, .exhausted: runs = []
        }
        let next = NextRuns(
            runs, durations: durations,
            instruction: (otherTolerance.map { "with tolerance = \($0) in the specification, " }
                ?? "")
                + "to train them\(isGrid ? "" : " and the rounds that follow"), use "
                + resumption(
                    isGrid ? "" : "--budget \(budget(durations.secondsOnLayout(runs))) ",
                    specification: otherTolerance == nil ? nil : "SPECIFICATION"))
        analysis.replaceNextRuns { outlook == .decided ? nil : next.withProbabilities(of: $0) }
        return analysis
    }

    /// The least budget to suggest, in minutes, which is enough for several rounds of short runs.
    private static let leastMinutes = 20
    /// The number of minutes from which a budget is given in hours.
    private static let manyMinutes = 120

    /// Returns a budget for at least twice the duration of the next runs.
    private func budget(_ seconds: Double?) -> String {
        let minutes = max(Self.leastMinutes, Int(min(2 * (seconds ?? 0) / 60, 1e6).rounded(.up)))
        return minutes > Self.manyMinutes ? "\((minutes + 59) / 60)h" : "\(minutes)m"
    }

    /// Returns the command that resumes the sweep, with more options.
    ///
    /// It names the launcher however this process was started, so that the analysis depends on the
    /// folder alone.
    ///
    /// - Parameter specification: the changed specification; nil for the sweep's own.
    func resumption(_ options: String = "", specification: String? = nil) -> String {
        "`launch/mpirun -- lockstep sweep \(specification.map { "\($0) " } ?? "")--resume "
            + "\(options)--out \(shellQuoted(path))`"
    }
}

extension SweepPoint {
    /// The run of the grid at this point.
    fileprivate var run: PlannedRun {
        PlannedRun(batch: batch, learningRate: rate, seed: seed)
    }
}
