import Glibc

/// How fast something advances, from reports of how far it is: a mean over time in which a report
/// counts for less the longer ago it is.
///
/// The weight of a report falls by e in `timeConstant` seconds, in the amount and in the time
/// alike, so the estimate is unbiased from the first report on.
package struct RateEstimator: Sendable {
    private let timeConstant: Double
    private var last: (done: Double, time: Double)
    private var amount = 0.0
    private var seconds = 0.0

    /// - Parameters:
    ///   - done: how far things are at the start.
    ///   - time: seconds on any clock.
    package init(done: Double, at time: Double, timeConstant: Double = 20) {
        last = (done, time)
        self.timeConstant = timeConstant
    }

    /// Takes a report; one that goes back in time or in amount starts the estimate anew.
    package mutating func record(done: Double, at time: Double) {
        guard time >= last.time, done >= last.done else {
            self = RateEstimator(done: done, at: time, timeConstant: timeConstant)
            return
        }
        let elapsed = time - last.time
        let decay = exp(-elapsed / timeConstant)
        amount = amount * decay + done - last.done
        seconds = seconds * decay + elapsed
        last = (done, time)
    }

    /// Units a second, or nil as long as nothing has advanced.
    package var rate: Double? { seconds > 0 && amount > 0 ? amount / seconds : nil }

    /// The time until `total` is reached, or nil as long as nothing has advanced.
    package func secondsLeft(total: Double) -> Double? {
        rate.map { max(0, total - last.done) / $0 }
    }
}
