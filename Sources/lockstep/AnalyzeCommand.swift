import ArgumentParser
import Support
import Sweeps
import Verdicts

struct AnalyzeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "analyze",
        abstract: "Analyzes runs: best rates, regrets of the rules, the critical batch.",
        discussion: """
            Examples:
              lockstep analyze sweeps/study
              lockstep analyze sweeps/study --tolerance 0.02
              lockstep analyze runs.csv --context-length 1024 --rules sqrt,linear
              lockstep analyze runs.csv --json >analysis.json

            It also works on an unfinished sweep. It repeats the sweep's warnings of
            confounds, and rewrites results.csv and analysis.json in the sweep's folder.

            A CSV file holds runs of any trainer: a header, and a row for each run or for
            each evaluation of a run, such as
              batch,lr,seed,tokens,val_loss
              8,1e-3,1,1048576,3.412
            Required columns: batch (in sequences), learning_rate, validation_loss, and
            step or tokens. Others: seed, rule, diverged, seconds_per_step and
            context_length. A loss that is empty or nan is that of a run that diverged.
            The options from --base-batch on are for CSV files only. Runs whose rate decays
            compare only at their end, which --tokens or --steps then names.
            """)

    @Argument(help: "A sweep's folder, or a CSV file of runs.")
    var path: String

    @Option(
        parsing: .unconditional,
        help: "The largest regret at which a rule holds, in nats (default: the sweep's, or 0.01).")
    var tolerance: Double?

    @Flag(help: "Print the analysis as JSON.")
    var json = false

    @Option(
        parsing: .unconditional,
        help: "The batch whose best rate the rules scale (default: the smallest).")
    var baseBatch: Int?

    @Option(help: "The rules to judge (default: none,sqrt,linear).")
    var rules: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: "Compare batches after this many tokens; repeatable (default: the last common mark).")
    var tokens: [Int] = []

    @Option(
        parsing: .unconditionalSingleValue,
        help: "Compare batches after this many steps; repeatable (default: the last common mark).")
    var steps: [Int] = []

    @Option(
        parsing: .unconditional,
        help: "The tokens in a sequence, for a file that has only steps or only tokens.")
    var contextLength: Int?

    func run() throws {
        guard FileSystem.exists(path) ? FileSystem.isFolder(path) : !path.hasSuffix(".csv") else {
            return try analyzeTable()
        }
        try refuseTableOptions()
        let folder = SweepFolder(path)
        let findings = try folder.findings(tolerance: tolerance)
        try StandardOutput.write(line: json ? findings.json.text : findings.text)
        try folder.write(findings)
        if let failure = findings.failure { throw failure }
    }

    private func analyzeTable() throws {
        var request = RunTableRequest()
        request.tolerance = tolerance
        request.baseBatch = baseBatch
        request.rules = rules?.split(separator: ",", omittingEmptySubsequences: false).map {
            String($0)
        }
        (request.steps, request.tokens) = (steps, tokens)
        let findings = try RunTable(reading: path, contextLength: contextLength)
            .findings(request)
        try StandardOutput.write(line: json ? findings.json.text : findings.text)
    }

    private func refuseTableOptions() throws(Failure) {
        let options = [
            ("--base-batch", baseBatch != nil), ("--rules", rules != nil),
            ("--tokens", !tokens.isEmpty), ("--steps", !steps.isEmpty),
            ("--context-length", contextLength != nil),
        ]
        guard let (option, _) = options.first(where: \.1) else { return }
        throw Failure(
            .usage, "\(option): is for CSV files, but \(path) is none; leave it out.")
    }
}
