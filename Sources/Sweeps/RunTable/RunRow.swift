import Support
import Verdicts

/// The model of a run, as far as the file describes it.
struct RunModel: Hashable {
    let parametrization: String
    let width: Int?
    let layers: Int?
    /// The parameters outside the embeddings and the head.
    let parameters: Int?
}

/// A row of a table of runs.
struct RunRow {
    let line: Int
    let model: RunModel
    let rule: String
    let batch: Int
    let learningRate: Double
    let seed: UInt64
    let isDiverged: Bool
    /// The optimizer steps taken, or nil if the file lacks them.
    let step: Int?
    /// The tokens trained on, or nil if the file lacks them.
    let tokens: Int?
    /// The validation loss, or nil if it is not a finite number.
    let loss: Double?
    let secondsPerStep: Double
    let noiseScale: Double?
    /// The fields of the header's unread columns.
    let unread: [String]

    /// Reads a row.
    ///
    /// - Parameter contextLength: the context length of all rows, or nil for that of their column.
    /// - Throws: `Failure` (bad data) that names the line and the column of the first bad field.
    init(
        _ row: CSVText.Row, header: RunHeader, contextLength: Int?, format: RunFormat
    ) throws(Failure) {
        let fields = RunFields(row: row, header: header, format: format)
        let path = format.path
        line = row.line
        guard row.fields.count == header.width else {
            throw .file(
                .badData, path,
                "line \(line): has \(Format.counted(row.fields.count, "field")), but the header has "
                    + "\(Format.count(header.width))", remedy: "give every row one field per column"
            )
        }
        model = try fields.model()
        unread = header.unread.map { row.fields[$0.place] }
        let rule = fields.rule()
        self.rule = rule.isEmpty ? TrainedPoint.grid : rule
        guard let batch = try fields.count(.batch) else { throw fields.missing(.batch) }
        self.batch = batch
        learningRate = try fields.rate()
        seed = try fields.seed()
        loss = try fields.loss()
        isDiverged = try fields.flag(.diverged) || loss == nil
        secondsPerStep = try fields.seconds()
        noiseScale = try fields.noiseScale()
        (step, tokens) = try fields.marks(batch: batch, contextLength: contextLength)
        if loss != nil, step == nil, tokens == nil {
            throw fields.missing(header[.step] == nil ? .tokens : .step)
        }
    }

    /// Whether the loss is that before the first step.
    var isStart: Bool { step ?? tokens == 0 }
}

/// The format of the numbers in a file.
struct RunFormat {
    let path: String
    let delimiter: CSVText.Delimiter

    /// Returns a number with a decimal point. Only with semicolons between columns, a comma may be
    /// a decimal comma.
    fileprivate func decimal(_ text: String) -> String {
        guard delimiter == .semicolon, !text.contains("."), text.count(where: { $0 == "," }) == 1
        else { return text }
        return text.replacing(",", with: ".")
    }

    /// Returns a whole number that is written with commas before groups of three digits, or nil if
    /// it is not. With commas between columns, such a field has quotes, and no count has decimals.
    fileprivate func thousands(_ text: String) -> Int? {
        guard delimiter == .comma, text.contains(","),
            text.wholeMatch(of: /[1-9][0-9]{0,2}(,[0-9]{3})+/) != nil
        else { return nil }
        return Int(text.replacing(",", with: ""))
    }
}

/// The fields of a row by column.
private struct RunFields {
    let row: CSVText.Row
    let header: RunHeader
    let format: RunFormat

    /// The spellings of a missing value, in lower case.
    private static let missingValues: Set<String> = ["null", "na", "n/a", "none", "-"]
    /// The largest batch or number of steps; the product of two such numbers does not overflow.
    private static let largestCount = 1_000_000_000
    private static let largestTokens = 1_000_000_000_000_000
    /// The bounds of rates and losses, far beyond all sensible ones, within which the squares of
    /// their logarithms and differences do not overflow.
    private static let rates = 1e-30...1e30
    private static let largestLoss = 1e9

    /// Returns a field as it is in the file; empty without such a column.
    private func field(_ column: RunColumn) -> String {
        header[column].map { row.fields[$0.place] } ?? ""
    }

    /// Returns a field; empty if its value is missing.
    func text(_ column: RunColumn) -> String {
        let text = field(column)
        return Self.missingValues.contains(text.lowercased()) ? "" : text
    }

    /// Returns the rule. One of them is named "none".
    func rule() -> String {
        let none = CommonRule.unchanged.rawValue
        return field(.rule) == none ? none : text(.rule)
    }

    func missing(_ column: RunColumn) -> Failure {
        bad(column, "is empty", remedy: "fill it in, or remove the row")
    }

    /// Returns a failure about a field: `PATH: line 3: TITLE = VALUE: PROBLEM; REMEDY.`
    func bad(_ column: RunColumn, _ problem: String, remedy: String) -> Failure {
        let value = text(column)
        let shown = value.isEmpty ? "" : " = \(jsonQuoted(String(value.prefix(40))))"
        return .file(
            .badData, format.path,
            "line \(row.line): \(header[column]?.title ?? column.names[0])\(shown): \(problem)",
            remedy: remedy)
    }

