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

    /// The names that a header may give the column. The first one in the header counts.
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
    private let entries: [RunColumn: Entry]

    /// Reads the header from the first row of a table.
    ///
    /// - Throws: `Failure` (bad data) if a required column is missing or a name is repeated.
    init(_ row: CSVText.Row, path: String) throws(Failure) {
        width = row.fields.count
        let names = row.fields.map(RunColumn.normalized)
        var entries: [RunColumn: Entry] = [:]
        for column in RunColumn.allCases {
            guard let name = column.names.first(where: names.contains),
                let place = names.firstIndex(of: name)
            else { continue }
            if let other = names.lastIndex(of: name), other != place {
                let titles = [row.fields[place], row.fields[other]]
                let isPrefixed = titles[0].lowercased() != titles[1].lowercased()
                throw .file(
                    .badData, path,
                    "line \(row.line): has two columns \(name)"
                        + (isPrefixed ? ", \(titles[0]) and \(titles[1])" : ""),
                    remedy: "rename one of them")
            }
            entries[column] = Entry(place: place, title: row.fields[place])
        }
        self.entries = entries
        let known = Set(RunColumn.allCases.flatMap(\.names))
        unread = names.indices.filter { !known.contains(names[$0]) && !names[$0].isEmpty }
            .map { Entry(place: $0, title: row.fields[$0]) }
        for required in [[RunColumn.batch], [.rate], [.loss], [.step, .tokens]]
        where required.allSatisfy({ entries[$0] == nil }) {
            let names = required.flatMap { $0.names.prefix(3) }
            throw .file(
                .badData, path,
                "line \(row.line): the header has no column \(Format.alternatives(names))",
                remedy:
                    "add it, or rename the column that holds it, with commas, semicolons or tabs "
                    + "between columns")
        }
    }

    subscript(column: RunColumn) -> Entry? { entries[column] }

    /// A sentence about a column of losses whose name does not tell whether they are validation
    /// losses; nil if it does.
    var lossNote: String? {
        guard let loss = self[.loss], RunColumn.normalized(loss.title) == "loss" else { return nil }
        return
            "The column \(loss.title) is taken for the validation loss. If it holds the training "
            + "loss, the verdicts are about the training loss; otherwise, name it validation_loss."
    }
}
