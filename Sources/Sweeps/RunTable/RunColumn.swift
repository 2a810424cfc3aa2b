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
        case .step: ["step", "steps", "iter", "iteration", "iterations", "global_step"]
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
    private let entries: [RunColumn: Entry]

    /// Reads the header from the first row of a table.
    ///
    /// - Throws: `Failure` (bad data) if a required column is missing or a name is repeated.
    init(_ row: CSVText.Row, path: String) throws(Failure) {
        width = row.fields.count
        let names = row.fields.map(Self.normalized)
        var entries: [RunColumn: Entry] = [:]
        for column in RunColumn.allCases {
            guard let name = column.names.first(where: names.contains),
                let place = names.firstIndex(of: name)
            else { continue }
            guard names.lastIndex(of: name) == place else {
                throw .file(
                    .badData, path, "line \(row.line): has two columns \(name)",
                    remedy: "rename one of them")
            }
            entries[column] = Entry(place: place, title: row.fields[place])
        }
        self.entries = entries
        for required in [[RunColumn.batch], [.rate], [.loss], [.step, .tokens]]
        where required.allSatisfy({ entries[$0] == nil }) {
            let names = required.flatMap { $0.names.prefix(3) }
            throw .file(
                .badData, path,
                "line \(row.line): the header has no column \(Self.alternatives(names))",
                remedy: "add it, or rename the column that holds it, with commas between columns")
        }
    }

    subscript(column: RunColumn) -> Entry? { entries[column] }

    /// Returns a title in lower case, with underscores in place of spaces and hyphens.
    private static func normalized(_ title: String) -> String {
        title.lowercased().replacing(" ", with: "_").replacing("-", with: "_")
    }

    private static func alternatives(_ names: [String]) -> String {
        guard let last = names.last, names.count > 1 else { return names.first ?? "" }
        return names.dropLast().joined(separator: ", ") + " or " + last
    }
}