    private func number(_ column: RunColumn) throws(Failure) -> Double? {
        let text = format.decimal(text(column))
        guard !text.isEmpty else { return nil }
        // Swift also reads hexadecimal numbers.
        guard !text.contains(where: { "xX".contains($0) }), let number = Double(text) else {
            throw notANumber(column, text)
        }
        return number
    }

    private func notANumber(_ column: RunColumn, _ text: String) -> Failure {
        if text.wholeMatch(of: /[0-9.]+ ?[kKmMgGbBtT]/) != nil {
            return bad(
                column, "has a suffix, which may stand for a power of 1000 or of 1024",
                remedy: "write the number in full")
        }
        if text.contains(",") {
            return bad(
                column, "is not a number, because it has a comma",
                remedy: "write a decimal point, and no separators of thousands")
        }
        return bad(
            column, "is not a number",
            remedy: column == .loss
                ? "write one such as 3.25, or nan if the run diverged"
                : "write one such as 8 or 3e-4")
    }

    /// Returns a whole number, or nil if the field is empty.
    func count(
        _ column: RunColumn, from least: Int = 1, to most: Int = Self.largestCount
    ) throws(Failure) -> Int? {
        let grouped = format.thousands(text(column)).map(Double.init)
        guard let number = grouped == nil ? try number(column) : grouped else { return nil }
        guard let count = Int(exactly: number), (least...most).contains(count) else {
            throw bad(
                column, "must be a whole number from \(least) to \(most)",
                remedy: "correct it, or remove the row")
        }
        return count
    }

    /// Returns the model. Its number of parameters is required if the file has that column.
    func model() throws(Failure) -> RunModel {
        if header[.parameters] != nil, text(.parameters).isEmpty { throw missing(.parameters) }
        return RunModel(
            parametrization: text(.parametrization), width: try count(.width),
            layers: try count(.layers),
            parameters: try count(.parameters, to: Self.largestTokens))
    }

    func rate() throws(Failure) -> Double {
        guard let rate = try number(.rate) else { throw missing(.rate) }
        guard Self.rates.contains(rate) else {
            throw bad(
                .rate, "must be a number from 1e-30 to 1e30",
                remedy: "correct it, or remove the row")
        }
        return rate
    }

    func seed() throws(Failure) -> UInt64 {
        let text = format.decimal(text(.seed))
        guard !text.isEmpty else { return 0 }
        guard let seed = UInt64(text) ?? Double(text).flatMap(UInt64.init(exactly:)) else {
            throw bad(.seed, "must be a whole number, 0 or more", remedy: "number the seeds")
        }
        return seed
    }

    /// Returns the loss, or nil if it is missing, NaN or infinite.
    func loss() throws(Failure) -> Double? {
        guard let loss = try number(.loss), loss.isFinite else { return nil }
        guard loss >= 0 else {
            throw bad(
                .loss, "is negative, but a cross-entropy in nats is 0 or more",
                remedy: "correct it, or remove the row")
        }
        guard loss <= Self.largestLoss else {
            throw bad(
                .loss, "must be from 0 to 1e9 nats", remedy: "write nan if the run diverged")
        }
        return loss
    }

    func seconds() throws(Failure) -> Double {
        let seconds = try number(.secondsPerStep) ?? 0
        guard (0...1e9).contains(seconds) else {
            throw bad(
                .secondsPerStep, "must be from 0 to 1e9", remedy: "correct it, or leave it empty")
        }
        return seconds
    }

    /// Returns the noise scale in sequences, or nil if it is empty or not a positive number.
    func noiseScale() throws(Failure) -> Double? {
        try number(.noiseScale).flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
    }

    func flag(_ column: RunColumn) throws(Failure) -> Bool {
        switch text(column).lowercased() {
        case "true", "1": return true
        case "false", "0", "": return false
        default: throw bad(column, "must be true or false", remedy: "write one of them, or 1 or 0")
        }
    }

    /// Returns the steps and the tokens. If one is not in the file, it follows from the other and
    /// the context length.
    func marks(batch: Int, contextLength: Int?) throws(Failure) -> (step: Int?, tokens: Int?) {
        let step = try count(.step, from: 0)
        let tokens = try count(.tokens, from: 0, to: Self.largestTokens)
        let ownContext = try count(.contextLength)
        guard let context = contextLength ?? ownContext, (step == nil) != (tokens == nil)
        else { return (step, tokens) }
        // Two numbers of at most 1e9 do not overflow.
        let perStep = batch * context
        if let step {
            let (product, isTooMany) = step.multipliedReportingOverflow(by: perStep)
            guard !isTooMany, product <= Self.largestTokens else {
                throw bad(
                    .step,
                    "would be more than 1e15 tokens at batch \(batch) and context length "
                        + "\(context)", remedy: "correct them")
            }
            return (step, product)
        }
        let (quotient, rest) = (tokens ?? 0).quotientAndRemainder(dividingBy: perStep)
        guard rest == 0 else {
            throw bad(
                .tokens,
                "is not a multiple of \(perStep), the tokens in a step of batch \(batch) and context "
                    + "length \(context)", remedy: "correct one of them")
        }
        return (quotient, tokens)
    }
}
