import Compute
import Recipes

/// The embedding: each token's row of a table plus, if positions are learned, each position's row.
struct Embedding {
    let tokens: NamedTensor  // (V, C), padded
    let positions: NamedTensor?  // (T, C)
    /// The range of the tables in the arena, gaps included.
    let range: Range<Int>

    /// Places the tables after the tensors in `arena`.
    init(_ configuration: GPTConfiguration, _ names: OuterNames, in arena: inout ArenaLayout) {
        let start = arena.count
        tokens = arena.appendTable(names.tokenEmbedding, configuration)
        positions = names.positionEmbedding.map {
            arena.append($0, shape: [configuration.contextLength, configuration.width])
        }
        range = start..<arena.count
    }

    /// Computes `output` (N, C), the micro-batch's rows of the tables, and applies dropout.
    func forward(_ pass: Pass, into output: Matrix, _ plan: ModelPlan) {
        let values = pass.parameters.values
        embeddingForward(
            pass.batch.inputs, positions: pass.batch.positions,
            sequenceLength: plan.sequenceLength, tokenTable: values.matrix(tokens),
            positionTable: positions.map { values.matrix($0) }, into: output, engine: plan.engine)
        pass.drop(output, into: output.operand, at: .embedding, plan)
    }

    /// Computes the tables' gradients from that of the output (N, C), to which it applies dropout.
    ///
    /// A head that is tied to the token table has already written its share.
    func backward(
        _ gradient: Matrix, _ pass: Pass, into gradients: GradientArena, isTied: Bool,
        _ plan: ModelPlan
    ) {
        pass.drop(gradient, into: gradient.operand, at: .embedding, plan)
        let rows = plan.configuration.paddedVocabularySize
        embeddingBackward(
            gradient, tokens: pass.batch.inputs, positions: pass.batch.positions,
            sequenceLength: plan.sequenceLength,
            tokenGradient: gradients.values.matrix(tokens, rows: rows),
            accumulatesTokens: isTied || gradients.accumulates,
            positionGradient: positions.map { gradients.values.matrix($0) },
            accumulatesPositions: gradients.accumulates, engine: plan.engine)
    }

    /// Computes `output` (1, C), the rows of the tables for one token.
    func forward(
        _ token: Int, position: Int, parameters: Buffer<Float>, into output: Matrix,
        engine: ComputeEngine
    ) {
        let row = parameters.matrix(tokens).rows(token..<token + 1)
        guard let positions else {
            return output.base.update(from: row.base, count: row.columns)
        }
        let place = parameters.matrix(positions).rows(position..<position + 1)
        add(row, place, into: output, engine: engine)
    }
}
