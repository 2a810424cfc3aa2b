import Compute
import Recipes
import Support

/// LLaMA's block (Touvron et al. 2023): pre-RMSNorm, rotary positions, attention whose heads may
/// share keys and values (Ainslie et al. 2023), and a gated MLP with SiLU. It has no biases and no
/// dropout.
struct LlamaBlock: Block {
    typealias BlockNorm = RMSNorm
    typealias Generation = LlamaGeneration

    static var outerNames: OuterNames {
        OuterNames(
            tokenEmbedding: "model.embed_tokens.weight", positionEmbedding: nil,
            finalNorm: "model.norm", head: "lm_head.weight")
    }

    /// D channels of a head; H D = C; K heads of keys and values; F hidden channels. All weights
    /// are (outputs, inputs), as in Hugging Face's checkpoints.
    struct Layout: BlockLayout {
        let attentionNorm: RMSNorm.Layout
        /// The projections `q_proj` (H D, C), `k_proj` (K D, C) and `v_proj` (K D, C).
        let qkv: ProjectionGroup
        /// The projection `o_proj` (C, H D) of the heads' outputs.
        let attentionProjection: Projection
        let feedForwardNorm: RMSNorm.Layout
        /// The projections `gate_proj` (F, C) and `up_proj` (F, C) to the hidden layer.
        let gateUp: ProjectionGroup
        /// The projection `down_proj` (C, F) from the hidden layer.
        let down: Projection

        init(_ configuration: GPTConfiguration, layer: Int, in arena: inout ArenaLayout) {
            let (c, f) = (configuration.width, configuration.mlpWidth)
            let shared = configuration.kvHeadCount * configuration.headWidth
            let (layer, attention) = ("model.layers.\(layer)", "model.layers.\(layer).self_attn")
            attentionNorm = .init("\(layer).input_layernorm", configuration, in: &arena)
            qkv = ProjectionGroup(
                [
                    ("\(attention).q_proj", c), ("\(attention).k_proj", shared),
                    ("\(attention).v_proj", shared),
                ], inputs: c, in: &arena)
            attentionProjection = Projection(
                "\(attention).o_proj", inputs: c, outputs: c, hasBias: false,
                storage: .transposed, in: &arena)
            feedForwardNorm = .init("\(layer).post_attention_layernorm", configuration, in: &arena)
            gateUp = ProjectionGroup(
                [("\(layer).mlp.gate_proj", f), ("\(layer).mlp.up_proj", f)], inputs: c,
                in: &arena)
            down = Projection(
                "\(layer).mlp.down_proj", inputs: f, outputs: c, hasBias: false,
                storage: .transposed, in: &arena)
        }

        /// The projection to the gates.
        var gate: Projection { gateUp.members[0] }
        /// The projection to the values that the gates multiply.
        var up: Projection { gateUp.members[1] }

        var places: BlockPlaces {
            let middle = feedForwardNorm.range.lowerBound
            return BlockPlaces(
                parts: [
                    (.attention, attentionNorm.range.lowerBound..<middle),
                    (.feedForward, middle..<down.range.upperBound),
                ],
                residualProjections: [attentionProjection, down], storage: .transposed)
        }
    }

