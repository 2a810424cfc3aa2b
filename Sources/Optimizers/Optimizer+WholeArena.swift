import Compute
import Recipes
import Support

// The use of an optimizer without a recipe, a team of threads or a division among ranks.

extension Optimizer {
    /// Creates an optimizer with zero state for all tensors of a layout.
    ///
    /// - Throws: `Failure` (configuration) if a value of the configuration is impossible, or the optimizer
    ///   orthogonalizes matrices, which a layout does not tell from embeddings.
    public init(_ configuration: OptimizerConfiguration, layout: ArenaLayout) throws(Failure) {
        try configuration.validate()
        guard !configuration.name.orthogonalizes else {
            throw .key(
                "[optimizer] name", "\"\(configuration.name.rawValue)\"",
                "needs the matrices of a model's blocks, which a layout alone does not name",
                remedy: "set name = \"adamw\"")
        }
        self.init(configuration: configuration, layout: layout)
    }

    /// Takes a step: updates all parameters and the state from the gradients, on the calling thread.
    ///
    /// - Parameters:
    ///   - parameters: the arena of the optimizer's layout.
    ///   - gradients: an arena of the same layout, which stays unchanged. Skip a step whose gradients
    ///     are not finite.
    ///   - learningRate: this step's rate. The one in the configuration is not used.
    ///   - gradientScale: the factor for every gradient, such as the clipping coefficient.
    public mutating func update(
        parameters: Buffer<Float>, gradients: Buffer<Float>, learningRate: Double,
        gradientScale: Float = 1
    ) {
        beginStep(
            parameters: parameters, gradients: gradients, gradientScale: gradientScale,
            team: ThreadTeam(threads: 1))
        update(
            parameters: parameters, gradients: gradients, learningRate: learningRate,
            gradientScale: gradientScale, range: 0..<count)
    }
}

/// Returns the square root of the sum of the squares of an arena, summed in double in an order that
/// depends only on its size.
public func globalNorm(of arena: Buffer<Float>) -> Double { SumOfSquares.of(arena).squareRoot() }
