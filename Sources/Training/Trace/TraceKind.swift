import Model

/// The kind of a span in a trace.
enum TraceKind: Int32, CaseIterable, Sendable {
    case step, data, forward, backward, reduction, wait, update, evaluation, checkpoint
    case bucketsStarted, bucketsFinished
    case embeddingForward, attentionForward, feedForwardForward, finalNormForward
    case headBackward, recomputation, feedForwardBackward, attentionBackward, embeddingBackward

    /// The name that a viewer shows, the category by which it can filter, and the name of the
    /// quantity that a span's index counts, which is nil if the span has no index.
    var labels: (name: String, category: String, index: String?) {
        switch self {
        case .step: ("step", "step", "step")
        case .data: ("data", "data", nil)
        case .forward: ("forward", "forward", nil)
        case .backward: ("backward", "backward", nil)
        case .reduction: ("reduce", "reduce", nil)
        case .wait: ("exposed reduce", "reduce", nil)
        case .update: ("update", "update", nil)
        case .evaluation: ("evaluation", "run", "step")
        case .checkpoint: ("checkpoint", "run", "step")
        case .bucketsStarted: ("buckets started", "reduce", "buckets")
        case .bucketsFinished: ("buckets finished", "reduce", "buckets")
        case .embeddingForward: ("embedding", "forward", nil)
        case .attentionForward: ("attention", "forward", "layer")
        case .feedForwardForward: ("MLP", "forward", "layer")
        case .finalNormForward: ("final norm", "forward", nil)
        case .headBackward: ("head and loss", "backward", nil)
        case .recomputation: ("recompute", "backward", "layer")
        case .feedForwardBackward: ("MLP", "backward", "layer")
        case .attentionBackward: ("attention", "backward", "layer")
        case .embeddingBackward: ("embedding", "backward", nil)
        }
    }

    init(forwardOf part: BlockPart) {
        self = part == .attention ? .attentionForward : .feedForwardForward
    }

    init(backwardOf part: BlockPart) {
        self = part == .attention ? .attentionBackward : .feedForwardBackward
    }

    init(_ part: StepPart) {
        switch part {
        case .data: self = .data
        case .forward: self = .forward
        case .backward: self = .backward
        case .progress: self = .reduction
        case .wait: self = .wait
        case .update: self = .update
        }
    }
}