    struct Activations: Planned {
        let attentionNorm: RMSNorm.Activations
        let qkv: Operand  // (N, (H + 2K) D), turned by the positions
        let attention: Operand  // (N, C)
        let logSumExp: Vector  // (B H T)
        let middle: Matrix  // (N, C), the residual stream after attention
        let feedForwardNorm: RMSNorm.Activations
        let gated: GatedValues  // (N, F) and (N, 2F)

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            let configuration = plan.configuration
            let (n, c, f) = (plan.rows, configuration.width, configuration.mlpWidth)
            attentionNorm = .init(plan, in: &memory)
            qkv = memory.operand(n, configuration.qkvWidth, plan.precision)
            attention = memory.operand(n, c, plan.precision)
            logSumExp = memory.vector(n * configuration.heads)
            middle = memory.matrix(n, c)
            feedForwardNorm = .init(plan, in: &memory)
            gated = GatedValues(
                activated: memory.operand(n, f, plan.precision),
                factors: memory.operand(n, 2 * f, plan.precision))
        }
    }

    struct Temporaries: Planned {
        let gradients: Gradients?

        struct Gradients {
            let attention: Operand  // (N, C)
            let qkv: Operand  // (N, (H + 2K) D)
        }

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            guard plan.isTraining else {
                gradients = nil
                return
            }
            gradients = Gradients(
                attention: memory.operand(plan.rows, plan.configuration.width, plan.precision),
                qkv: memory.operand(plan.rows, plan.configuration.qkvWidth, plan.precision))
        }
    }

    private let plan: ModelPlan
    private let norm: RMSNorm
    private let temporaries: Temporaries
    private let attention: Attention
    private let rotary: RotaryEmbedding
    private var engine: ComputeEngine { plan.engine }

    init(_ plan: ModelPlan, norm: RMSNorm, temporaries: Temporaries) {
        self.plan = plan
        self.norm = norm
        self.temporaries = temporaries
        attention = Attention(
            batch: plan.microBatch, length: plan.sequenceLength,
            heads: plan.configuration.heads, kvHeads: plan.configuration.kvHeadCount,
            headWidth: plan.configuration.headWidth, precision: plan.precision,
            engine: plan.engine)
        rotary = RotaryEmbedding(
            length: plan.sequenceLength, frequencies: plan.configuration.rotaryFrequencies,
            engine: plan.engine)
    }

    var bytes: Int { rotary.bytes }

    // MARK: - Forward

    func forward(
        _ layer: Layer<LlamaBlock>, _ pass: Pass, input: Matrix, output: Matrix?,
        betweenTiles: () -> Void, finished: (BlockPart) -> Void
    ) {
        let (a, p, parameters) = (layer.activations, layer.layout, pass.parameters)
        norm.forward(input, p.attentionNorm, into: a.attentionNorm, parameters: parameters)
        p.qkv.forward(
            a.attentionNorm.output, parameters, into: a.qkv, engine: engine,
            betweenTiles: betweenTiles)
        rotary.turn(
            a.qkv, columns: plan.configuration.rotaryWidth, positions: pass.batch.positions,
            .forward)
        attention.forward(
            a.qkv, positions: pass.batch.positions, into: a.attention, logSumExp: a.logSumExp,
            dropout: nil)
        p.attentionProjection.linear(parameters).forward(
            a.attention, addedTo: input, into: a.middle, engine: engine,
            betweenTiles: betweenTiles)
        finished(.attention)

        norm.forward(a.middle, p.feedForwardNorm, into: a.feedForwardNorm, parameters: parameters)
        p.up.linear(parameters).forward(
            a.feedForwardNorm.output, into: a.gated.ungated, engine: engine,
            betweenTiles: betweenTiles)
        p.gate.linear(parameters).forward(
            a.feedForwardNorm.output, gating: a.gated, engine: engine, betweenTiles: betweenTiles)
        // Backward does not read the result of the last product.
        guard let output else { return }
        p.down.linear(parameters).forward(
            a.gated.activated, addedTo: a.middle, into: output, engine: engine,
            betweenTiles: betweenTiles)
        finished(.feedForward)
    }

    // MARK: - Backward

    func backward(
        _ layer: Layer<LlamaBlock>, _ pass: Pass, into gradients: GradientArena, input: Matrix,
        flow: ResidualGradient, betweenTiles: () -> Void, finished: (Range<Int>) -> Void
    ) {
        guard let own = temporaries.gradients else {
            preconditionFailure("a model for evaluation has no backward pass")
        }
        let (a, p, parameters) = (layer.activations, layer.layout, pass.parameters)

        p.down.backwardWeight(
            flow.rounded, input: a.gated.activated, pass, into: gradients, engine: engine,
            betweenTiles: betweenTiles)
        finished(p.down.range)
        p.down.linear(parameters).backwardInput(
            flow.rounded, throughGateOf: a.gated, engine: engine, betweenTiles: betweenTiles)
        p.gateUp.backwardWeight(
            a.gated.factors, input: a.feedForwardNorm.output, pass, into: gradients,
            engine: engine, betweenTiles: betweenTiles)
        finished(p.gateUp.range)
        p.gateUp.backwardInput(
            a.gated.factors, parameters, into: flow.branch, engine: engine,
            betweenTiles: betweenTiles)
        norm.backward(
            a.feedForwardNorm, p.feedForwardNorm, pass, into: gradients, input: a.middle,
            flow: flow)
        finished(p.feedForwardNorm.range)

        p.attentionProjection.backwardWeight(
            flow.rounded, input: a.attention, pass, into: gradients, engine: engine,
            betweenTiles: betweenTiles)
        finished(p.attentionProjection.range)
        p.attentionProjection.linear(parameters).backwardInput(
            flow.rounded, into: own.attention, engine: engine, betweenTiles: betweenTiles)
        attention.backward(
            own.attention, qkv: a.qkv, positions: pass.batch.positions, output: a.attention,
            logSumExp: a.logSumExp, into: own.qkv, dropout: nil)
        rotary.turn(
            own.qkv, columns: plan.configuration.rotaryWidth, positions: pass.batch.positions,
            .backward)
        p.qkv.backwardWeight(
            own.qkv, input: a.attentionNorm.output, pass, into: gradients, engine: engine,
            betweenTiles: betweenTiles)
        finished(p.qkv.range)
        p.qkv.backwardInput(
            own.qkv, parameters, into: flow.branch, engine: engine, betweenTiles: betweenTiles)
        norm.backward(
            a.attentionNorm, p.attentionNorm, pass, into: gradients, input: input, flow: flow)
        finished(p.attentionNorm.range)
    }
}

extension GPTConfiguration {
    /// The columns of queries and keys, which rotary positions turn ((H + K) D).
    var rotaryWidth: Int { (heads + kvHeadCount) * headWidth }
    /// The columns of queries, keys and values ((H + 2K) D).
    var qkvWidth: Int { (heads + 2 * kvHeadCount) * headWidth }
}
