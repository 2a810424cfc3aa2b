import Compute
import Recipes

/// A layer norm (Ba, Kiros & Hinton 2016), which has no bias in a model without biases.
struct LayerNorm: Norm {
    /// The places of a norm's weight (C) and bias (C).
    struct Layout: NormLayout {
        let weight: NamedTensor
        let bias: NamedTensor?
        let range: Range<Int>

        init(_ name: String, _ configuration: GPTConfiguration, in arena: inout ArenaLayout) {
            let (start, shape) = (arena.count, [configuration.width])
            weight = arena.append("\(name).weight", shape: shape)
            bias = configuration.bias ? arena.append("\(name).bias", shape: shape) : nil
            range = start..<arena.count
        }
    }

    struct Activations: NormActivations {
        let output: Operand  // (N, C)
        let mean: Vector  // (N)
        let rstd: Vector  // (N)

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            output = memory.operand(plan.rows, plan.configuration.width, plan.precision)
            mean = memory.vector(plan.rows)
            rstd = memory.vector(plan.rows)
        }
    }

    private let plan: ModelPlan
    private let backwardKernel: LayerNormBackward?

    init(_ plan: ModelPlan) {
        self.plan = plan
        backwardKernel =
            plan.isTraining
            ? LayerNormBackward(
                rows: plan.rows, columns: plan.configuration.width, engine: plan.engine) : nil
    }

    var bytes: Int { backwardKernel?.bytes ?? 0 }

    func forward(
        _ input: Matrix, _ layout: Layout, into result: Activations, parameters: Parameters
    ) {
        layerNormForward(
            input, weight: parameters.values.vector(layout.weight),
            bias: layout.bias.map(parameters.values.vector), into: result.output,
            mean: result.mean, rstd: result.rstd, engine: plan.engine)
    }

    func backward(
        _ activations: Activations, _ layout: Layout, _ pass: Pass, into gradients: GradientArena,
        input: Matrix, flow: ResidualGradient
    ) {
        backwardKernel?.run(
            flow.branch, input: input, weight: pass.parameters.values.vector(layout.weight),
            mean: activations.mean, rstd: activations.rstd, addingTo: flow.residual,
            rounded: flow.rounding(pass),
            weightGradient: gradients.values.vector(layout.weight),
            biasGradient: layout.bias.map(gradients.values.vector),
            accumulates: gradients.accumulates)
    }
}
