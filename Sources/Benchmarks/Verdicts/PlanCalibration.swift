import Support
import Verdicts

/// The number of runs with which planned sweeps decide, on simulated sweeps.
package struct PlanCalibration: Sendable {
    package let sweep: SimulatedSweep
    /// The greatest number of runs of a sweep.
    package let budget: Int
    /// The number of simulated sweeps.
    package let sweeps: Int
    /// The fraction of sweeps that decide within the budget that the true rule holds up to the
    /// largest batch and that the other two rules fail.
    package let decided: Double
    /// The fraction of sweeps with a wrong verdict: the true rule fails, or another one holds where
    /// its regret exceeds the tolerance.
    package let wrong: Double
    /// The mean number of runs.
    package let runs: Double

    /// Simulates and judges sweeps. The common rules take turns as the true rule.
    ///
    /// - Parameter progress: a closure that is called after each sweep.
    /// - Throws: the failures of the analysis.
    package init(
        _ sweep: SimulatedSweep, budget: Int, sweeps: Int, progress: () -> Void = {}
    ) throws(Failure) {
        (self.sweep, self.budget, self.sweeps) = (sweep, budget, sweeps)
        var settings = SimulatedSweep.settings
        settings.seedsShareRates = false
        var (decided, wrong, runs) = (0, 0, 0)
        for repetition in 0..<sweeps {
            let sweep = sweep.ofRepetition(repetition)
            let points = Self.points(
                sweep, repetition: repetition, budget: budget, settings: settings)
            runs += points.count
            let judged = JudgedVerdicts(
                try Analysis(points, settings: settings).designs[0].verdicts, of: sweep,
                tolerance: settings.tolerance)
            decided += judged.trueHolds && judged.wrongFail ? 1 : 0
            wrong += judged.trueFails || judged.wrongHolds > 0 ? 1 : 0
            progress()
        }
        self.decided = Double(decided) / Double(sweeps)
        self.wrong = Double(wrong) / Double(sweeps)
        self.runs = Double(runs) / Double(sweeps)
    }

    /// The simulated sweeps of the table, each with its budget.
    package static let cases: [(sweep: SimulatedSweep, budget: Int)] = {
        let budgets = [
            "parabola, .010, .15": 160, "asymmetric, .010, .15": 200,
            "plateau, .015, .10": 200, "growing, .006, .10": 160, "leveling, .006, .10": 160,
            "unstable, .006, .10": 160,
        ]
        return VerdictCalibration.cases.compactMap { sweep, _ in
            budgets[sweep.name].map { (sweep, $0) }
        }
    }()

    /// Returns the runs of a planned sweep.
    private static func points(
        _ sweep: SimulatedSweep, repetition: Int, budget: Int, settings: AnalysisSettings
    ) -> [TrainedPoint] {
        let rates = sweep.rates(repetition)
        let planner = RunPlanner(
            startRates: Dictionary(uniqueKeysWithValues: sweep.batches.map { ($0, rates) }),
            baseBatch: sweep.batches[0], seeds: [0, 1, 2], settings: settings)
        var points: [TrainedPoint] = []
        while points.count < budget, case .runs(let runs) = planner.next(after: points) {
            points += runs.prefix(budget - points.count).map {
                sweep.run($0, repetition: repetition)
            }
        }
        return points
    }
}
