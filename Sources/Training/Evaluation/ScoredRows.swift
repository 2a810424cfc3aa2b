import Compute
import Data
import MPI
import Model
import Support

/// Rows of tokens, and the last targets of each row, whose losses are summed.
struct ScoredRows {
    /// A row: its first token, the number of its inputs, and the number of leading targets that are
    /// not counted. Its last target follows its last input.
    struct Row: BitwiseCopyable {
        let start: Int
        let inputs: Int
        let uncounted: Int
    }

    /// The tokens of all rows, which may overlap.
    private(set) var tokens: [Int32]
    private(set) var rows: [Row]

    /// The largest number of tokens in a micro-batch of several rows.
    private static let tokensPerBatch = 2048

    /// Creates rows over `tokens`.
    init(tokens: [Int32] = [], rows: [Row] = []) {
        self.tokens = tokens
        self.rows = rows
    }

    /// Creates the windows over a text.
    init(_ text: EvaluationText, _ windows: SlidingWindows) {
        tokens = text.tokens
        rows = (0..<windows.count).map { index in
            let window = windows.window(index)
            return Row(start: window.start, inputs: window.inputs, uncounted: window.predicted)
        }
    }

    /// Creates a row for each ending of each question, in order, with its context before it. The
    /// oldest tokens of a context that is too long are left out.
    ///
    /// - Parameter contextLength: the largest number of inputs in a row.
    /// - Throws: `Failure` (bad data) if an ending alone is too long.
    init(_ questions: [Question], path: String, contextLength: Int) throws(Failure) {
        self.init()
        for (number, question) in questions.enumerated() {
            for (place, ending) in question.endings.enumerated() {
                guard ending.tokens.count <= contextLength else {
                    throw .file(
                        .badData, "\(path), question \(number + 1)",
                        "has \(ending.tokens.count) tokens in ending \(place), more than the "
                            + "model's context of \(contextLength)",
                        remedy: "leave the question out, or use a model with a longer context")
                }
                let context = question.context.suffix(contextLength + 1 - ending.tokens.count)
                rows.append(
                    Row(
                        start: tokens.count, inputs: context.count + ending.tokens.count - 1,
                        uncounted: context.count - 1))
                tokens += (context + ending.tokens).map { Int32(bitPattern: $0) }
            }
        }
    }

    /// Returns the rows of the first rank on all ranks. Collective: every rank must call this.
    func fromFirstRank(_ communicator: Communicator) throws(Failure) -> ScoredRows {
        let counts = try communicator.broadcast([tokens.count, rows.count])
        var all = self
        if communicator.rank > 0 {
            all.tokens = Array(repeating: 0, count: counts[0])
            all.rows = Array(
                repeating: Row(start: 0, inputs: 0, uncounted: 0), count: counts[1])
        }
        all.tokens = try communicator.broadcast(all.tokens)
        all.rows = try communicator.broadcast(all.rows)
        return all
    }

    /// Returns the summed loss of each row in nats. Collective: every rank must call this with the
    /// same rows.
    ///
    /// The rows are cut into micro-batches of one shape, which the ranks share, so the layout does
    /// not change a bit.
    ///
    /// - Throws: `Failure` (bad data), the same on all ranks, if a loss is not a number.
    func losses(of model: EvaluatedModel, in job: Job) throws(Failure) -> [Double] {
        let length = rows.reduce(1) { max($0, $1.inputs) }
        let batch = max(1, min(rows.count, Self.tokensPerBatch / length))
        let shares = WorkShares(
            count: (rows.count + batch - 1) / batch, size: job.communicator.size)
        let pieces = shares.pieces(ofRank: job.communicator.rank)
        let line = job.progressLine(
            "evaluating", total: pieces.count, unit: .things("micro-batches", showsRate: false))
        defer { line.finish() }
        let gpt = GPT(
            model.configuration, sequenceLength: length, microBatch: batch, training: false,
            precision: model.parameters.precision, engine: job.makeEngine())
        var own = [Double](repeating: 0, count: shares.slots * batch)
        let inputs = Buffer<Int32>(count: batch * length)  // (B, T)
        let targets = Buffer<Int32>(count: batch * length)  // (B, T)
        for (place, piece) in pieces.enumerated() {
            let chunk = piece * batch..<min(rows.count, (piece + 1) * batch)
            fill(chunk, inputs, targets, length: length)
            let tokens = TokenBatch(inputs: inputs.base, targets: targets.base)
            gpt.forward(tokens, parameters: model.parameters, dropout: nil)
            _ = gpt.loss(tokens, parameters: model.parameters)
            for row in 0..<chunk.count {
                own[place * batch + row] =
                    gpt.targetLosses[row * length..<(row + 1) * length].reduce(0, +)
            }
            line.update(done: place + 1)
        }
        let all = job.communicator.size == 1 ? own : try job.communicator.allGather(own)
        let losses = rows.indices.map { row in
            let (piece, place) = (row / batch, row % batch)
            let slot = piece % shares.size * shares.slots + piece / shares.size
            return all[slot * batch + place]
        }
        // All ranks see the same losses, so this failure must be reported only once.
        if !losses.allSatisfy(\.isFinite) {
            try job.communicator.onFirstRank { () throws(Failure) -> Void in throw model.diverged }
        }
        return losses
    }

    /// Copies rows into a micro-batch; everything after a row has no targets.
    private func fill(
        _ chunk: Range<Int>, _ inputs: Buffer<Int32>, _ targets: Buffer<Int32>, length: Int
    ) {
        inputs.elements.update(repeating: 0)
        targets.elements.update(repeating: ignoredTarget)
        for (place, row) in rows[chunk].enumerated() {
            for t in 0..<row.inputs {
                inputs.base[place * length + t] = tokens[row.start + t]
                guard t >= row.uncounted else { continue }
                targets.base[place * length + t] = tokens[row.start + t + 1]
            }
        }
    }
}
