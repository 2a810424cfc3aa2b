import Compute
import MPI
import Support

/// Sums the lanes' gradients over all ranks along the reduction tree, while backward still runs.
///
/// In a step a rank goes through its lanes in order: `beginLane` hands out the buffer for a lane's
/// gradient, `finished` tells which parts of it are complete, `endLane` ends it, and `finish` gives
/// the sum over all lanes of all ranks: the same bytes on every rank and for every number of ranks.
/// Each bucket is merged as soon as `finished` completes it, and in the last lane exchanged.
///
/// Ranks of one host add one another's sums where they lie, in memory that they share; the hosts
/// exchange messages. Sharded, each rank gets only the part of the sum that it owns, and afterwards
/// `updateParameters` brings every rank all parameters.
///
/// All calls come from one thread. An error of MPI is kept until `finish`, so that backward need
/// not throw. Not-a-numbers and infinities are summed like all values.
package final class GradientReducer {
    /// The default size of a bucket.
    ///
    /// Small ones keep both directions of a link busy and stay in cache. The probe's `bench`
    /// measures it.
    package static let defaultBucketBytes = 1 << 20
    /// How many buckets can be on their way between hosts at once by default.
    ///
    /// Between two looks at the network, which backward allows once in many milliseconds, no more
    /// than these can move.
    package static let defaultInExchange = 16

    /// Seconds that `finish` took in the last step: communication that backward did not hide.
    package private(set) var exposedSeconds = 0.0
    /// The sum of squares of the last step's sum, in the bits of `SumOfSquares`.
    package private(set) var sumOfSquares = 0.0
    /// Bytes that this rank sent in the last step.
    package var bytesSent: Int { exchange?.bytesSent ?? 0 }

    /// Bytes of gradients, messages and bookkeeping that this rank holds, its part of shared memory
    /// included, but for the parameters there.
    package var bytes: Int { stack.bytes + (exchange?.bytes ?? 0) + memory.bookkeepingBytes }

    /// Bytes of other ranks' shared memory that this rank maps too when it has read what it sums
    /// and written what it sums or updates: resident in each of them, but there once.
    package var peerBytes: Int {
        guard let segment = memory.topology.ownSegment else { return 0 }
        let ranges = partition.buckets.indices.reversed().map {
            partition.segment(segment, ofBucket: $0)
        }
        return memory.mappedPeerBytes(of: ranges)
    }

    /// The arenas of gradients that a rank of `size` holds at once.
    package static func arenaCount(ofRank rank: Int, size: Int, tree: ReductionTree) -> Int {
        LaneStack.bufferCount(lanes: tree.lanes(ofRank: rank, size: size), tree: tree)
    }

    /// Why ranks of a host exchange messages though they could share memory, with the remedy, for
    /// the log; nil where they share it.
    package var notice: String? { memory.notice }

    /// Bytes that MPI holds for messages between hosts: one that is under way with each of them.
    package var messageBytes: Int {
        exchange == nil ? 0 : (hostCount - 1) * MPIEnvironment.eagerBytes
    }

    /// The hosts of the ranks: how many groups share memory.
    package var hostCount: Int { memory.topology.hosts.count }

    /// Sharded, the parameters that `updateParameters` updates: memory that the ranks of the host
    /// share, zeroed.
    package var parameters: Buffer<Float>? {
        memory.parameters.isEmpty ? nil : memory.parameters[memory.topology.localRank]
    }

    private let team: ThreadTeam
    private let communicator: Communicator
    private let elementCount: Int
    private let isSharded: Bool
    private let yields: Bool
    private let memory: HostMemory
    private let partition: BucketPartition
    /// The blocks' sums of squares, this rank's and all, where each rank knows its own alone.
    private lazy var ownAndAllSquares = (
        Buffer<Double>(count: memory.blockSums.count), Buffer<Double>(count: memory.blockSums.count)
    )
    private var stack: LaneStack
    private var buckets: GradientBuckets
    private var local: LocalReduction
    /// Nil on one host, and on ranks that own no segment.
    private let exchange: HostExchange?
    private let parameterExchange: ParameterExchange?
    private let reduced: [SharedCounter]
    /// Buckets of all steps before this one.
    private var bucketsBefore = 0
    private var published = 0
    private var failure: Failure?
    private var laneIsOpen = false

    /// Collective over `communicator`.
    ///
    /// - Parameters:
    ///   - elementCount: the arena's, a multiple of 16.
    ///   - team: its threads share out the additions.
    ///   - bucketBytes: how much of the arena is exchanged at once; rounded up so that every rank
    ///     sums as much as any other.
    ///   - bucketsInExchange: how many of them can be on their way between hosts.
    ///   - wire: how they travel there.
    ///   - isSharded: whether each rank gets only the part of the sum that it owns.
    ///   - measuresLanes: whether `endLane` tells each lane's sum of squares.
    ///   - hostOfRank: each rank's host by any number, to try other layouts; nil for the real one.
    /// - Throws: what MPI reports; `.usage` for a LOCKSTEP_RANKS_PER_NODE that is not a number. The
    ///   tree has a lane for every rank: `LaneConfiguration` saw to it.
    package init(
        communicator: Communicator, tree: ReductionTree, elementCount: Int, team: ThreadTeam,
        bucketBytes: Int = defaultBucketBytes, bucketsInExchange: Int = defaultInExchange,
        wire: WireFormat = .fp32, isSharded: Bool = false, measuresLanes: Bool = true,
        hostOfRank: [Int]? = nil
    ) throws(Failure) {
        let size = communicator.size
        precondition(size <= tree.laneCount, "every rank has a lane")
        self.team = team
        self.communicator = communicator
        self.elementCount = elementCount
        self.isSharded = isSharded
        memory = try HostMemory(
            communicator: communicator, tree: tree, elementCount: elementCount,
            sharesParameters: isSharded, hostOfRank: hostOfRank)
        let topology = memory.topology
        yields =
            team.yields || topology.localRanks.count * team.threadCount > onlineProcessors()
        let hostNodes = topology.hosts.map { ranks in
            tree.wholeNodes(covering: ranks.map { tree.lanes(ofRank: $0, size: size) })
        }
        buckets = GradientBuckets(
            count: elementCount,
            bucketElements: BucketPartition.bucketElements(
                bytes: bucketBytes, segmentCount: topology.segmentCount,
                hostCount: topology.hosts.count))
        partition = BucketPartition(
            buckets: buckets.ranges, segmentCount: topology.segmentCount,
            hostCount: topology.hosts.count)
        stack = LaneStack(
            tree: tree, lanes: tree.lanes(ofRank: communicator.rank, size: size),
            elementCount: elementCount, nodes: memory.nodes[topology.localRank], wire: wire,
            measuresLanes: measuresLanes)
        local = LocalReduction(
            memory: memory, tree: tree, hostNodes: hostNodes[topology.host], size: size,
            partition: partition, wire: wire, scatters: isSharded)
        // Collective, so that all ranks take part in each.
        let forGradients = size == 1 ? communicator : try communicator.duplicate()
        let forParameters = size == 1 || !isSharded ? communicator : try communicator.duplicate()
        if topology.hosts.count > 1, let segment = topology.ownSegment {
            exchange = HostExchange(
                communicator: forGradients, memory: memory, local: local, hostNodes: hostNodes,
                tree: tree, partition: partition, segment: segment, slots: bucketsInExchange,
                wire: wire, scatters: isSharded)
        } else {
            exchange = nil
        }
        parameterExchange =
            isSharded
            ? ParameterExchange(
                communicator: forParameters, memory: memory, partition: partition, yields: yields)
            : nil
        reduced = memory.counters(.reduced)
    }

    /// Buckets of this step whose gradient is complete on this rank; always all or none on one
    /// rank.
    package var startedBuckets: Int { local.announced }
    /// Buckets of this step whose sum this rank has in hand, or has published to its host.
    package var finishedBuckets: Int { published }

    /// The lanes that this rank computes, in order.
    package var lanes: Range<Int> { stack.lanes }

    /// The elements of the arena that a rank owns, rising; all of them unless sharded.
    package func ownedRanges(ofRank rank: Int) -> [Range<Int>] {
        guard isSharded else { return [0..<elementCount] }
        let place = memory.topology.place(of: rank)
        guard let segment = place.segment else { return [] }
        return partition.parts(segment, host: place.host)
    }

    /// Gives shared memory back, on all ranks together; nothing may be called or read after.
    ///
    /// Without it, the end of MPI does.
    package func free() throws(Failure) { try memory.free() }

    /// Begins a step; the memory that the last step's `finish` returned is used again.
    package func beginStep() {
        precondition(!laneIsOpen, "a step begins when the last lane has ended")
        stack.reset()
        bucketsBefore += local.announced
        published = 0
        local.begin()
        exchange?.begin()
    }

    /// The buffer for a lane's gradient, with arbitrary contents; lanes come in rising order.
    package func beginLane(_ lane: Int) -> Buffer<Float> {
        precondition(!laneIsOpen, "a lane begins when the one before has ended")
        laneIsOpen = true
        buckets.reset()
        return stack.begin(lane)
    }

    /// Notes that part of the lane's gradient is complete: no element twice in a lane.
    ///
    /// It is added to earlier lanes' at once, while it is in cache.
    package func finished(_ range: Range<Int>) {
        precondition(laneIsOpen, "gradients are finished within a lane")
        let ready = buckets.finish(range)
        if ready.isEmpty { return }
        let isAlone = communicator.size == 1
        let squares = isAlone && stack.isInLastLane ? memory.blockSums : nil
        for bucket in ready {
            stack.merge(buckets.ranges[bucket], team: team, squares: squares)
            if isAlone || !stack.isInLastLane { continue }
            // At once, while the bucket is in cache.
            local.announce(bucket + 1)
            progress()
        }
    }

    /// Ends the lane, all of whose gradient is complete.
    ///
    /// - Returns: the sum of squares of the lane's own gradient; nil unless lanes are measured.
    @discardableResult
    package func endLane() -> Double? {
        precondition(laneIsOpen, "a lane ends once")
        precondition(buckets.areAllReady, "all of a lane's gradient is finished")
        let squares = stack.sumOfSquares
        stack.pop()
        laneIsOpen = false
        return squares
    }

    /// Sums what has become ready and lets messages move; to be called now and then during
    /// backward, for nothing moves by itself. It never waits.
    package func progress() {
        guard isUnderWay else { return }
        // Open MPI takes one message from a connection in a look, and many may have come since the
        // last.
        var looks = exchange == nil ? 1 : Self.looksInVain
        while looks > 0 { looks = advance() && exchange != nil ? Self.looksInVain : looks - 1 }
    }

    /// Whether there is anything to sum, send or receive by now.
    package var isUnderWay: Bool {
        local.summed != local.announced || !(exchange?.isIdle ?? true)
    }

    /// Looks at the network that find nothing done before `progress` gives up.
    private static let looksInVain = 4

    /// Waits for the exchange and returns the sum over all lanes, valid until the next `beginStep`.
    ///
    /// Sharded, it is valid only in this rank's `ownedRanges`.
    ///
    /// - Throws: what MPI reported since the step began; the job cannot go on after that.
    package func finish() throws(Failure) -> Buffer<Float> {
        precondition(!laneIsOpen && stack.isInLastLane, "a step finishes after the last lane")
        let start = ContinuousClock.now
        if communicator.size > 1 {
            var spinWait = SpinWait(yields: yields)
            while failure == nil, !isComplete {
                if advance() { spinWait.reset() } else { spinWait.wait() }
            }
            if let failure { throw failure }
        }
        sumOfSquares = try totalOfSquares()
        exposedSeconds = (ContinuousClock.now - start) / .seconds(1)
        return memory.nodes[memory.topology.localRank][0]
    }

    /// Sharded, has this rank update the parameters that it owns and returns when every rank has
    /// all of them.
    ///
    /// `update` changes the elements of a range in `parameters` and nothing else; it is called on
    /// any thread of the team for ranges that lie in `ownedRanges`. After it, and before the next
    /// step's last lane, ranks may read their parameters.
    package func updateParameters(_ update: (Range<Int>) -> Void) throws(Failure) {
        guard let parameterExchange else { preconditionFailure("only a sharded step gathers") }
        try parameterExchange.run(team: team, update: update)
    }

    // MARK: - Moving on

    /// Does what can be done at once; says whether that was anything.
    private func advance() -> Bool {
        guard failure == nil else { return false }
        do throws(Failure) {
            var moved = local.progress(team: team)
            if let exchange {
                if moved { try exchange.start(upTo: local.summed, team: team) }
                if try exchange.progress(team: team) { moved = true }
            }
            if moved { publish() }
            return moved
        } catch {
            failure = error
            return false
        }
    }

    /// Tells the host's ranks which buckets are done.
    private func publish() {
        guard memory.topology.ownSegment != nil else { return }
        let done = exchange?.finished ?? local.summed
        guard done > published else { return }
        published = done
        reduced[memory.topology.localRank].publish(UInt64(bucketsBefore + done))
    }

    /// Whether all buckets are in place and no message is under way.
    private var isComplete: Bool {
        guard local.summed == partition.buckets.count, exchange?.isIdle ?? true else {
            return false
        }
        let all = UInt64(bucketsBefore + partition.buckets.count)
        return reduced.prefix(memory.topology.segmentCount).allSatisfy { $0.value >= all }
    }

    private func totalOfSquares() throws(Failure) -> Double {
        let sums = memory.blockSums
        guard isSharded, hostCount > 1 else { return SumOfSquares.total(sums) }
        // Every block's sum is on one rank and zero on all others, so their sum is exact.
        let (own, all) = ownAndAllSquares
        for range in ownedRanges(ofRank: communicator.rank) {
            for block in range.lowerBound
                / SumOfSquares.blockSize..<SumOfSquares.blockCount(range.upperBound)
            {
                own.base[block] = sums.base[block]
            }
        }
        try communicator.allReduce(own.base, into: all.base, count: sums.count, .sum)
        return SumOfSquares.total(all)
    }
}
