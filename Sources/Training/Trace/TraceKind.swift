import Model

/// The kind of a span in a trace, unless the span is about a part of a block.
enum TraceKind: Int32, CaseIterable, Sendable {
    case step, data, forward, backward, reduction, wait, update, evaluation, checkpoint
    case bucketsStarted, bucketsFinished
    case embeddingForward, finalNormForward, headBackward, recomputation, embeddingBackward

    /// The labels of the kind's spans.
    var labels: TraceLabels {
        switch self {
        case .step: TraceLabels("step", "step", index: "step")
        case .data: TraceLabels("data", "data")
        case .forward: TraceLabels("forward", "forward")
        case .backward: TraceLabels("backward", "backward")
        case .reduction: TraceLabels("reduce", "reduce")
        case .wait: TraceLabels("exposed reduce", "reduce")
        case .update: TraceLabels("update", "update")
        case .evaluation: TraceLabels("evaluation", "run", index: "step")
        case .checkpoint: TraceLabels("checkpoint", "run", index: "step")
        case .bucketsStarted: TraceLabels("buckets started", "reduce", index: "buckets")
        case .bucketsFinished: TraceLabels("buckets finished", "reduce", index: "buckets")
        case .embeddingForward: TraceLabels("embedding", "forward")
        case .finalNormForward: TraceLabels("final norm", "forward")
        case .headBackward: TraceLabels("head and loss", "backward")
        case .recomputation: TraceLabels("recompute", "backward", index: "layer")
        case .embeddingBackward: TraceLabels("embedding", "backward")
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

/// The labels of a span in a viewer.
struct TraceLabels {
    let name: String
    /// The category by which a viewer can filter.
    let category: String
    /// The name of the quantity that the span's index counts; nil if the span has no index.
    let index: String?

    init(_ name: String, _ category: String, index: String? = nil) {
        self.name = name
        self.category = category
        self.index = index
    }
}

/// The kinds of spans about the parts of a model's blocks. Their numbers follow those of
/// `TraceKind` and are equal on all ranks, which have the same model.
struct BlockTraceKinds {
    private let parts: [BlockPart]

    init(_ layout: GPTLayout) {
        parts = layout.blocks.flatMap(\.parts).reduce(into: []) { parts, next in
            if !parts.contains(next.part) { parts.append(next.part) }
        }
    }

    func number(forwardOf part: BlockPart) -> Int32 { number(part, 0) }
    func number(backwardOf part: BlockPart) -> Int32 { number(part, 1) }

    private func number(_ part: BlockPart, _ pass: Int) -> Int32 {
        guard let index = parts.firstIndex(of: part) else {
            preconditionFailure("the block's layout has no part \(part.name)")
        }
        return Int32(TraceKind.allCases.count + 2 * index + pass)
    }

    /// Returns the labels of a kind; nil if no part has this number.
    func labels(of number: Int32) -> TraceLabels? {
        let place = Int(number) - TraceKind.allCases.count
        guard (0..<2 * parts.count).contains(place) else { return nil }
        return TraceLabels(
            parts[place / 2].name, place.isMultiple(of: 2) ? "forward" : "backward", index: "layer")
    }
}
