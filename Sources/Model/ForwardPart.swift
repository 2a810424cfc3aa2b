/// A part of the forward pass, told to whoever watches it when it is done.
package enum ForwardPart: Sendable, Equatable {
    case embedding
    /// A block's attention with its norm and residual.
    case attention(layer: Int)
    /// A block's MLP with its norm and residual.
    case feedForward(layer: Int)
    case finalNorm
}
