import Model
import Support
import Telemetry

/// The object that records steps in a trace: their parts, and the layers within forward and
/// backward.
final class StepTracer {
    let recorder: TraceRecorder
    private let blockKinds: BlockTraceKinds
    /// The parts of backward in order, each with the number of its kind and the position in the
    /// arena at which it is complete.
    private let parts: [(kind: Int32, layer: Int, end: Int)]
    private var nextPart = 0
    private var partStart: Int64 = 0
    private var stepStart: Int64 = 0
    private var startedBuckets = 0
    private var finishedBuckets = 0

    /// The shortest work of the reduction that is recorded, in nanoseconds; shorter work only
    /// checks whether messages have arrived.
    private static let shortestReduction: Int64 = 2_000

    /// Creates the tracer of a model's steps, whose kinds of spans the trace learns.
    init(_ trace: Trace, layout: GPTLayout) {
        recorder = trace.recorder
        blockKinds = BlockTraceKinds(layout)
        trace.blockKinds = blockKinds
        var parts = [
            (TraceKind.headBackward.rawValue, -1, layout.finalNormRange.lowerBound)
        ]
        for (layer, block) in layout.blocks.enumerated().reversed() {
            for (part, range) in block.parts.reversed() {
                parts.append((blockKinds.number(backwardOf: part), layer, range.lowerBound))
            }
        }
        parts.append(
            (TraceKind.embeddingBackward.rawValue, -1, layout.embeddingRange.lowerBound))
        self.parts = parts
    }

    func beginStep() {
        recorder.beginGroup()
        stepStart = MonotonicClock.nanoseconds
        (startedBuckets, finishedBuckets) = (0, 0)
    }

    func endStep(_ step: Int) {
        record(.step, index: step, from: stepStart, to: MonotonicClock.nanoseconds)
    }

    func measured(_ part: StepPart, from start: Int64, to end: Int64) {
        if part == .progress, end - start < Self.shortestReduction { return }
        record(TraceKind(part), from: start, to: end)
    }

    /// Records how many of the step's buckets have started and finished, if the numbers have
    /// changed.
    func buckets(started: Int, finished: Int) {
        guard started != startedBuckets || finished != finishedBuckets else { return }
        let now = MonotonicClock.nanoseconds
        if started != startedBuckets { record(.bucketsStarted, index: started, from: now, to: now) }
        if finished != finishedBuckets {
            record(.bucketsFinished, index: finished, from: now, to: now)
        }
        (startedBuckets, finishedBuckets) = (started, finished)
    }

    private func record(_ kind: TraceKind, index: Int = -1, from start: Int64, to end: Int64) {
        recorder.record(kind.rawValue, index: index, from: start, to: end)
    }

    // MARK: - Forward

    func beginForward() { partStart = MonotonicClock.nanoseconds }

    func forwardFinished(_ part: ForwardPart) {
        let now = MonotonicClock.nanoseconds
        switch part {
        case .embedding: record(.embeddingForward, from: partStart, to: now)
        case .block(let part, let layer):
            recorder.record(
                blockKinds.number(forwardOf: part), index: layer, from: partStart, to: now)
        case .finalNorm: record(.finalNormForward, from: partStart, to: now)
        }
        partStart = now
    }

    // MARK: - Backward

    func beginBackward() {
        nextPart = 0
        partStart = MonotonicClock.nanoseconds
    }

    /// Records that a block's forward pass was repeated.
    func recomputed(layer: Int) {
        let now = MonotonicClock.nanoseconds
        record(.recomputation, index: layer, from: partStart, to: now)
        partStart = now
    }

    /// Records that the gradients from the start of `range` to the arena's end are complete.
    /// Backward finishes the arena from its end to its start, so the position shows its progress.
    func backwardFinished(_ range: Range<Int>, at time: Int64) {
        while nextPart < parts.count, range.lowerBound <= parts[nextPart].end {
            let part = parts[nextPart]
            recorder.record(part.kind, index: part.layer, from: partStart, to: time)
            partStart = time
            nextPart += 1
        }
    }

    /// Records work of the reduction between two layers.
    func reduced(from start: Int64, to end: Int64) {
        measured(.progress, from: start, to: end)
        // The next layer begins after this work, unless the work interrupted a layer.
        if partStart == start { partStart = end }
    }
}
