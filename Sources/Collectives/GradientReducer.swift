import Failures
import MPI
import Tensors

/// Sums the lanes' gradients over all ranks along the reduction tree, while backward still runs.
///
/// In a step a rank goes through its lanes in order: `beginLane` hands out the buffer for a lane's
/// gradient, `finished` tells which parts of it are complete, `endLane` ends it, and `finish` gives
/// the sum over all lanes of all ranks: the same bytes on every rank and for every number of ranks.
/// In the last lane each bucket is merged and sent as soon as `finished` completes it.
///
/// All calls come from one thread. An error of MPI is kept until `finish`, so that backward need
/// not throw. Not-a-numbers and infinities are summed like all values.
package final class GradientReducer {
    /// The default size of a bucket.
    ///
    /// Small ones keep both directions of a link busy: with 1, 4 and 16 MiB, 64 MiB went between
    /// two hosts with 1 Gbit/s each in 0.58, 0.68 and 0.83 s, where the link's limit is 0.54 s.
    /// Between two ranks of one host all three move 475 MiB in 45 to 80 ms. The probe's `bench`
    /// measures it.
    package static let defaultBucketBytes = 1 << 20
    /// How many buckets can be received at once by default.
    ///
    /// More of them hide more behind a backward that seldom calls `progress`, but leave the cache:
    /// of 475 MiB finished in twelve parts 20 ms apart, between two ranks of one host, 4, 8 and 16
    /// leave 39, 38 and 28 ms to `finish`, and with four calls of `progress` a part 28, 20 and 24
    /// ms.
    package static let defaultInExchange = 8

    /// Seconds that `finish` took in the last step: communication that backward did not hide.
    package private(set) var exposedSeconds = 0.0
    /// Bytes that this rank sent in the last step.
    package var bytesSent: Int { exchange?.bytesSent ?? 0 }

    /// Bytes of gradients and messages that this rank holds.
    package var bytes: Int { stack.bytes + (exchange?.bytes ?? 0) }

    private let team: ThreadTeam
    private var stack: LaneStack
    private var buckets: GradientBuckets
    /// Nil on one rank, which talks to nobody.
    private let exchange: BucketExchange?
    private let elementCount: Int
    private var failure: Failure?
    private var laneIsOpen = false

    /// `elementCount` is the arena's (a multiple of 16), `bucketBytes` how much of it goes as one
    /// message; additions are shared out among the team's threads.
    ///
    /// - Throws: what MPI reports. The tree has a lane for every rank: `LaneConfiguration` saw to
    ///   it.
    package init(
        communicator: Communicator, tree: ReductionTree, elementCount: Int, team: ThreadTeam,
        bucketBytes: Int = defaultBucketBytes, bucketsInExchange: Int = defaultInExchange
    ) throws(Failure) {
        precondition(communicator.size <= tree.laneCount, "every rank has a lane")
        self.team = team
        self.elementCount = elementCount
        let lanes = tree.lanes(ofRank: communicator.rank, size: communicator.size)
        stack = LaneStack(tree: tree, lanes: lanes, elementCount: elementCount)
        buckets = GradientBuckets(
            count: elementCount, bucketElements: bucketBytes / MemoryLayout<Float>.stride)
        exchange =
            communicator.size == 1
            ? nil
            : try BucketExchange(
                communicator: communicator, tree: tree, buckets: buckets.ranges,
                slots: bucketsInExchange)
    }

    /// The lanes that this rank computes, in order.
    package var lanes: Range<Int> { stack.lanes }

    /// Begins a step; the memory that the last step's `finish` returned is used again.
    package func beginStep() {
        precondition(!laneIsOpen, "a step begins when the last lane has ended")
        precondition(exchange?.isIdle ?? true, "a step begins when the last one has finished")
        stack.reset()
        buckets.reset()
    }

    /// The buffer for a lane's gradient, with arbitrary contents; lanes come in rising order.
    package func beginLane(_ lane: Int) -> Buffer<Float> {
        precondition(!laneIsOpen, "a lane begins when the one before has ended")
        laneIsOpen = true
        let gradient = stack.begin(lane)
        if stack.isInLastLane { exchange?.begin(nodes: Array(stack.nodes)) }
        return gradient
    }

    /// Notes that part of the lane's gradient is complete: no element twice in a lane.
    package func finished(_ range: Range<Int>) {
        precondition(laneIsOpen, "gradients are finished within a lane")
        // Earlier lanes are merged as a whole when they end; the ranges matter where sums leave.
        guard stack.isInLastLane else { return }
        let ready = buckets.finish(range)
        for bucket in ready { stack.merge(buckets.ranges[bucket], team: team) }
        communicate { exchange throws(Failure) in
            try exchange.start(ready, team: team)
            try exchange.progress(team: team)
        }
    }

    /// Ends the lane, all of whose gradient is complete.
    package func endLane() {
        precondition(laneIsOpen, "a lane ends once")
        if stack.isInLastLane {
            precondition(buckets.areAllReady, "all of the last lane's gradient is finished")
        } else {
            stack.merge(0..<elementCount, team: team)
        }
        stack.pop()
        laneIsOpen = false
    }

    /// Lets messages move; to be called now and then during backward, for nothing moves by itself.
    package func progress() {
        communicate { exchange throws(Failure) in try exchange.progress(team: team) }
    }

    /// Waits for the exchange and returns the sum over all lanes, valid until the next `beginStep`.
    ///
    /// - Throws: what MPI reported since the step began; the job cannot go on after that.
    package func finish() throws(Failure) -> Buffer<Float> {
        precondition(!laneIsOpen && stack.isInLastLane, "a step finishes after the last lane")
        let start = ContinuousClock.now
        communicate { exchange throws(Failure) in try exchange.wait(team: team) }
        if let failure { throw failure }
        exposedSeconds = (ContinuousClock.now - start) / .seconds(1)
        return stack.partialSums[0]
    }

    private func communicate(_ body: (BucketExchange) throws(Failure) -> Void) {
        guard failure == nil, let exchange else { return }
        do throws(Failure) { try body(exchange) } catch { failure = error }
    }
}
