/// The traits of an optimizer that its configuration, the scaling rules and the memory plan depend on.
struct OptimizerTraits {
    /// Whether it steps along Adam's two moments, so that `betas` and `epsilon` count. Otherwise it
    /// steps along the gradient or its momentum.
    let isAdam: Bool
    /// Whether it fits steps to the norms of whole tensors, so that its state cannot be sharded.
    var hasTrustRatios = false
    /// Whether it has a `trust_coefficient`.
    var takesTrustCoefficient = false
    /// The weight decay if a recipe leaves it unset.
    var usualWeightDecay = 0.0
}
