import Compute

extension GPT {
    /// Bytes of the engine's scratch memory once it has run this model, which is planned for
    /// training, forward and backward on all its threads.
    package func scratchBytes(parameters: Parameters) -> Int {
        guard let flow = activations.gradients else {
            preconditionFailure("a model planned for evaluation has no backward pass")
        }
        var demand = ScratchDemand()
        attention.note(in: &demand)
        noteForward(&demand, parameters)
        noteBackward(&demand, parameters, flow)
        head.note(
            activations.finalNorm.output, table: tokenTable(parameters),
            logitGradient: flow.logits, in: &demand)
        return demand.bytes(threads: engine.threadCount)
    }

    /// All blocks are alike, so the first stands for them.
    private func noteForward(_ demand: inout ScratchDemand, _ parameters: Parameters) {
        guard let a = activations.blocks.first, let p = layout.blocks.first else { return }
        let qkv = p.qkv
        demand.noteProduct(
            a.attentionNorm.output, parameters.operand(qkv.weight),
            hasEpilogue: qkv.bias != nil || precision != .fp32, engine: engine)
        for (input, projection) in [
            (a.attention, p.attentionProjection), (a.feedForwardNorm.output, p.up),
            (a.activated, p.down),
        ] {
            demand.noteProduct(
                input, parameters.operand(projection.weight), hasEpilogue: true, engine: engine)
        }
    }

    private func noteBackward(
        _ demand: inout ScratchDemand, _ parameters: Parameters, _ flow: Activations.Gradients
    ) {
        guard let a = activations.blocks.first, let p = layout.blocks.first else { return }
        let isRounded = precision != .fp32
        for (output, projection, input, hasEpilogue) in [
            (flow.rounded, p.down, a.activated, true),
            (flow.wide, p.up, a.feedForwardNorm.output, false),
            (flow.rounded, p.attentionProjection, a.attention, isRounded),
            (flow.qkv, p.qkv, a.attentionNorm.output, false),
        ] {
            demand.noteTransposedProduct(
                input, output, columnSums: projection.bias != nil, engine: engine)
            demand.noteProduct(
                output, parameters.operand(projection.weight), .transposed,
                hasEpilogue: hasEpilogue, engine: engine)
        }
    }
}
