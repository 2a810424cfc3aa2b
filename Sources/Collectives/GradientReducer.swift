import Compute
import MPI
import Support

/// Sums the lanes' gradients over all ranks along the reduction tree while the backward pass runs.
///
/// In each step, a rank processes its `lanes` in their order: `beginLane` returns the buffer for a lane's
/// gradient, `finished` reports which parts of it are complete, `endLane` ends the lane, and
/// `finish` returns the sum over all lanes of all ranks. The sum has the same bytes on every rank
/// and for every number of ranks. Each bucket is merged as soon as `finished` completes it, and is
/// exchanged in the last lane.
///
/// The ranks of one host add one another's sums in memory that they share; the hosts exchange
/// messages. If the reducer is sharded, each rank gets only the part of the sum that it owns, and
/// `updateParameters` then gives every rank all parameters.
///
/// All calls must come from one thread. An MPI error is kept until `finish`, so that the backward
/// pass need not throw. Infinities and values that are not a number are summed like all others.
package final class GradientReducer {
    /// The default size of a bucket in bytes.
    ///
    /// Small buckets keep both directions of a link busy and stay in cache. The command `bench`
    /// of multirank-probe measures the effect.
    package static let defaultBucketBytes = 1 << 20
    /// The default number of buckets that can be under way between hosts at once.
    ///
    /// At most this many buckets can move between two checks of the network, which the backward
    /// pass makes many milliseconds apart.
    package static let defaultInExchange = 16

    /// The sum of squares of the last step's reduced gradient, with the same bits as
    /// `SumOfSquares`.
    package private(set) var sumOfSquares = 0.0
    /// The number of bytes that this rank sent in the last step.
    package var bytesSent: Int { exchange?.bytesSent ?? 0 }
    /// The number of messages that this rank sent to other hosts in the last step.
    package var messagesSent: Int { exchange?.messagesSent ?? 0 }

    /// The number of bytes that this rank holds for gradients, messages and bookkeeping, including
    /// its part of shared memory except for the parameters.
    package var bytes: Int {
        arenaCount * elementCount * MemoryLayout<Float>.stride + stack.bookkeepingBytes
            + (exchange?.bytes ?? 0) + memory.bookkeepingBytes
    }

    /// The number of gradient arenas that this rank needs, also after lanes have moved.
    private var arenaCount: Int {
        movesLanes
            ? Self.arenaLimit(ranks: communicator.size, tree: tree) : stack.schedule.bufferCount
    }

    /// The number of bytes of other ranks' shared memory that this rank also maps once it has read
    /// and written its segments: they count as resident in each rank, but exist once.
    package var peerBytes: Int {
        guard let segment = memory.topology.ownSegment else { return 0 }
        let ranges = partition.buckets.indices.reversed().map {
            partition.segment(segment, ofBucket: $0)
        }
        return memory.mappedPeerBytes(
            of: ranges,
            nodeCounts: memory.topology.localRanks.map {
                tree.wholeNodes(covering: division[$0]).count
            })
    }

    /// Returns the largest number of gradient arenas that a rank holds in the equal division, and
    /// may hold in any other.
    package static func arenaLimit(ranks: Int, tree: ReductionTree) -> Int {
        let division = tree.equalDivision(among: ranks)
        return (0..<ranks).reduce(1) { max($0, tree.shape(of: division[$1]).buffers) }
    }

    /// A log notice of why ranks of a host exchange messages although they could share memory, with
    /// the remedy; nil if they share it.
    package var notice: String? { memory.notice }

    /// The number of bytes that MPI holds for messages between hosts, at one message per other
    /// host.
    package var messageBytes: Int {
        exchange == nil ? 0 : (hostCount - 1) * MPIEnvironment.eagerBytes
    }

    /// The number of hosts, which are the groups of ranks that share memory.
    package var hostCount: Int { memory.topology.hosts.count }

    /// The parameters that `updateParameters` updates, in memory that the ranks of the host share;
    /// nil unless the reducer is sharded.
    package let parameters: HostParameters?

    private let team: ThreadTeam
    private let communicator: Communicator
    /// The communicator of the exchange between hosts.
    private let exchangeCommunicator: Communicator
    private let tree: ReductionTree
    private let elementCount: Int
    private let bucketsInExchange: Int
    private let wire: WireFormat
    private let isSharded: Bool
    private let measuresLanes: Bool
    private let movesLanes: Bool
    private let yields: Bool
    private let memory: HostMemory
    private let partition: BucketPartition
    /// The blocks' sums of squares: those that this rank knows, and those of all ranks. They are
    /// needed if each rank knows only the sums of its own blocks.
    private lazy var ownAndAllSquares = (
        Buffer<Double>(count: memory.blockSums.count), Buffer<Double>(count: memory.blockSums.count)
    )
    private var stack: LaneStack
    private var buckets: GradientBuckets
    private var local: LocalReduction
    /// The exchange with other hosts; nil on one host and on ranks that own no segment.
    private var exchange: HostExchange?
    private let parameterExchange: ParameterExchange?
    private let reduced: [SharedCounter]
    /// The number of buckets of all earlier steps.
    private var bucketsBefore = 0
    private var published = 0
    private var failure: Failure?
    private var laneIsOpen = false

    /// Creates a reducer; collective: every rank of `communicator` must call this.
    ///
    /// - Parameters:
    ///   - elementCount: the number of elements in the arena, a multiple of 16.
    ///   - team: the threads that share the additions.
    ///   - bucketBytes: the size of the pieces in which the arena is exchanged, rounded up so that
    ///     every rank sums the same amount.
    ///   - bucketsInExchange: the number of buckets that can be under way between hosts.
    ///   - wire: the number format of messages between hosts.
    ///   - isSharded: whether each rank gets only the part of the sum that it owns.
    ///   - roundsParameters: whether the parameters of a sharded reducer have a rounded copy.
    ///   - measuresLanes: whether `endLane` returns each lane's sum of squares.
    ///   - movesLanes: whether `divide` may be called, which takes more shared memory.
    ///   - hostOfRank: a number that identifies each rank's host, to test other layouts; nil for
    ///     the real hosts.
    /// - Throws: `Failure` (usage) if LOCKSTEP_RANKS_PER_NODE is not a number of ranks, or the
    ///   error that MPI reports. `LaneConfiguration` ensures that the tree has a lane for every
    ///   rank.
    package init(
        communicator: Communicator, tree: ReductionTree, elementCount: Int, team: ThreadTeam,
        bucketBytes: Int = defaultBucketBytes, bucketsInExchange: Int = defaultInExchange,
        wire: WireFormat = .fp32, isSharded: Bool = false, roundsParameters: Bool = false,
        measuresLanes: Bool = true, movesLanes: Bool = false, hostOfRank: [Int]? = nil
    ) throws(Failure) {
        let size = communicator.size
        precondition(size <= tree.laneCount, "every rank has a lane")
        self.team = team
        self.communicator = communicator
        self.tree = tree
        self.elementCount = elementCount
        self.bucketsInExchange = bucketsInExchange
        self.wire = wire
        self.isSharded = isSharded
        self.measuresLanes = measuresLanes
        self.movesLanes = movesLanes
        division = tree.equalDivision(among: size)
        memory = try HostMemory(
            communicator: communicator,
            nodeCount: movesLanes
                ? Self.arenaLimit(ranks: size, tree: tree) : division.mostNodes(in: tree),
            elementCount: elementCount, sharesParameters: isSharded,
            roundsParameters: roundsParameters, hostOfRank: hostOfRank)
        let topology = memory.topology
        yields =
            team.yields || topology.localRanks.count * team.threadCount > onlineProcessors()
        buckets = GradientBuckets(
            count: elementCount,
            bucketElements: BucketPartition.bucketElements(
                bytes: bucketBytes, segmentCount: topology.segmentCount,
                hostCount: topology.hosts.count))
        partition = BucketPartition(
            buckets: buckets.ranges, segmentCount: topology.segmentCount,
            hostCount: topology.hosts.count)
        let schedule = LaneSchedule(tree: tree, lanes: division[communicator.rank])
        stack = LaneStack(
            schedule, elementCount: elementCount, buffers: memory.ownNodes(schedule.nodes.count),
            wire: wire, measuresLanes: measuresLanes)
        local = LocalReduction(
            memory: memory, partition: partition, wire: wire, scatters: isSharded)
        // Both calls are collective, so all ranks make them.
        exchangeCommunicator = size == 1 ? communicator : try communicator.duplicate()
        let forParameters = size == 1 || !isSharded ? communicator : try communicator.duplicate()
        let parameters = isSharded ? try HostParameters(memory, communicator: communicator) : nil
        self.parameters = parameters
        parameterExchange = parameters.map { [memory, partition, yields] parameters in
            ParameterExchange(
                communicator: forParameters, parameters: parameters, memory: memory,
                partition: partition, yields: yields)
        }
        reduced = memory.counters(.reduced)
        joinNodes()
    }

    /// Divides the lanes among the ranks from the next step on. Every rank must call this between
    /// the same two steps; no messages are sent.
    package func divide(_ division: LaneDivision) {
        precondition(movesLanes && !laneIsOpen, "lanes may move between steps")
        precondition(
            division.rankCount == communicator.size && division.laneCount == tree.laneCount,
            "a division of these lanes among these ranks")
        let schedule = LaneSchedule(tree: tree, lanes: division[communicator.rank])
        precondition(schedule.bufferCount <= arenaCount, "a rank has memory for its lanes")
        self.division = division
        stack = LaneStack(
            schedule, elementCount: elementCount, buffers: memory.ownNodes(schedule.nodes.count),
            wire: wire, measuresLanes: measuresLanes)
        // The old message memory is freed before the new is allocated.
        exchange = nil
        joinNodes()
    }

    /// Prepares the additions of the ranks' and the hosts' nodes.
    private func joinNodes() {
        let topology = memory.topology
        let hostNodes = topology.hosts.map { ranks in
            tree.wholeNodes(covering: ranks.map { division[$0] })
        }
        local.divide(division, tree: tree, hostNodes: hostNodes[topology.host], memory: memory)
        guard topology.hosts.count > 1, let segment = topology.ownSegment else { return }
        exchange = HostExchange(
            communicator: exchangeCommunicator, memory: memory, local: local,
            hostNodes: hostNodes, tree: tree, partition: partition, segment: segment,
            slots: bucketsInExchange, wire: wire, scatters: isSharded)
    }

    /// The number of buckets of this step whose gradient is complete on this rank; always all or
    /// none if there is one rank.
    package var startedBuckets: Int { local.announced }
    /// The number of buckets of this step whose sum this rank has, or has published to its host.
    package var finishedBuckets: Int { published }

    /// The lanes that this rank computes, in this order.
    package var lanes: [Int] { stack.schedule.lanes }
    /// The division of the lanes among the ranks.
    package private(set) var division: LaneDivision

    /// Returns the elements of the arena that a rank owns, in ascending order; all unless sharded.
    package func ownedRanges(ofRank rank: Int) -> [Range<Int>] {
        guard isSharded else { return [0..<elementCount] }
        let place = memory.topology.place(of: rank)
        guard let segment = place.segment else { return [] }
        return partition.parts(segment, host: place.host)
    }

    /// Frees the shared memory; collective. No method or buffer may be used after this call.
    ///
    /// If this is not called, the end of MPI frees the memory.
    package func free() throws(Failure) { try memory.free() }

    /// Begins a step, which reuses the memory that the last step's `finish` returned.
    package func beginStep() {
        precondition(!laneIsOpen, "a step begins when the last lane has ended")
        stack.reset()
        bucketsBefore += local.announced
        published = 0
        local.begin()
        exchange?.begin()
    }

    /// Returns the buffer for a lane's gradient, with arbitrary contents; lanes begin in the order of
    /// `lanes`.
    package func beginLane(_ lane: Int) -> Buffer<Float> {
        precondition(!laneIsOpen, "a lane begins when the one before has ended")
        laneIsOpen = true
        buckets.reset()
        return stack.begin(lane)
    }

    /// Records that part of the lane's gradient is complete; no element may be reported twice in a
    /// lane.
    ///
    /// The part is added to the earlier lanes' sum immediately, while it is in cache.
    package func finished(_ range: Range<Int>) {
        precondition(laneIsOpen, "gradients are finished within a lane")
        let ready = buckets.finish(range)
        if ready.isEmpty { return }
        let isAlone = communicator.size == 1
        let squares = isAlone && stack.isInLastLane ? memory.blockSums : nil
        for bucket in ready {
            stack.merge(buckets.ranges[bucket], team: team, squares: squares)
            if isAlone || !stack.isInLastLane { continue }
            // Immediately, while the bucket is in cache.
            local.announce(bucket + 1)
            progress()
        }
    }

    /// Ends the lane, whose gradient must be complete.
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

    /// Sums the buckets that have become ready and lets messages move, without waiting. Call this
    /// regularly during the backward pass, because messages move only during calls.
    package func progress() {
        guard isUnderWay else { return }
        // Open MPI takes one message from a connection per check, and many may have arrived since
        // the last one.
        var looks = exchange == nil ? 1 : Self.looksInVain
        while looks > 0 { looks = advance() && exchange != nil ? Self.looksInVain : looks - 1 }
    }

    /// Whether there is anything left to sum, send or receive of what has been announced.
    package var isUnderWay: Bool {
        local.summed != local.announced || !(exchange?.isIdle ?? true)
    }

    /// The number of checks that find nothing done before `progress` gives up.
    private static let looksInVain = 4

    /// Waits for the exchange and returns the sum over all lanes, which is valid until the next
    /// `beginStep`.
    ///
    /// If the reducer is sharded, the sum is valid only in this rank's `ownedRanges`.
    ///
    /// - Throws: the error that MPI reported since the step began; the job cannot continue after
    ///   it.
    package func finish() throws(Failure) -> Buffer<Float> {
        precondition(!laneIsOpen && stack.isInLastLane, "a step finishes after the last lane")
        if communicator.size > 1 {
            var spinWait = SpinWait(yields: yields)
            while failure == nil, !isComplete {
                if advance() {
                    spinWait.reset()
                } else {
                    RankPlace.finishedBuckets(completeBuckets, of: partition.buckets.count)
                    spinWait.wait()
                }
            }
            if let failure { throw failure }
        }
        sumOfSquares = try totalOfSquares()
        return memory.nodes[memory.topology.localRank][0]
    }

    /// Updates the parameters that this rank owns and returns once every rank has all parameters;
    /// requires a sharded reducer.
    ///
    /// `update` must change only the elements of the given range in `parameters`. It is called on
    /// any thread of the team for ranges within `ownedRanges`. `arrived` is called in the same way,
    /// on one rank of the host, for ranges that another host has updated. Ranks may read the
    /// parameters after this call and before the next step's last lane.
    package func updateParameters(
        _ update: (Range<Int>) -> Void, arrived: (Range<Int>) -> Void = { _ in }
    ) throws(Failure) {
        guard let parameterExchange else { preconditionFailure("only a sharded step gathers") }
        try parameterExchange.run(team: team, update: update, arrived: arrived)
    }

    // MARK: - Moving on

    /// Does the work that needs no waiting, and returns whether there was any.
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

    /// Publishes to the host's ranks which buckets are done.
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
        return completeBuckets == partition.buckets.count
    }

    /// The number of buckets of this step whose sum the host's ranks have.
    private var completeBuckets: Int {
        let all = UInt64(bucketsBefore + partition.buckets.count)
        let least = reduced.prefix(memory.topology.segmentCount).reduce(all) { min($0, $1.value) }
        return max(0, Int(least) - bucketsBefore)
    }

    private func totalOfSquares() throws(Failure) -> Double {
        let sums = memory.blockSums
        guard isSharded, hostCount > 1 else { return SumOfSquares.total(sums) }
        // Each block's sum is on one rank and zero on all others, so adding them is exact.
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
