import Support
import Verdicts

/// The agreement of the probabilities that the advice states with the decisions that follow, on
/// simulated sweeps.
package struct AdviceCalibration: Sendable {
    package let sweep: SimulatedSweep
    /// The number of seeds with which a sweep starts.
    package let seeds: Int
    /// The number of simulated sweeps.
    package let sweeps: Int
    /// The number of stated probabilities. Each is that of one rule after one advice.
    package let count: Int
    /// The mean of the stated probabilities.
    package let stated: Double
    /// The fraction of these rules that are settled after the advised runs.
    package let decided: Double
    /// The fraction of sweeps whose advice, followed again and again, settles every rule.
    package let settled: Double
    /// The mean number of runs that the advice asks for.
    package let runs: Double

    /// The simulated sweeps of the table.
    package static let cases: [SimulatedSweep] = VerdictCalibration.cases.map(\.sweep).filter {
        ["parabola, .010, .15", "asymmetric, .010, .15", "growing, .006, .10"].contains($0.name)
    }
    /// The number of seeds with which the sweeps of the table start.
    package static let firstSeeds = 3
    /// The number of times that the advice is followed.
    private static let rounds = 8

    /// Simulates sweeps and follows the advice on each of them. The common rules take turns as the
    /// true rule.
    ///
    /// - Parameter progress: a closure that is called after each sweep.
    /// - Throws: the failures of the analysis.
    package init(
        _ sweep: SimulatedSweep, seeds: Int, sweeps: Int, progress: () -> Void = {}
    ) throws(Failure) {
        (self.sweep, self.seeds, self.sweeps) = (sweep, seeds, sweeps)
        let settings = SimulatedSweep.settings
        var (stated, decided, count, settled, runs) = (0.0, 0, 0, 0, 0)
        for repetition in 0..<sweeps {
            let sweep = sweep.ofRepetition(repetition)
            var points = sweep.points(seeds: seeds, repetition: repetition)
            var analysis = try Analysis(points, settings: settings).designs[0]
            for _ in 0..<Self.rounds {
                guard let next = analysis.nextRuns, next.runCount > 0 else { break }
                runs += next.runCount
                points += next.sets.flatMap(\.runs).map { sweep.run($0, repetition: repetition) }
                analysis = try Analysis(points, settings: settings).designs[0]
                for decision in next.probabilities {
                    stated += decision.probability
                    count += 1
                    let verdict = analysis.verdicts.first { $0.rule == decision.rule }
                    decided += verdict?.isSettled ?? false ? 1 : 0
                }
            }
            settled += analysis.isSettled ? 1 : 0
            progress()
        }
        self.count = count
        self.stated = stated / Double(max(1, count))
        self.decided = Double(decided) / Double(max(1, count))
        self.settled = Double(settled) / Double(sweeps)
        self.runs = Double(runs) / Double(sweeps)
    }
}
