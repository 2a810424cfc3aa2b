import MPI
import Support

/// The time in nanoseconds by which another rank's clock is ahead of this rank's, at the time of a
/// measurement.
///
/// It is measured with round trips of messages (Cristian 1989). The other rank reads its clock
/// between the two times at which this rank reads its own, so the error is at most half a round
/// trip, and the shortest one gives the best estimate.
package struct ClockOffset: Sendable, Equatable {
    /// The time of the measurement, on the other rank's clock.
    package let time: Int64
    package let offset: Int64
    /// The maximum error of the offset.
    package let uncertainty: Int64

    package init(time: Int64, offset: Int64, uncertainty: Int64) {
        self.time = time
        self.offset = offset
        self.uncertainty = uncertainty
    }

    private static let rounds = 64
    private static let tag = 7

    /// Measures the offsets of all ranks' clocks from rank 0's. Collective: every rank must call
    /// this.
    ///
    /// - Returns: on rank 0, every rank's offset in the order of the ranks; on the others, no
    ///   offsets.
    static func measureAll(_ communicator: Communicator) throws(Failure) -> [ClockOffset] {
        guard communicator.rank == 0 else {
            for _ in 0..<rounds {
                _ = try communicator.receive(1, of: Int64(0), from: 0, tag: tag)
                try communicator.send([MonotonicClock.nanoseconds], to: 0, tag: tag)
            }
            return []
        }
        var offsets = [ClockOffset(time: MonotonicClock.nanoseconds, offset: 0, uncertainty: 0)]
        for rank in 1..<max(1, communicator.size) {
            var best: ClockOffset?
            for _ in 0..<rounds {
                let start = MonotonicClock.nanoseconds
                try communicator.send([start], to: rank, tag: tag)
                let answer = try communicator.receive(1, of: Int64(0), from: rank, tag: tag)[0]
                let end = MonotonicClock.nanoseconds
                let half = (end - start) / 2
                if half < best?.uncertainty ?? .max {
                    best = ClockOffset(
                        time: answer, offset: answer - (start + half), uncertainty: half)
                }
            }
            if let best { offsets.append(best) }
        }
        return offsets
    }
}

/// A mapping of a rank's clock to rank 0's. It interpolates between two measurements, because the
/// clocks of different hosts drift apart.
package struct ClockMapping: Sendable {
    private let first: ClockOffset
    private let last: ClockOffset

    /// Creates a mapping between the first and the last measurement.
    package init(from first: ClockOffset, to last: ClockOffset) {
        self.first = first
        self.last = last
    }

    /// The maximum error of a mapped time if the clocks drift evenly.
    package var uncertainty: Int64 { max(first.uncertainty, last.uncertainty) }

    /// The offset at the first measurement.
    package var offset: Int64 { first.offset }

    /// Returns the time on rank 0's clock for a time on the rank's clock; never reverses the order
    /// of two times.
    package func callAsFunction(_ time: Int64) -> Int64 {
        let span = last.time - first.time
        guard span > 0 else { return time - first.offset }
        let share = Double(time - first.time) / Double(span)
        let drift = Double(last.offset - first.offset) * min(1, max(0, share))
        return time - first.offset - Int64(drift.rounded())
    }
}
