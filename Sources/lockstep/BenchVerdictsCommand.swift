import ArgumentParser
import Benchmarks
import Support
import Telemetry
import Training

struct BenchVerdictsCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "verdicts",
        abstract: "Measures how often verdicts on simulated sweeps are right.",
        discussion: """
            Examples:
              lockstep bench verdicts
              lockstep bench verdicts --sweeps 30

            Sweeps are simulated with known best rates and analyzed. The names of the
            cases give the form of the loss against the rate, the noise of a run's loss
            in nats, and that of a seed's ln(best rate). The rules none, sqrt and linear
            are the truth in turn. The columns are shares of sweeps: the true rule holds
            up to the largest batch, the true rule fails, a wrong rule holds where its
            regret exceeds the tolerance, and the exponent's interval contains the
            truth; and the mean width of that interval. A second table judges sweeps that
            are planned as by `lockstep sweep --budget`. It shows the share that finds
            within the budget that the true rule holds and the others fail, the share
            with a wrong verdict, and the mean number of runs.
            """)

    @Option(help: "The number of sweeps per row.")
    var sweeps = 360

    @Flag(help: "Show only the table of planned sweeps.")
    var plans = false

    func run() throws {
        try requireOption("--sweeps", sweeps, in: 3...100_000, remedy: "try 360")
        var table = TextTable(
            [
                "case", "seeds", "true rule holds", "true rule fails", "wrong holds", "coverage",
                "width",
            ], leftColumns: 1)
        var planTable = TextTable(
            ["case", "budget", "decided", "wrong", "mean runs"], leftColumns: 1)
        let cases = plans ? [] : VerdictCalibration.cases
        let rows = cases.reduce(0) { $0 + $1.seeds.count } + PlanCalibration.cases.count
        let line = ProgressLine(
            "judging simulated sweeps", total: rows * sweeps,
            unit: .things("sweeps", showsRate: false), mode: try progressMode(),
            environment: processEnvironment())
        var done = 0
        for (sweep, counts) in cases {
            for seeds in counts {
                let row = try VerdictCalibration(sweep, seeds: seeds, sweeps: sweeps) {
                    done += 1
                    line.update(done: done)
                }
                let shares = [row.trueFails, row.wrongHolds, row.coverage, row.width]
                table.add(
                    [sweep.name, "\(seeds)", Format.fixed(row.trueHolds, decimals: 2)]
                        + shares.map { Format.fixed($0, decimals: 3) })
            }
        }
        for (sweep, budget) in PlanCalibration.cases {
            let row = try PlanCalibration(sweep, budget: budget, sweeps: sweeps) {
                done += 1
                line.update(done: done)
            }
            planTable.add([
                sweep.name, "\(budget)", Format.fixed(row.decided, decimals: 2),
                Format.fixed(row.wrong, decimals: 3), Format.fixed(row.runs, decimals: 0),
            ])
        }
        line.finish()
        let lines = (plans ? [] : table.lines + [""]) + planTable.lines
        for line in lines { try StandardOutput.write(line: line) }
    }
}
