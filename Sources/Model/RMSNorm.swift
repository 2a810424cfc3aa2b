import Compute
import Recipes

/// A root mean square norm (Zhang & Sennrich 2019).
struct RMSNorm: Norm {
    /// The place of a norm's weight (C).
    struct Layout: NormLayout {
        let weight: NamedTensor
        let range: Range<Int>

        init(_ name: String, _ configuration: GPTConfiguration, in arena: inout ArenaLayout) {
            let start = arena.count
            weight = arena.append("\(name).weight", shape: [configuration.width])
            range = start..<arena.count
        }
    }

    struct Activations: NormActivations {
        let output: Operand  // (N, C)
        let rstd: Vector  // (N)

        init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
            output = memory.operand(plan.rows, plan.configuration.width, plan.precision)
            rstd = memory.vector(plan.rows)
        }
    }

    private let plan: ModelPlan
    private let backwardKernel: RMSNormBackward?

    init(_ plan: ModelPlan) {
        self.plan = plan
        backwardKernel =
            plan.isTraining
            ? RMSNormBackward(
                rows: plan.rows, columns: plan.configuration.width, engine: plan.engine) : nil
    }

    var bytes: Int { backwardKernel?.bytes ?? 0 }

    func forward(
        _ input: Matrix, _ layout: Layout, into result: Activations, parameters: Parameters
    ) {
        rmsNormForward(
            input, weight: parameters.values.vector(layout.weight),
            epsilon: Float(plan.configuration.rmsNormEpsilon), into: result.output,
            rstd: result.rstd, engine: plan.engine)
    }

    func backward(
        _ activations: Activations, _ layout: Layout, _ pass: Pass, into gradients: GradientArena,
        input: Matrix, flow: ResidualGradient
    ) {
        backwardKernel?.run(
            flow.branch, input: input, weight: pass.parameters.values.vector(layout.weight),
            rstd: activations.rstd, addingTo: flow.residual,
            rounded: flow.rounding(pass),
            weightGradient: gradients.values.vector(layout.weight),
            accumulates: gradients.accumulates)
    }
}
