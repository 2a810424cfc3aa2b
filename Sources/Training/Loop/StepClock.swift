import Support

/// A part of a training step, to which time is charged.
package enum StepPart: Int, CaseIterable, Sendable {
    /// Reading the sequences.
    case data
    case forward
    /// The loss and the gradients, without the reduction's work between them.
    case backward
    /// The reduction's work while backward goes on: adding lanes, sending, receiving, summing.
    case progress
    /// Waiting for other ranks after backward, and the gradient norm that then is known.
    case wait
    /// Clipping and the optimizer.
    case update
}

/// Seconds that a step spent on each of its parts.
package struct StepTimes: Sendable {
    package var total = 0.0
    private var seconds = SIMD8<Double>()

    package init() {}

    package subscript(part: StepPart) -> Double {
        get { seconds[part.rawValue] }
        set { seconds[part.rawValue] = newValue }
    }

    /// What the reduction adds to the step: its work during backward and the wait after it.
    package var exposedReduce: Double { self[.progress] + self[.wait] }
    /// What belongs to no part: bookkeeping between them.
    package var other: Double { total - seconds.sum() }

    /// Adds another step's times, part by part.
    package mutating func add(_ other: StepTimes) {
        total += other.total
        seconds += other.seconds
    }

    /// The times divided by a number, as a mean over steps needs it.
    package func divided(by count: Double) -> StepTimes {
        var mean = self
        mean.total /= count
        mean.seconds /= count
        return mean
    }
}

/// Measures a step from its start, and notes its parts in a trace where there is one.
struct StepClock {
    private let start = MonotonicClock.nanoseconds
    private let tracer: StepTracer?
    private(set) var times = StepTimes()

    init(tracer: StepTracer?) { self.tracer = tracer }

    /// Runs `body` and charges its time to a part.
    mutating func measure<Value, Problem: Error>(
        _ part: StepPart, _ body: () throws(Problem) -> Value
    ) throws(Problem) -> Value {
        let before = MonotonicClock.nanoseconds
        let value = try body()
        let after = MonotonicClock.nanoseconds
        times[part] += Self.seconds(from: before, to: after)
        tracer?.measured(part, from: before, to: after)
        return value
    }

    /// Runs backward, which tells through the closure it is handed each range of gradients that is
    /// complete, with the reduction's work that this allows, whose time is charged to `progress` as
    /// is that of the `interlude`.
    mutating func measureBackward<Value>(
        _ interlude: ReductionInterlude,
        _ body: (_ finished: (_ range: Range<Int>, _ reduction: () -> Void) -> Void) -> Value
    ) -> Value {
        let before = MonotonicClock.nanoseconds
        tracer?.beginBackward()
        var progress = 0.0
        interlude.isOn = true
        defer { interlude.isOn = false }
        let value = body { range, reduction in
            let start = MonotonicClock.nanoseconds
            tracer?.backwardFinished(range, at: start)
            reduction()
            let end = MonotonicClock.nanoseconds
            tracer?.reduced(from: start, to: end)
            progress += Self.seconds(from: start, to: end)
        }
        let after = MonotonicClock.nanoseconds
        progress += interlude.takeSeconds()
        times[.progress] += progress
        times[.backward] += Self.seconds(from: before, to: after) - progress
        tracer?.measured(.backward, from: before, to: after)
        return value
    }

    /// The times of the step, which ends now.
    func finish() -> StepTimes {
        var times = times
        times.total = Self.seconds(from: start, to: MonotonicClock.nanoseconds)
        return times
    }

    private static func seconds(from start: Int64, to end: Int64) -> Double {
        Double(end - start) * 1e-9
    }
}
