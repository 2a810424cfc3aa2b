import ArgumentParser
import Sweeps

struct AnalyzeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "analyze",
        abstract: "Analyzes a sweep: best rates, regrets of the rules, the critical batch.",
        discussion: """
            Examples:
              lockstep analyze sweeps/study
              lockstep analyze sweeps/study --tolerance 0.02

            It also works on a sweep that has not ended. It rewrites results.csv and
            analysis.json in the sweep's folder.
            """)

    @Argument(help: "The sweep's folder, as given to `lockstep sweep --out`.")
    var sweep: String

    @Option(
        parsing: .unconditional,
        help: "The largest regret at which a rule holds, in nats (default: the sweep's).")
    var tolerance: Double?

    func run() throws {
        let folder = SweepFolder(sweep)
        let findings = try folder.findings(tolerance: tolerance)
        try StandardOutput.write(line: findings.text)
        try folder.write(findings)
        if let failure = findings.failure { throw failure }
    }
}
