import ArgumentParser
import Support
import Sweeps

struct AnalyzeCommand: OneProcessCommand {
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
            step or tokens. The column seed distinguishes repeated runs. If several columns
            could be meant, such as lr and learning_rate, --column chooses one. Commas,
            semicolons (also with decimal commas) or tabs separate the columns. A run that
            diverged has a missing loss: empty, nan, null, NA, N/A, None or -. A run that
            ends within a step of the compared mark, or within 1 % of it, counts with its
            last evaluation, and a note says so.
            Runs of several models also need the column parameters, which counts those
            outside the embeddings and the head. The columns parametrization, width and
            layers then name the models. The analysis says how far the smallest model's
            best rate transfers.
            The columns and their other names, also after config. or params.:
              \(columns)
            The options from --base-batch on are for CSV files only. Runs whose rate decays
            compare only at their end, which --tokens or --steps then names.
            """)

    private static var columns: String {
        RunTable.columnNames.split(separator: "\n").joined(separator: "\n  ")
    }

    @Argument(help: "A sweep's folder, or a CSV file of runs.", completion: .file())
    var path: String

    @OptionGroup var tolerance: ToleranceOption

    @Flag(help: "Print the analysis as JSON.")
    var json = false

    @OptionGroup var table: RunTableOptions

    func run() throws {
        try RunTableOptions.requirePath(path, "<path>")
        guard !RunTableOptions.isTable(path) else { return try analyzeTable() }
        try table.refuse(for: path)
        let folder = SweepFolder(path)
        let findings = try folder.findings(tolerance: tolerance.tolerance)
        try StandardOutput.write(line: json ? findings.json.text : findings.text)
        try folder.write(findings)
        if let failure = findings.failure { throw failure }
    }

    private func analyzeTable() throws {
        let findings = try table.read(path).findings(table.request(tolerance))
        try StandardOutput.write(line: json ? findings.json.text : findings.text)
    }
}
