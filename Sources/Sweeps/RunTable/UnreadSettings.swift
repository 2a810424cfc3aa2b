import Support

/// The columns of a table that the analysis does not read, but that seem to hold a setting of the
/// runs, such as the optimizer.
///
/// A setting has few values, each of which several rows have. Other columns hold a property of each
/// run, such as its name or another metric.
struct UnreadSettings {
    /// The places of the columns in `RunRow.unread`, with their titles.
    private let columns: [(place: Int, title: String)]

    /// The greatest number of values that a setting is expected to have.
    private static let mostValues = 8
    /// The names of columns that describe single runs.
    private static let runNames: Set<String> = ["name", "run_name", "display_name", "group"]
    /// The words in names of columns that describe single runs.
    private static let runWords: Set<String> = [
        "id", "time", "date", "timestamp", "duration", "runtime", "seconds", "secs", "hours",
        "created", "updated", "url", "run", "seed", "loss", "accuracy", "acc", "perplexity", "ppl",
        "epoch", "epochs", "throughput", "host", "hostname", "node", "gpu", "device", "user",
        "note", "notes", "comment", "tags", "state", "status", "index", "commit",
    ]

    init(_ header: RunHeader, _ rows: [RunRow]) {
        columns = header.unread.indices.compactMap { place in
            let title = header.unread[place].title
            guard !Self.describesRun(title) else { return nil }
            var values: Set<String> = []
            for row in rows {
                values.insert(row.unread[place])
                guard values.count <= Self.mostValues else { return nil }
            }
            return values.count >= 2 && 2 * values.count <= rows.count ? (place, title) : nil
        }
    }

    private static func describesRun(_ title: String) -> Bool {
        let name = RunColumn.normalized(title)
        let words = name.split { !$0.isLetter && !$0.isNumber }.map(String.init)
        return runNames.contains(name) || !runWords.isDisjoint(with: words)
    }

    /// Returns the title of the first column in which two rows differ.
    func difference(_ first: RunRow, _ second: RunRow) -> String? {
        columns.first { first.unread[$0.place] != second.unread[$0.place] }?.title
    }

    /// Returns a sentence about the columns in which runs of the same model, rule, batch and rate
    /// differ, or nil if there are none.
    ///
    /// - Parameter runs: the rows of each run.
    func note(on runs: [[RunRow]]) -> String? {
        let repetitions = Dictionary(grouping: runs) { Repetition($0[0]) }.values
        let titles = columns.filter { column in
            let isConstant = runs.allSatisfy { rows in
                rows.allSatisfy { $0.unread[column.place] == rows[0].unread[column.place] }
            }
            return isConstant
                && repetitions.contains { runs in
                    Set(runs.map { $0[0].unread[column.place] }).count > 1
                }
        }.map(\.title)
        guard !titles.isEmpty else { return nil }
        return
            "Runs of the same batch and rate differ in the \(titles.count == 1 ? "column" : "columns") "
            + "\(Format.list(titles)), which the analysis does not read, so it treats them as the "
            + "same experiment. To separate them, analyze the rows of each value alone."
    }

    /// The values that runs have in common if they differ only in their seeds.
    private struct Repetition: Hashable {
        let model: RunModel
        let rule: String
        let batch: Int
        let rate: Double

        init(_ row: RunRow) {
            (model, rule, batch, rate) = (row.model, row.rule, row.batch, row.learningRate)
        }
    }
}
