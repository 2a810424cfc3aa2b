import Support

/// A part of a training step whose time is measured.
package enum StepPart: Int, CaseIterable, Sendable {
    /// Reading the sequences.
    case data
    case forward
    /// Computing the loss and the gradients, without the reduction's work in between.
    case backward
    /// The reduction's work during backward: adding lanes, sending, receiving, summing.
    case progress
    /// Waiting for other ranks after backward, and computing the gradient norm.
    case wait
    /// Clipping the gradient and updating the parameters.
    case update
}

/// The seconds that a step spent on each of its parts.
package struct StepTimes: Sendable {
    package var total = 0.0
    private var seconds = SIMD8<Double>()

    package init() {}

    /// The seconds that the step spent on a part.
    package subscript(part: StepPart) -> Double {
        get { seconds[part.rawValue] }
        set { seconds[part.rawValue] = newValue }
    }

    /// The time that the reduction adds: its work during backward and the wait after it.
    package var exposedReduce: Double { self[.progress] + self[.wait] }
    /// The time outside all parts, spent on bookkeeping.
    package var other: Double { total - seconds.sum() }

    /// Adds another step's times, part by part.
    package mutating func add(_ other: StepTimes) {
        total += other.total
        seconds += other.seconds
    }

    /// Returns the times divided by a count, such as a number of steps to get their mean.
    package func divided(by count: Double) -> StepTimes {
        var mean = self
        mean.total /= count
        mean.seconds /= count
        return mean
    }
}

/// A clock that measures a step from its start, and records its parts in the trace if there is one.
struct StepClock {
    private let start = MonotonicClock.nanoseconds
    private let tracer: StepTracer?
    private(set) var times = StepTimes()

    init(tracer: StepTracer?) { self.tracer = tracer }

    /// Runs `body` and adds its time to a part.
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

    /// Runs backward, and adds the time of the reduction's work within it to `progress`.
    ///
    /// `body` must run that work through the closure `reducing`. To this closure, it passes the
    /// range of gradients that was just completed, or nil between two tiles of a product.
    mutating func measureBackward<Value>(
        _ body: (_ reducing: (_ range: Range<Int>?, _ work: () -> Void) -> Void) -> Value
    ) -> Value {
        let before = MonotonicClock.nanoseconds
        tracer?.beginBackward()
        var progress = 0.0
        let value = body { range, work in
            let start = MonotonicClock.nanoseconds
            if let range { tracer?.backwardFinished(range, at: start) }
            work()
            let end = MonotonicClock.nanoseconds
            if range != nil { tracer?.reduced(from: start, to: end) }
            progress += Self.seconds(from: start, to: end)
        }
        let after = MonotonicClock.nanoseconds
        times[.progress] += progress
        times[.backward] += Self.seconds(from: before, to: after) - progress
        tracer?.measured(.backward, from: before, to: after)
        return value
    }

    /// Returns the times of the step, which ends now.
    func finish() -> StepTimes {
        var times = times
        times.total = Self.seconds(from: start, to: MonotonicClock.nanoseconds)
        return times
    }

    private static func seconds(from start: Int64, to end: Int64) -> Double {
        Double(end - start) * 1e-9
    }
}
