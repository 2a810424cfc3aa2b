import Compute

/// The place of a linear layer's weight (inputs, outputs) and bias (outputs).
struct Projection: Sendable {
    /// The weight (inputs, outputs), or (outputs, inputs) if it is stored transposed.
    let weight: NamedTensor
    let bias: NamedTensor?
    let storage: Storage
    /// The range of both tensors in the arena, gaps included.
    let range: Range<Int>

    /// Places the layer after the tensors in `arena`.
    init(
        _ name: String, inputs: Int, outputs: Int, hasBias: Bool, storage: Storage = .direct,
        in arena: inout ArenaLayout
    ) {
        let start = arena.count
        let shape = storage == .direct ? [inputs, outputs] : [outputs, inputs]
        weight = arena.append("\(name).weight", shape: shape)
        bias = hasBias ? arena.append("\(name).bias", shape: [outputs]) : nil
        self.storage = storage
        range = start..<arena.count
    }

    /// Views transposed weights that follow each other without a gap as one.
    fileprivate init(joining first: Projection, _ second: Projection) {
        let rows = first.weight.shape[0] + second.weight.shape[0]
        weight = NamedTensor(
            name: first.weight.name, shape: [rows, first.weight.shape[1]],
            offset: first.weight.offset)
        bias = nil
        storage = .transposed
        range = first.range.lowerBound..<second.range.upperBound
    }

    /// Returns the layer with its parameters.
    func linear(_ parameters: Parameters) -> Linear {
        Linear(
            weight: parameters.operand(weight), bias: bias.map(parameters.values.vector),
            storage: storage)
    }

    /// Computes the gradients of the weight and the bias from the layer's input (N, inputs) and the
    /// gradient of its output (N, outputs).
    func backwardWeight(
        _ outputGradient: Operand, input: Operand, _ pass: Pass, into gradients: GradientArena,
        engine: ComputeEngine, betweenTiles: () -> Void
    ) {
        linear(pass.parameters).backwardWeight(
            outputGradient, input: input, into: gradients.values.matrix(weight),
            biasGradient: bias.map(gradients.values.vector), accumulates: gradients.accumulates,
            engine: engine, betweenTiles: betweenTiles)
    }
}

/// The places of linear layers that read the same input and whose outputs lie side by side.
///
/// Their weights are stored transposed, (outputs, inputs), so those that follow each other in the
/// arena without a gap are multiplied as one. There are gaps only if the number of a weight's
/// elements is not a multiple of the arena's alignment.
struct ProjectionGroup: Sendable {
    let members: [Projection]
    /// The members, joined where they are contiguous, each with its columns of the outputs.
    private let runs: [(projection: Projection, columns: Range<Int>)]
    /// The range of all weights in the arena, gaps included.
    let range: Range<Int>

    /// Places the layers after the tensors in `arena`.
    init(
        _ layers: [(name: String, outputs: Int)], inputs: Int, in arena: inout ArenaLayout
    ) {
        let start = arena.count
        var members: [Projection] = []
        var runs: [(projection: Projection, columns: Range<Int>)] = []
        var column = 0
        for (name, outputs) in layers {
            let member = Projection(
                name, inputs: inputs, outputs: outputs, hasBias: false, storage: .transposed,
                in: &arena)
            members.append(member)
            let columns = column..<column + outputs
            column = columns.upperBound
            if let last = runs.last,
                last.projection.weight.range.upperBound == member.weight.offset
            {
                runs[runs.count - 1] = (
                    Projection(joining: last.projection, member),
                    last.columns.lowerBound..<column
                )
            } else {
                runs.append((member, columns))
            }
        }
        self.members = members
        self.runs = runs
        range = start..<arena.count
    }

    /// Computes `output` (N, all outputs) from the `input` (N, inputs).
    func forward(
        _ input: Operand, _ parameters: Parameters, into output: Operand, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        for (projection, columns) in runs {
            projection.linear(parameters).forward(
                input, into: output.columns(columns), engine: engine, betweenTiles: betweenTiles)
        }
    }

    /// Computes the weights' gradients from the `input` (N, inputs) and the gradient of the output
    /// (N, all outputs).
    func backwardWeight(
        _ outputGradient: Operand, input: Operand, _ pass: Pass, into gradients: GradientArena,
        engine: ComputeEngine, betweenTiles: () -> Void
    ) {
        for (projection, columns) in runs {
            projection.backwardWeight(
                outputGradient.columns(columns), input: input, pass, into: gradients,
                engine: engine, betweenTiles: betweenTiles)
        }
    }

    /// Computes `inputGradient` (N, inputs) from the gradient of the output (N, all outputs).
    func backwardInput(
        _ outputGradient: Operand, _ parameters: Parameters, into inputGradient: Matrix,
        engine: ComputeEngine, betweenTiles: () -> Void
    ) {
        for (index, (projection, columns)) in runs.enumerated() {
            engine.multiply(
                outputGradient.columns(columns), parameters.operand(projection.weight),
                into: inputGradient, accumulates: index > 0, betweenTiles: betweenTiles)
        }
    }
}
