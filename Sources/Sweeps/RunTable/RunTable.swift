import Support
import Verdicts

/// The runs in a file of values with commas, semicolons or tabs between them. They are those of a
/// sweep or of another trainer.
///
/// A row is an evaluation of a run, and rows with the same model, rule, batch, rate and seed are one
/// run.
package struct RunTable: Sendable {
    package let path: String
    /// The models with their runs, both in the order of their first rows.
    let models: [(model: RunModel, points: [TrainedPoint])]
    /// Whether the steps of every evaluation are known. If not, the points have tokens in their
    /// place.
    let hasSteps: Bool
    /// Whether the tokens of every evaluation are known. If not, the points have steps in their
    /// place.
    let hasTokens: Bool
    /// The sentences about columns that may not hold what the analysis takes them for.
    let columnNotes: [String]

    /// Reads a file.
    ///
    /// - Parameters:
    ///   - contextLength: the tokens of a sequence, for a file that has only steps or only tokens.
    ///   - titles: the titles of columns to read where several could be meant.
    /// - Throws: `Failure` (missing input) if there is no such file; (bad data) that names the line
    ///   and the column of the first mistake; (usage) if an option has no effect.
    package init(
        reading path: String, contextLength: Int? = nil, choosing titles: [String] = []
    ) throws(Failure) {
        self.path = path
        let text = try CSVText(reading: path, score: RunColumn.count)
        guard let first = text.rows.first else {
            throw .file(
                .badData, path, "is empty", remedy: "give a file with a header and rows of runs")
        }
        let header = try RunHeader(first, choosing: titles, path: path)
        if let contextLength {
            try Self.check(contextLength, header, path: path)
        }
        let format = RunFormat(path: path, delimiter: text.delimiter)
        let rows = try text.rows.dropFirst().map { (line) throws(Failure) in
            try RunRow(line, header: header, contextLength: contextLength, format: format)
        }
        guard !rows.isEmpty else {
            throw .file(
                .badData, path, "has a header but no row of data",
                remedy: "add a row for each run, or for each evaluation of a run")
        }
        if let validation = header[.loss], let training = header.trainingLoss,
            rows.allSatisfy({ $0.loss == nil })
        {
            throw .file(
                .badData, path, "the column \(validation.title) has no losses",
                remedy:
                    "fill it in, or give --column \(training.title) to judge the losses of that column"
            )
        }
        try Self.checkModels(rows.map(\.model), header, path: path)
        guard rows.contains(where: { $0.rule == TrainedPoint.grid }) else {
            throw .file(
                .badData, path, "has no run of the rule grid",
                remedy: "add runs whose rates were chosen freely, with no rule or the rule grid")
        }
        try ChangingRates.refuse(rows, path: path)
        let evaluations = rows.filter { $0.loss != nil }
        hasSteps = evaluations.allSatisfy { $0.step != nil }
        hasTokens = evaluations.allSatisfy { $0.tokens != nil }
        if !hasSteps, !hasTokens, let row = evaluations.first(where: { $0.step == nil }) {
            throw .file(
                .badData, path, "line \(row.line): has no steps, and other rows have no tokens",
                remedy: "fill in one of the two in every row")
        }
        let runs = Self.runs(rows)
        let settings = UnreadSettings(header, rows)
        let curves = RunCurves(
            path: path, hasSteps: hasSteps, hasTokens: hasTokens,
            hasSeeds: header[.seed] != nil, settings: settings)
        var models: [(model: RunModel, points: [TrainedPoint])] = []
        for rows in runs {
            let (model, point) = (rows[0].model, try curves.point(rows))
            if let place = models.firstIndex(where: { $0.model == model }) {
                models[place].points.append(point)
            } else {
                models.append((model, [point]))
            }
        }
        let repeats = SeedRepeats(models.map(\.points))
        self.models =
            repeats.areCopies
            ? models.map { ($0.model, SeedRepeats.withoutCopies($0.points)) } : models
        columnNotes = [
            header.lossNote, settings.note(on: runs), repeats.areCopies ? SeedRepeats.note : nil,
        ].compactMap(\.self)
    }

    /// The runs of all models.
    package var points: [TrainedPoint] { models.flatMap(\.points) }

    /// Returns the rows of each run, in the order of the runs' first rows.
    private static func runs(_ rows: [RunRow]) -> [[RunRow]] {
        var places: [Key: Int] = [:]
        var runs: [[RunRow]] = []
        for row in rows {
            let place = places[Key(row)] ?? runs.count
            if place == runs.count { runs.append([]) }
            places[Key(row)] = place
            runs[place].append(row)
        }
        return runs
    }

    /// Checks that models are told apart by their parametrizations and numbers of parameters.
    private static func checkModels(
        _ models: [RunModel], _ header: RunHeader, path: String
    ) throws(Failure) {
        let all = Set(models)
        guard all.count > 1 else { return }
        guard header[.parameters] != nil else {
            throw .file(
                .badData, path, "has runs of several models, but no column parameters",
                remedy: "add it, with the number of parameters outside the embeddings and the head")
        }
        for one in models {
            let twin = all.first {
                $0 != one && $0.parametrization == one.parametrization
                    && $0.parameters == one.parameters
            }
            guard twin == nil else {
                throw .file(
                    .badData, path,
                    "has two models with \(Format.count(one.parameters ?? 0)) parameters and the "
                        + "same parametrization",
                    remedy: "keep the rows of one of them")
            }
        }
    }

    private static func check(
        _ contextLength: Int, _ header: RunHeader, path: String
    ) throws(Failure) {
        try requireOption(
            "--context-length", contextLength, in: 1...1_000_000_000,
            remedy: "give the tokens of a sequence")
        let isKnown =
            header[.contextLength] != nil || header[.step] != nil && header[.tokens] != nil
        guard !isKnown else {
            throw Failure.option(
                "--context-length", contextLength,
                "has no effect, because \(path) has steps and tokens, or a context length",
                remedy: "leave it out")
        }
    }
}

