/// The traits of an optimizer on which its configuration, the scaling rules and the memory plan
/// depend.
struct OptimizerTraits {
    /// Whether the optimizer steps along Adam's two moments, so that `betas` and `epsilon` have an
    /// effect. Otherwise it steps along the gradient or its momentum.
    let isAdam: Bool
    /// Whether the optimizer scales steps by the norms of whole tensors, so that its state cannot
    /// be sharded.
    var hasTrustRatios = false
    /// Whether the optimizer has a `trust_coefficient`.
    var takesTrustCoefficient = false
    /// The weight decay if it is unset in a recipe.
    var usualWeightDecay = 0.0
}
