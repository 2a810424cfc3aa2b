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
              lockstep bench verdicts --case bursts --case "parabola, .010, .15"

            Sweeps are simulated with known best rates and analyzed. The names of the
            cases give the form of the loss against the rate, the noise of a run's loss
            in nats, and that of a seed's ln(best rate). The rules none, sqrt and linear
            are the truth in turn. The columns are shares of sweeps: the true rule holds
            up to the largest batch, the true rule fails, a wrong rule holds where its
            regret exceeds the tolerance, and the exponent's interval contains the
            truth; and the mean width of that interval. A second table judges sweeps that
            are planned as by `lockstep sweep --budget`. It shows the share that finds
            within the budget that the true rule holds and the others fail, the share
            with a wrong verdict, and the mean number of runs. A third table follows the
            advice on grids: the mean stated probability of a decision, the share of rules
            that were then decided, the share of sweeps in which it settles every rule,
            and the mean number of runs that it asks for.
            """)

    @Option(help: "The number of sweeps per row.")
    var sweeps = 360

    @Flag(help: "Show only the table of planned sweeps.")
    var plans = false

    @Flag(help: "Show only the table of sweeps that follow the advice.")
    var advice = false

    @Option(
        name: .customLong("case"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Show only this case, or all cases of a form such as bursts; repeat it for more.",
            valueName: "name"))
    var names: [String] = []

    func run() throws {
        try requireOption("--sweeps", sweeps, in: 3...100_000, remedy: "try 360")
        try requireKnownNames()
        let showsAll = !plans && !advice
        let cases = showsAll ? VerdictCalibration.cases.filter { isChosen($0.sweep) } : []
        let planCases =
            plans || showsAll ? PlanCalibration.cases.filter { isChosen($0.sweep) } : []
        let adviceCases = advice || showsAll ? AdviceCalibration.cases.filter(isChosen) : []
        let rows = cases.reduce(0) { $0 + $1.seeds.count } + planCases.count + adviceCases.count
        let line = ProgressLine(
            "judging simulated sweeps", total: rows * sweeps,
            unit: .things("sweeps", showsRate: false), mode: try progressMode(),
            environment: processEnvironment())
        defer { line.finish() }
        var done = 0
        func advance() {
            done += 1
            line.update(done: done)
        }
        func write(_ text: String) throws {
            line.hide()
            try StandardOutput.write(line: text)
        }
        let shown = cases.map(\.sweep) + planCases.map(\.sweep) + adviceCases
        let width = shown.map(\.name.count).max() ?? 0
        if !cases.isEmpty { try judge(cases, width: width, advance, write) }
        if !cases.isEmpty && !planCases.isEmpty { try write("") }
        if !planCases.isEmpty { try judgePlans(planCases, width: width, advance, write) }
        if !planCases.isEmpty && !adviceCases.isEmpty { try write("") }
        if !adviceCases.isEmpty { try judgeAdvice(adviceCases, width: width, advance, write) }
    }

    /// Judges sweeps of a grid and writes each row of their table as soon as it is known.
    private func judge(
        _ cases: [(sweep: SimulatedSweep, seeds: [Int])], width: Int, _ advance: () -> Void,
        _ write: (String) throws -> Void
    ) throws {
        let table = TextTable(
            [
                "case", "seeds", "true rule holds", "true rule fails", "wrong holds", "coverage",
                "width",
            ], leftColumns: 1, leastWidths: [width])
        try write(table.headingLine)
        for (sweep, counts) in cases {
            for seeds in counts {
                let row = try VerdictCalibration(
                    sweep, seeds: seeds, sweeps: sweeps, progress: advance)
                let shares = [row.trueFails, row.wrongHolds, row.coverage, row.width]
                try write(
                    table.line(
                        [sweep.name, "\(seeds)", Format.fixed(row.trueHolds, decimals: 2)]
                            + shares.map { Format.fixed($0, decimals: 3) }))
            }
        }
    }

    /// Judges planned sweeps and writes each row of their table as soon as it is known.
    private func judgePlans(
        _ cases: [(sweep: SimulatedSweep, budget: Int)], width: Int, _ advance: () -> Void,
        _ write: (String) throws -> Void
    ) throws {
        let table = TextTable(
            ["case", "budget", "decided", "wrong", "mean runs"], leftColumns: 1,
            leastWidths: [width])
        try write(table.headingLine)
        for (sweep, budget) in cases {
            let row = try PlanCalibration(
                sweep, budget: budget, sweeps: sweeps, progress: advance)
            try write(
                table.line([
                    sweep.name, "\(budget)", Format.fixed(row.decided, decimals: 2),
                    Format.fixed(row.wrong, decimals: 3), Format.fixed(row.runs, decimals: 0),
                ]))
        }
    }

    /// Follows the advice and writes each row of its table as soon as it is known.
    private func judgeAdvice(
        _ cases: [SimulatedSweep], width: Int, _ advance: () -> Void,
        _ write: (String) throws -> Void
    ) throws {
        let table = TextTable(
            ["case", "seeds", "stated", "decided", "settled", "mean runs"], leftColumns: 1,
            leastWidths: [width])
        try write(table.headingLine)
        for sweep in cases {
            let row = try AdviceCalibration(
                sweep, seeds: AdviceCalibration.firstSeeds, sweeps: sweeps, progress: advance)
            try write(
                table.line([
                    sweep.name, "\(row.seeds)", Format.fixed(row.stated, decimals: 2),
                    Format.fixed(row.decided, decimals: 2), Format.fixed(row.settled, decimals: 2),
                    Format.fixed(row.runs, decimals: 0),
                ]))
        }
    }

    // MARK: - Cases

    private func isChosen(_ sweep: SimulatedSweep) -> Bool {
        names.isEmpty || names.contains { Self.isName($0, of: sweep) }
    }

    /// Returns whether a name is that of a case or of its form, the part before the first comma.
    private static func isName(_ name: String, of sweep: SimulatedSweep) -> Bool {
        sweep.name == name || sweep.name.prefix { $0 != "," } == name
    }

    private func requireKnownNames() throws {
        let known =
            plans && advice
            ? PlanCalibration.cases.map(\.sweep) + AdviceCalibration.cases
            : plans
                ? PlanCalibration.cases.map(\.sweep)
                : advice ? AdviceCalibration.cases : VerdictCalibration.cases.map(\.sweep)
        for name in names where !known.contains(where: { Self.isName(name, of: $0) }) {
            throw Failure.option(
                "--case", jsonQuoted(name),
                "is not the name of a case"
                    + (plans ? " of a planned sweep" : advice ? " of advice" : ""),
                remedy: "use one of \(known.map { jsonQuoted($0.name) }.joined(separator: ", "))")
        }
    }
}
