import Glibc

/// An estimate of the rate of progress: an exponentially weighted mean over reports.
///
/// The weight of a report falls by a factor of e every `timeConstant` seconds. The amount and the
/// time are weighted alike, so the estimate is unbiased from the first report.
package struct RateEstimator: Sendable {
    static let timeConstant = 20.0
    private var last: (done: Double, time: Double)
    private var amount = 0.0
    private var seconds = 0.0

    /// Creates an estimator without reports.
    ///
    /// - Parameters:
    ///   - done: the amount that is done at the start.
    ///   - time: the time in seconds, on any clock.
    package init(done: Double, at time: Double) { last = (done, time) }

    /// Adds a report. A report that goes back in time or amount restarts the estimate.
    package mutating func record(done: Double, at time: Double) {
        guard time >= last.time, done >= last.done else {
            self = RateEstimator(done: done, at: time)
            return
        }
        let elapsed = time - last.time
        let decay = exp(-elapsed / Self.timeConstant)
        amount = amount * decay + done - last.done
        seconds = seconds * decay + elapsed
        last = (done, time)
    }

    /// The rate in units per second; nil until progress is reported.
    package var rate: Double? { seconds > 0 && amount > 0 ? amount / seconds : nil }

    /// Returns the seconds until `total` is reached; nil until progress is reported.
    package func secondsLeft(total: Double) -> Double? {
        rate.map { max(0, total - last.done) / $0 }
    }
}