/// The values that the rows of a run have in common.
private struct Key: Hashable {
    let model: RunModel
    let rule: String
    let batch: Int
    /// The rate, or nil for a rule, which gives a batch one rate.
    let rate: Double?
    let seed: UInt64

    init(_ row: RunRow) {
        (model, rule, batch, seed) = (row.model, row.rule, row.batch, row.seed)
        rate = rule == TrainedPoint.grid ? row.learningRate : nil
    }
}

/// The reader of runs from their rows.
private struct RunCurves {
    let path: String
    let hasSteps: Bool
    let hasTokens: Bool
    let hasSeeds: Bool
    let settings: UnreadSettings

    /// Returns a run from its rows, which may be in any order.
    ///
    /// - Throws: `Failure` (bad data) if rows contradict one another.
    func point(_ rows: [RunRow]) throws(Failure) -> TrainedPoint {
        let first = rows[0]
        if let other = rows.first(where: { $0.learningRate != first.learningRate }) {
            throw contradiction(
                other, "gives the rate \(other.learningRate) to a run of \(first.rule)",
                with: first, "has \(first.learningRate)")
        }
        let sorted = rows.compactMap { row in
            (hasSteps ? row.step : row.tokens).map { (row: row, mark: $0) }
        }.sorted { ($0.mark, $0.row.line) < ($1.mark, $1.row.line) }
        for (earlier, later) in zip(sorted, sorted.dropFirst()) {
            guard later.mark > earlier.mark else {
                let unit = hasSteps ? "step" : "token"
                throw contradiction(
                    later.row, "evaluates a run after \(Format.counted(later.mark, unit))",
                    with: earlier.row, "does too")
            }
            guard !hasTokens || later.row.tokens ?? .max > earlier.row.tokens ?? 0 else {
                throw contradiction(
                    later.row, "has more steps of a run", with: earlier.row,
                    "has as many tokens")
            }
        }
        let isDiverged = rows.contains(where: \.isDiverged)
        // The only row of a run that diverged is its end, whatever loss it had there.
        let isEnd = isDiverged && rows.count == 1
        let curve = sorted.compactMap { row, mark in
            row.isStart || isEnd
                ? nil
                : row.loss.map {
                    CurvePoint(
                        step: mark, tokens: hasTokens ? row.tokens ?? mark : mark,
                        validationLoss: $0)
                }
        }
        return TrainedPoint(
            rule: first.rule, batch: first.batch, learningRate: first.learningRate,
            seed: first.seed, diverged: isDiverged,
            initialLoss: rows.first(where: \.isStart)?.loss ?? .infinity, curve: curve,
            secondsPerStep: rows.last { $0.secondsPerStep > 0 }?.secondsPerStep ?? 0,
            noiseScale: rows.last { $0.noiseScale != nil }?.noiseScale, allowsNearMarks: true)
    }

    private func contradiction(
        _ row: RunRow, _ problem: String, with other: RunRow, _ difference: String
    ) -> Failure {
        let setting = settings.difference(row, other)
        return .file(
            .badData, path,
            "line \(row.line): \(problem), but line \(other.line) \(difference)",
            remedy: (setting.map { "analyze the rows of each \($0) alone" } ?? "correct one of them")
                + (hasSeeds ? ", or give them different seeds" : ", or add a column seed"))
    }
}
