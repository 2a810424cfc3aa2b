import Compute
import Recipes

/// GPT-2's block (Radford et al. 2019): pre-LayerNorm, fused QKV, and an MLP with tanh GELU.
struct GPT2Block: Block {
    typealias BlockNorm = LayerNorm
    typealias Generation = GPT2Generation

    var bytes: Int { 0 }

    static var outerNames: OuterNames {
        OuterNames(
            tokenEmbedding: "wte.weight", positionEmbedding: "wpe.weight", finalNorm: "ln_f",
            head: "lm_head.weight")
    }

    struct Layout: BlockLayout {
        let attentionNorm: LayerNorm.Layout
        /// The projection `c_attn` (C, 3C) to queries, keys and values.
        let qkv: Projection
        /// The projection `attn.c_proj` (C, C) of the heads' outputs.
        let attentionProjection: Projection
        let feedForwardNorm: LayerNorm.Layout
        /// The projection `c_fc` (C, 4C) to the hidden layer.
        let up: Projection
        /// The projection `mlp.c_proj` (4C, C) from the hidden layer.
        let down: Projection

        init(_ configuration: GPTConfiguration, layer: Int, in arena: inout ArenaLayout) {
            let (c, hasBias) = (configuration.width, configuration.bias)
            attentionNorm = .init("h.\(layer).ln_1", configuration, in: &arena)
            qkv = Projection(
                "h.\(layer).attn.c_attn", inputs: c, outputs: 3 * c, hasBias: hasBias, in: &arena)
            attentionProjection = Projection(
                "h.\(layer).attn.c_proj", inputs: c, outputs: c, hasBias: hasBias, in: &arena)
            feedForwardNorm = .init("h.\(layer).ln_2", configuration, in: &arena)
            up = Projection(
                "h.\(layer).mlp.c_fc", inputs: c, outputs: 4 * c, hasBias: hasBias, in: &arena)
            down = Projection(
                "h.\(layer).mlp.c_proj", inputs: 4 * c, outputs: c, hasBias: hasBias, in: &arena)
        }

        var places: BlockPlaces {
            let middle = feedForwardNorm.range.lowerBound
            return BlockPlaces(
                parts: [
                    (.attention, attentionNorm.range.lowerBound..<middle),
                    (.feedForward, middle..<down.range.upperBound),
                ],
                residualProjections: [attentionProjection, down],
                joinedProjections: [(qkv, 3)], storage: .direct)
        }
    }

