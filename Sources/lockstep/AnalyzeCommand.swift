import ArgumentParser
import Sweeps

/// `lockstep analyze`
struct AnalyzeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "analyze",
        abstract: "Says what a sweep found: best rates, rules' regrets, the critical batch.",
        discussion: """
            Examples:
              lockstep analyze sweeps/study
              lockstep analyze sweeps/study --tolerance 0.02

            It also works on a sweep that has not ended, and writes results.csv and
            analysis.json into the sweep's folder again.
            """)

    @Argument(help: "The folder that `lockstep sweep` was given as --out.")
    var sweep: String

    @Option(
        name: .long, parsing: .unconditional,
        help: "The regret up to which a rule holds, in nats (default: the sweep's).")
    var tolerance: Double?

    func run() throws {
        let folder = SweepFolder(sweep)
        let findings = try folder.findings(tolerance: tolerance)
        try StandardOutput.write(line: findings.text)
        try folder.write(findings)
        if let failure = findings.failure { throw failure }
    }
}
