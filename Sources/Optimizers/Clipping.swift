/// Returns the factor for gradients that keeps their global norm from exceeding `clipNorm`.
///
/// It is min(1, clipNorm / (norm + 1e-6)), as in `torch.nn.utils.clip_grad_norm_`, or 1 if
/// `clipNorm` is 0. The caller must skip steps whose norm is not finite; no factor can repair them.
public func clippingCoefficient(norm: Double, clipNorm: Double) -> Float {
    guard clipNorm > 0 else { return 1 }
    return Float(min(1, clipNorm / (norm + 1e-6)))
}
