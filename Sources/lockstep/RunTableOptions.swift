import ArgumentParser
import Support
import Sweeps

/// The option of the commands that judge scaling rules.
struct ToleranceOption: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "The largest regret at which a rule holds, in nats (default: the sweep's, or 0.01).")
    var tolerance: Double?
}

/// The options of the commands that read a CSV file of runs.
struct RunTableOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "The batch whose best rate the rules scale (default: the smallest).")
    var baseBatch: Int?

    @Option(
        help: """
            The rules to judge, such as none,power:0.7,surge:64 or 'formula:lr * k^0.25' (default: \
            none,sqrt,linear).
            """)
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

    @Option(
        name: .customLong("column"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "Read the column with this title where several could be meant; repeatable.",
            valueName: "title"))
    var columns: [String] = []

    /// Returns whether a path is that of a CSV file rather than of a folder.
    static func isTable(_ path: String) -> Bool {
        FileSystem.exists(path)
            ? !FileSystem.isFolder(path) : [".csv", ".tsv"].contains(where: path.hasSuffix)
    }

    /// Refuses an empty path, which an unset variable of a shell leaves.
    ///
    /// - Throws: `Failure` (usage).
    static func requirePath(_ path: String, _ argument: String) throws(Failure) {
        guard path.isEmpty else { return }
        throw .option(argument, "is an empty name", remedy: "give a folder or a CSV file")
    }

    /// Reads the runs of a CSV file.
    ///
    /// - Throws: the failures of `RunTable`.
    func read(_ path: String) throws(Failure) -> RunTable {
        for (option, marks) in [("--tokens", tokens), ("--steps", steps)] {
            let repeated = marks.indices.first { marks[..<$0].contains(marks[$0]) }
            guard let repeated else { continue }
            throw .option(
                option, marks[repeated], "is given twice", remedy: "give each mark once")
        }
        return try RunTable(reading: path, contextLength: contextLength, choosing: columns)
    }

    /// Returns the request for the analysis of the runs.
    func request(_ tolerance: ToleranceOption) -> RunTableRequest {
        var request = RunTableRequest()
        request.tolerance = tolerance.tolerance
        request.baseBatch = baseBatch
        request.rules = rules.map(Self.ruleNames)
        (request.steps, request.tokens) = (steps, tokens)
        return request
    }

    /// Returns the names of the rules, separated by commas outside parentheses.
    private static func ruleNames(_ text: String) -> [String] {
        var depth = 0
        return text.split(omittingEmptySubsequences: false) { character in
            depth += character == "(" ? 1 : character == ")" ? -1 : 0
            return character == "," && depth == 0
        }.map { String($0).replacing(/^ +| +$/, with: "") }
    }

    /// Refuses these options for a path that is not that of a CSV file.
    ///
    /// - Throws: `Failure` (usage) that names the first option.
    func refuse(for path: String) throws(Failure) {
        let options = [
            ("--base-batch", baseBatch != nil), ("--rules", rules != nil),
            ("--tokens", !tokens.isEmpty), ("--steps", !steps.isEmpty),
            ("--context-length", contextLength != nil), ("--column", !columns.isEmpty),
        ]
        guard let (option, _) = options.first(where: \.1) else { return }
        throw .option(option, "is for CSV files, but \(path) is not one", remedy: "leave it out")
    }
}
