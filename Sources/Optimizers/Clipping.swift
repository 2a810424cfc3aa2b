/// What gradients are multiplied by so that their global norm does not pass `clipNorm`.
///
/// min(1, clipNorm / (norm + 1e-6)), as `torch.nn.utils.clip_grad_norm_`; 1 when `clipNorm` is 0.
/// Steps with a norm that is not finite are for the caller to skip: no coefficient saves them.
package func clippingCoefficient(norm: Double, clipNorm: Double) -> Float {
    guard clipNorm > 0 else { return 1 }
    return Float(min(1, clipNorm / (norm + 1e-6)))
}
