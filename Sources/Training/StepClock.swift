/// Seconds that a step spent on each of its parts.
package struct StepTimes: Sendable {
    package var total = 0.0
    /// Reading the sequences.
    package var data = 0.0
    package var forward = 0.0
    /// The loss and the gradients, with the reduction's work that overlaps them.
    package var backward = 0.0
    /// Waiting for other ranks after backward.
    package var reduce = 0.0
    /// Gradient norm and optimizer.
    package var update = 0.0
}

/// Measures a step from its start.
struct StepClock {
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var times = StepTimes()

    init() { start = clock.now }

    /// Runs `body` and adds its time to a part.
    mutating func measure<Value, Problem: Error>(
        _ part: WritableKeyPath<StepTimes, Double>, _ body: () throws(Problem) -> Value
    ) throws(Problem) -> Value {
        let before = clock.now
        let value = try body()
        times[keyPath: part] += (clock.now - before) / .seconds(1)
        return value
    }

    func finish() -> StepTimes {
        var times = times
        times.total = (clock.now - start) / .seconds(1)
        return times
    }
}