    struct Activations: Planned {
        let attentionNorm: LayerNorm.Activations
        let qkv: Operand  // (N, 3C)
        let attention: Operand  // (N, C)
        let logSumExp: Vector  // (B H T)
        let middle: Matrix  // (N, C), the residual stream after attention
        let feedForwardNorm: LayerNorm.Activations
        let slope: Operand  // (N, 4C), GELU's derivative
        let activated: Operand  // (N, 4C), the output of GELU

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            let (n, c) = (plan.rows, plan.configuration.width)
            attentionNorm = .init(plan, in: &memory)
            qkv = memory.operand(n, 3 * c, plan.precision)
            attention = memory.operand(n, c, plan.precision)
            logSumExp = memory.vector(n * plan.configuration.heads)
            middle = memory.matrix(n, c)
            feedForwardNorm = .init(plan, in: &memory)
            slope = memory.operand(n, 4 * c, plan.precision)
            activated = memory.operand(n, 4 * c, plan.precision)
        }
    }

    struct Temporaries: Planned {
        let branch: Matrix  // (N, C), a residual branch before it is added
        let gradients: Gradients?

        struct Gradients {
            let attention: Operand  // (N, C)
            let wide: Operand  // (N, 4C)
            let qkv: Operand  // (N, 3C)
        }

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            let (n, c, precision) = (plan.rows, plan.configuration.width, plan.precision)
            guard plan.isTraining else {
                branch = memory.matrix(n, c)
                gradients = nil
                return
            }
            let (wide, qkv) = memory.overlay(
                { $0.operand(n, 4 * c, precision) }, { $0.operand(n, 3 * c, precision) })
            let attention: Operand
            (branch, attention) = memory.overlay(
                { $0.matrix(n, c) }, { $0.operand(n, c, precision) })
            gradients = Gradients(attention: attention, wide: wide, qkv: qkv)
        }
    }

    private let plan: ModelPlan
    private let norm: LayerNorm
    private let attention: Attention
    private let temporaries: Temporaries
    private var engine: ComputeEngine { plan.engine }

    init(_ plan: ModelPlan, norm: LayerNorm, temporaries: Temporaries) {
        self.plan = plan
        self.norm = norm
        self.temporaries = temporaries
        attention = Attention(
            batch: plan.microBatch, length: plan.sequenceLength, heads: plan.configuration.heads,
            headWidth: plan.configuration.headWidth, precision: plan.precision,
            engine: plan.engine)
    }

    // MARK: - Forward

    func forward(
        _ layer: Layer<GPT2Block>, _ pass: Pass, input: Matrix, output: Matrix?,
        betweenTiles: () -> Void, finished: (BlockPart) -> Void
    ) {
        let (a, p, parameters) = (layer.activations, layer.layout, pass.parameters)
        norm.forward(input, p.attentionNorm, into: a.attentionNorm, parameters: parameters)
        p.qkv.linear(parameters).forward(
            a.attentionNorm.output, into: a.qkv, engine: engine, betweenTiles: betweenTiles)
        attention.forward(
            a.qkv, into: a.attention, logSumExp: a.logSumExp,
            dropout: attentionDropout(layer, pass))
        addBranch(
            a.attention, p.attentionProjection, pass, at: .attentionProjection(layer: layer.index),
            to: input, into: a.middle, betweenTiles: betweenTiles)
        finished(.attention)

        norm.forward(a.middle, p.feedForwardNorm, into: a.feedForwardNorm, parameters: parameters)
        p.up.linear(parameters).forward(
            a.feedForwardNorm.output, throughGELUInto: a.activated, slope: a.slope,
            engine: engine, betweenTiles: betweenTiles)
        // Backward does not read the result of the last product.
        guard let output else { return }
        addBranch(
            a.activated, p.down, pass, at: .feedForwardProjection(layer: layer.index),
            to: a.middle, into: output, betweenTiles: betweenTiles)
        finished(.feedForward)
    }

    /// Computes `output` = `residual` + dropout(`input` W + b), all (N, C).
    private func addBranch(
        _ input: Operand, _ projection: Projection, _ pass: Pass, at site: DropoutSite,
        to residual: Matrix, into output: Matrix, betweenTiles: () -> Void
    ) {
        let linear = projection.linear(pass.parameters)
        guard pass.dropout != nil else {
            return linear.forward(
                input, addedTo: residual, into: output, engine: engine, betweenTiles: betweenTiles)
        }
        let branch = temporaries.branch
        linear.forward(input, into: branch.operand, engine: engine, betweenTiles: betweenTiles)
        pass.drop(branch, into: branch.operand, at: site, plan)
        add(residual, branch, into: output, engine: engine)
    }

    private func attentionDropout(_ layer: Layer<GPT2Block>, _ pass: Pass) -> Attention.Dropout? {
        pass.dropout.map {
            Attention.Dropout(
                key: $0, layer: layer.index, firstSequence: pass.batch.firstSequence)
        }
    }

    // MARK: - Backward

    func backward(
        _ layer: Layer<GPT2Block>, _ pass: Pass, into gradients: GradientArena, input: Matrix,
        flow: ResidualGradient, betweenTiles: () -> Void, finished: (Range<Int>) -> Void
    ) {
        guard let own = temporaries.gradients else {
            preconditionFailure("a model for evaluation has no backward pass")
        }
        let (a, p, parameters) = (layer.activations, layer.layout, pass.parameters)
        func gradient(_ projection: Projection, _ output: Operand, input: Operand) {
            projection.backwardWeight(
                output, input: input, pass, into: gradients, engine: engine,
                betweenTiles: betweenTiles)
            finished(projection.range)
        }

        var branch = flow.entering(.feedForwardProjection(layer: layer.index), pass, plan)
        gradient(p.down, branch, input: a.activated)
        p.down.linear(parameters).backwardInput(
            branch, throughSlope: a.slope, into: own.wide, engine: engine,
            betweenTiles: betweenTiles)
        gradient(p.up, own.wide, input: a.feedForwardNorm.output)
        p.up.linear(parameters).backwardInput(
            own.wide, into: flow.branch.operand, engine: engine, betweenTiles: betweenTiles)
        norm.backward(
            a.feedForwardNorm, p.feedForwardNorm, pass, into: gradients, input: a.middle,
            flow: flow)
        finished(p.feedForwardNorm.range)

        branch = flow.entering(.attentionProjection(layer: layer.index), pass, plan)
        gradient(p.attentionProjection, branch, input: a.attention)
        p.attentionProjection.linear(parameters).backwardInput(
            branch, into: own.attention, engine: engine, betweenTiles: betweenTiles)
        attention.backward(
            own.attention, qkv: a.qkv, output: a.attention, logSumExp: a.logSumExp, into: own.qkv,
            dropout: attentionDropout(layer, pass))
        gradient(p.qkv, own.qkv, input: a.attentionNorm.output)
        p.qkv.linear(parameters).backwardInput(
            own.qkv, into: flow.branch.operand, engine: engine, betweenTiles: betweenTiles)
        norm.backward(
            a.attentionNorm, p.attentionNorm, pass, into: gradients, input: input, flow: flow)
        finished(p.attentionNorm.range)
    }
}
