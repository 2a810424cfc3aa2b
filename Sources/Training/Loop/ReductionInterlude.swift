import Collectives
import Support

/// The reduction's work between the tiles of backward's products, and the time that it takes.
///
/// A product of a large layer may take longer than many buckets are under way.
final class ReductionInterlude {
    /// Whether backward is under way.
    var isOn = false
    private var seconds = 0.0
    private let reducer: GradientReducer

    init(_ reducer: GradientReducer) { self.reducer = reducer }

    /// Lets messages move, and sums what has become ready.
    func run() {
        guard isOn, reducer.isUnderWay else { return }
        let start = MonotonicClock.nanoseconds
        reducer.progress()
        seconds += Double(MonotonicClock.nanoseconds - start) * 1e-9
    }

    /// The time since it was last asked for.
    func takeSeconds() -> Double {
        defer { seconds = 0 }
        return seconds
    }
}
