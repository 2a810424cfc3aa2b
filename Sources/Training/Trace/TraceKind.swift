import Compute
import Model

/// The kind of a span in a trace.
enum TraceKind: Int32, CaseIterable, Sendable {
    case step, data, forward, backward, reduction, wait, update, evaluation, checkpoint
    case bucketsStarted, bucketsFinished
    case embeddingForward, attentionForward, feedForwardForward, finalNormForward
    case headBackward, recomputation, feedForwardBackward, attentionBackward, embeddingBackward

    /// The name that a viewer shows.
    var name: String {
        switch self {
        case .step: "step"
        case .data: "data"
        case .forward: "forward"
        case .backward: "backward"
        case .reduction: "reduce"
        case .wait: "exposed reduce"
        case .update: "update"
        case .bucketsStarted: "buckets started"
        case .bucketsFinished: "buckets finished"
        case .evaluation: "evaluation"
        case .checkpoint: "checkpoint"
        case .embeddingForward, .embeddingBackward: "embedding"
        case .attentionForward, .attentionBackward: "attention"
        case .feedForwardForward, .feedForwardBackward: "MLP"
        case .finalNormForward: "final norm"
        case .headBackward: "head and loss"
        case .recomputation: "recompute"
        }
    }

    /// The category by which a viewer can filter.
    var category: String {
        switch self {
        case .step: "step"
        case .data: "data"
        case .forward, .embeddingForward, .attentionForward, .feedForwardForward,
            .finalNormForward:
            "forward"
        case .backward, .headBackward, .recomputation, .feedForwardBackward, .attentionBackward,
            .embeddingBackward:
            "backward"
        case .reduction, .wait, .bucketsStarted, .bucketsFinished: "reduce"
        case .update: "update"
        case .evaluation, .checkpoint: "run"
        }
    }

    /// The name of the quantity that a span's index counts; nil if the span has no index.
    var indexName: String? {
        switch self {
        case .step, .evaluation, .checkpoint: "step"
        case .attentionForward, .feedForwardForward, .recomputation, .feedForwardBackward,
            .attentionBackward:
            "layer"
        case .bucketsStarted, .bucketsFinished: "buckets"
        default: nil
        }
    }

    init(forwardOf part: BlockPart) {
        switch part {
        case .attention: self = .attentionForward
        case .feedForward: self = .feedForwardForward
        }
    }

    init(backwardOf part: BlockPart) {
        switch part {
        case .attention: self = .attentionBackward
        case .feedForward: self = .feedForwardBackward
        }
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
