import Compute

/// The place of a linear layer's weight (inputs, outputs) and bias (outputs).
struct Projection: Sendable {
    let weight: NamedTensor
    let bias: NamedTensor?
    /// The range of both tensors in the arena, gaps included.
    let range: Range<Int>

    /// Places the layer after the tensors in `arena`.
    init(
        _ name: String, inputs: Int, outputs: Int, hasBias: Bool, in arena: inout ArenaLayout
    ) {
        let start = arena.count
        weight = arena.append("\(name).weight", shape: [inputs, outputs])
        bias = hasBias ? arena.append("\(name).bias", shape: [outputs]) : nil
        range = start..<arena.count
    }

    /// Returns the layer with its parameters.
    func linear(_ parameters: Parameters) -> Linear {
        Linear(
            weight: parameters.operand(weight), bias: bias.map(parameters.values.vector))
    }
}
