import Support

/// A column of a table of runs.
enum RunColumn: CaseIterable {
    case rule
    case batch
    case rate
    case seed
    case step
    case tokens
    case loss
    case diverged
    case secondsPerStep
    case contextLength
    case noiseScale
    case parametrization
    case width
    case layers
    case parameters

    /// The names that a header may give the column.
    var names: [String] {
        switch self {
        case .rule: ["rule"]
        case .batch: ["batch", "batch_size", "global_batch", "global_batch_size", "bs"]
        case .rate: ["learning_rate", "lr", "rate", "max_lr"]
        case .seed: ["seed", "random_seed"]
        case .step:
            ["step", "steps", "iter", "iteration", "iterations", "global_step", "_step"]
        case .tokens: ["tokens", "tokens_seen", "total_tokens"]
        case .loss:
            [
                "validation_loss", "val_loss", "valid_loss", "eval_loss", "val/loss", "eval/loss",
                "loss",
            ]
        case .diverged: ["diverged"]
        case .secondsPerStep: ["seconds_per_step"]
        case .contextLength: ["context_length"]
        case .noiseScale: ["noise_scale"]
        case .parametrization: ["parametrization"]
        case .width: ["width", "n_embd", "d_model", "hidden_size"]
        case .layers: ["layers", "n_layer", "num_layers"]
        case .parameters: ["parameters", "non_embedding_parameters"]
        }
    }

    /// The prefixes that trackers of experiments put before the names of settings and metrics.
    private static let prefixes = ["config.", "config/", "params.", "metrics."]

    /// Returns a title in lower case, without a tracker's prefix, and with underscores in place of
    /// spaces and hyphens.
    static func normalized(_ title: String) -> String {
        let name = title.lowercased().replacing(" ", with: "_").replacing("-", with: "_")
        let prefix = prefixes.first { name.hasPrefix($0) && name.count > $0.count }
        return prefix.map { String(name.dropFirst($0.count)) } ?? name
    }

    /// Returns the number of columns that a header with these titles has.
    static func count(in titles: [String]) -> Int {
        let names = Set(titles.map(normalized))
        return allCases.count { $0.names.contains(where: names.contains) }
    }
}

extension RunTable {
    /// The names of all columns, with a line for each column that has several.
    package static var columnNames: String {
        let single = RunColumn.allCases.filter { $0.names.count == 1 }.map { $0.names[0] }
        let others = RunColumn.allCases.filter { $0.names.count > 1 }.map { column in
            "\(column.names[0]): \(column.names.dropFirst().joined(separator: ", "))"
        }
        let half = (single.count + 1) / 2
        return
            (others + [
                single.prefix(half).joined(separator: ", ") + ",",
                single.dropFirst(half).joined(separator: ", "),
            ]).joined(separator: "\n")
    }
}

/// The places of the columns in a table's rows.
struct RunHeader {
    /// A column's place in a row and its title in the file.
    struct Entry {
        let place: Int
        let title: String
    }

    /// The number of fields of a row.
    let width: Int
    /// The columns that the analysis does not read.
    let unread: [Entry]
    /// The column "loss" if another one holds the validation loss.
    let trainingLoss: Entry?
    private let entries: [RunColumn: Entry]

    /// Reads the header from the first row of a table.
    ///
    /// - Parameter chosen: the titles that count where several columns have names of one column.
    /// - Throws: `Failure` (bad data) if a required column is missing, or if several columns have
    ///   names of one column and none of them is chosen; (usage) if a chosen title is not that of a column.
    init(
        _ row: CSVText.Row, choosing chosen: [String] = [], path: String
    ) throws(Failure) {
        width = row.fields.count
        let names = row.fields.map(RunColumn.normalized)
        let known = Set(RunColumn.allCases.flatMap(\.names))
        for title in chosen
        where !names.indices.contains(where: {
            row.fields[$0] == title && known.contains(names[$0])
        }) {
            let titles = names.indices.filter { known.contains(names[$0]) }.map { row.fields[$0] }
            throw .option(
                "--column", title, "is not a column of \(path) that the analysis reads",
                remedy: "give the title of one, among \(titles.joined(separator: ", "))")
        }
        var entries: [RunColumn: Entry] = [:]
        for column in RunColumn.allCases {
            let all = names.indices.filter { column.names.contains(names[$0]) }
                .map { Entry(place: $0, title: row.fields[$0]) }
            let own = all.count == 1 ? all : Self.preferred(column, all, chosen)
            guard own.count <= 1, own.count == 1 || all.isEmpty else {
                throw Self.ambiguous(column, own.isEmpty ? all : own, path: path, line: row.line)
            }
            entries[column] = own.first
        }
        self.entries = entries
        trainingLoss = names.indices.first { names[$0] == "loss" && $0 != entries[.loss]?.place }
            .map { Entry(place: $0, title: row.fields[$0]) }
        unread = names.indices.filter { !known.contains(names[$0]) && !names[$0].isEmpty }
            .map { Entry(place: $0, title: row.fields[$0]) }
        for required in [[RunColumn.batch], [.rate], [.loss], [.step, .tokens]]
        where required.allSatisfy({ entries[$0] == nil }) {
            let names = required.flatMap(\.names)
            throw .file(
                .badData, path,
                "line \(row.line): the header has no column \(Format.alternatives(names))",
                remedy:
                    "add it, or rename the column that holds it, with commas, semicolons or tabs "
                    + "between columns")
        }
    }

    /// Returns the entries to read of several that could be one column: those that are chosen, or
    /// the validation loss next to a column "loss", which then holds the training loss.
    private static func preferred(
        _ column: RunColumn, _ entries: [Entry], _ chosen: [String]
    ) -> [Entry] {
        let named = entries.filter { chosen.contains($0.title) }
        guard column == .loss, named.isEmpty else { return named }
        let validation = entries.filter { RunColumn.normalized($0.title) != "loss" }
        return validation.count == 1 ? validation : []
    }

    /// Returns the failure of several columns of which only one can be read.
    private static func ambiguous(
        _ column: RunColumn, _ entries: [Entry], path: String, line: Int
    ) -> Failure {
        let titles = entries.map(\.title)
        guard Set(titles).count == titles.count else {
            return .file(
                .badData, path, "line \(line): has two columns \(titles[0])",
                remedy: "rename one of them")
        }
        return .file(
            .badData, path,
            "line \(line): \(Format.list(titles)) could each be the column \(column.names[0])",
            remedy: "choose one, as with --column \(titles[0]), or remove the others")
    }

    subscript(column: RunColumn) -> Entry? { entries[column] }

    /// A sentence about a column of losses whose name does not tell whether they are validation
    /// losses; nil if it does.
    var lossNote: String? {
        guard let loss = self[.loss], RunColumn.normalized(loss.title) == "loss" else { return nil }
        return
            "The column \(loss.title) is read as the validation loss. If it holds the training "
            + "loss, the verdicts are about the training loss; otherwise, name it validation_loss."
    }
}
