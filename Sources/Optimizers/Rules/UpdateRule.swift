import Compute
import Recipes

/// The update rule of one optimizer.
///
/// To add an optimizer:
/// 1. Write a type that conforms to this protocol, in a file of its own. Loops over elements belong
///    in `Compute/Updates`.
/// 2. Add its name and traits to `OptimizerConfiguration.Name`, and a line to
///    `updateRule(for:count:)`.
protocol UpdateRule: Sendable {
    /// The state that a checkpoint keeps, zero before the first step.
    var states: [Optimizer.State] { get }

    /// Updates the parameters of a part and their state.
    func update(_ part: ArenaPart, _ scalars: StepScalars)

    /// Returns the sums that a part adds to its tensor's norms, before the step's updates.
    ///
    /// Called only if the optimizer scales steps by norms. A rule may advance its state here.
    func measure(_ part: ArenaPart, _ scalars: StepScalars) -> NormSums

    /// Returns a tensor's trust ratio from its norm and the norm that `measure` compares it with.
    func trustRatio(parameterNorm: Double, comparedNorm: Double, _ scalars: StepScalars) -> Double

    /// The buffer of state in which `advance` writes the directions of matrices; nil if the rule
    /// orthogonalizes none.
    var directions: Buffer<Float>? { get }

    /// Advances the momentum of a part of a matrix, and writes its direction, before the step's
    /// updates. Called only if the optimizer orthogonalizes matrices.
    func advance(_ part: ArenaPart, _ scalars: StepScalars)

    /// Writes the factors by which the rule multiplies the elements of its momentum in the step of
    /// `scalars`.
    ///
    /// - Parameters:
    ///   - shared: a factor of all elements: the rate and the trust ratio.
    ///   - state: the range of the elements in the buffers of state.
    func writeStepFactors(
        times shared: Double, state: Range<Int>, into factors: Vector, _ scalars: StepScalars)

    /// The product of the rate and the largest eigenvalue of the Hessian above which the rule
    /// diverges on a quadratic loss, with fixed factors.
    var stableProduct: Double { get }
}

/// Returns the rule that a configuration names, with zero state for `count` elements.
func updateRule(for configuration: OptimizerConfiguration, count: Int) -> any UpdateRule {
    switch configuration.name {
    case .sgd: DescentRule(configuration, count: count)
    case .adam, .adamw: AdamRule(configuration, count: count)
    case .lamb: LambRule(configuration, count: count)
    case .lars: LarsRule(configuration, count: count)
    case .muon: MuonRule(configuration, count: count)
    }
}

/// A contiguous part of the arena that lies in one run. The number of its elements is a multiple of
/// `ArenaLayout.alignment`.
struct ArenaPart {
    let parameters: Vector
    let gradients: Vector
    /// The range of the part's elements in the buffers of state.
    let state: Range<Int>
}

/// The scalars of one step for one run, in double.
struct StepScalars {
    let step: Int
    var learningRate: Double
    /// The factor by which every gradient is multiplied first: the clipping coefficient.
    let gradientScale: Float
    /// The weight decay of the run; 0 if it does not decay.
    let weightDecay: Double
    /// The factor of Adam's epsilon.
    var epsilonFactor = 1.0
    /// The trust ratio of the run; 1 without one.
    var trust = 1.0
    /// The factor of the orthogonalized direction of a run that is a matrix; nil otherwise.
    var directionScale: Double?
}

extension UpdateRule {
    var directions: Buffer<Float>? { nil }

    func advance(_ part: ArenaPart, _ scalars: StepScalars) {
        preconditionFailure("the rule orthogonalizes no matrices")
    }

    func writeStepFactors(
        times shared: Double, state: Range<Int>, into factors: Vector, _ scalars: StepScalars
    ) {
        factors.elements.update(repeating: Float(shared))
    }

    func measure(_ part: ArenaPart, _ scalars: StepScalars) -> NormSums {
        preconditionFailure("the rule does not fit steps to norms")
    }

    func trustRatio(parameterNorm: Double, comparedNorm: Double, _ scalars: StepScalars) -> Double {
        preconditionFailure("the rule does not fit steps to norms")
    }
}
