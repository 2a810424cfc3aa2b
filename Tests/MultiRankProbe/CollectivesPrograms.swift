import Collectives
import Compute
import Foundation
import MPI
import Recipes
import Support
import TestSupport

/// Sums known gradients with the reducer and compares every bit with a naive recursive sum. Rank 0
/// compares all elements, and the other ranks compare the hash of rank 0's.
///
/// The arguments are `lanes` and `wires` (lists, whose pairs are the cases), `count` (elements),
/// `bucket` (bytes), `slots`, `steps`, `threads`, `sharded` and `moves` (0 or 1: whether every step
/// has another division of the lanes); `hosts` groups the ranks, as in `0,0,1`; `order` is the
/// order in which the last lane's ranges are finished: `backward` (end to start), `forward` or
/// `scattered`.
func reduce(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let wires = arguments.text("wires", default: "fp32").split(separator: ",")
    for lanes in arguments.text("lanes", default: "8").split(separator: ",") {
        for wire in wires {
            try reduce(
                world, arguments, lanes: Int(lanes) ?? 8,
                wire: WireFormat(rawValue: String(wire)) ?? .fp32)
        }
    }
}

private func reduce(
    _ world: Communicator, _ arguments: Arguments, lanes laneCount: Int, wire: WireFormat
) throws(Failure) {
    // The batch has one sequence per lane.
    let configuration = try world.agree { () throws(Failure) in
        try LaneConfiguration(globalBatch: laneCount, lanes: laneCount, ranks: world.size)
    }
    let count = arguments.number("count", default: 4096)
    let team = ThreadTeam(threads: arguments.number("threads", default: 1), yields: true)
    let isSharded = arguments.number("sharded", default: 0) == 1
    let moves = arguments.number("moves", default: 0) == 1
    let reducer = try GradientReducer(
        communicator: world, tree: configuration.tree, elementCount: count, team: team,
        bucketBytes: arguments.number("bucket", default: 4096),
        bucketsInExchange: arguments.number("slots", default: 8), wire: wire,
        isSharded: isSharded, movesLanes: moves, hostOfRank: hosts(arguments))

    var report = ReduceReport()
    report.rank = world.rank
    report.size = world.size
    report.host = Communicator.hostName
    report.lanes = Array(reducer.lanes)
    report.hosts = reducer.hostCount
    report.notice = reducer.notice ?? ""
    var buffers: Set<UInt> = []
    let divisions = moves ? everyDivision(configuration.tree, ranks: world.size) : []
    for step in 0..<arguments.number("steps", default: 2) {
        let gradients = KnownGradients(step: step)
        if !divisions.isEmpty {
            let random = CounterRandom(key: 13)
            reducer.divide(divisions[Int(random.bits(UInt64(step)) % UInt64(divisions.count))])
            report.divisions.append((0..<world.size).map { reducer.division[$0].count })
        }
        reducer.beginStep()
        for lane in reducer.lanes {
            let gradient = reducer.beginLane(lane)
            buffers.insert(UInt(bitPattern: gradient.base))
            for range in ranges(of: count, order: arguments.text("order", default: "backward")) {
                for index in range { gradient.base[index] = gradients.value(lane, index) }
                reducer.finished(range)
                reducer.progress()
            }
            reducer.endLane()
        }
        var sum = try reducer.finish()
        buffers.insert(UInt(bitPattern: sum.base))
        if isSharded { sum = try gathered(sum, by: reducer, rank: world.rank) }
        let ownHash = hash(sum)
        report.hashes.append(ownHash)
        report.squares.append(reducer.sumOfSquares.bitPattern)
        if reducer.sumOfSquares.bitPattern != SumOfSquares.of(sum).bitPattern {
            report.wrongSquares += 1
        }
        var found = (offTree: 0, orderSensitive: 0)
        if world.rank == 0 { found = compare(sum, with: gradients, laneCount, wire) }
        let shared = try world.allGather([Int64(found.offTree), Int64(found.orderSensitive)])
        let isEqual = try world.allGatherBytes(Array(ownHash.utf8))[0] == Array(ownHash.utf8)
        report.elementsOffTree += isEqual ? Int(shared[0]) : count
        report.elementsOrderSensitive += Int(shared[1])
    }
    report.buffers = buffers.count
    report.bytesSent = reducer.bytesSent
    report.messagesSent = reducer.messagesSent
    report.owned = reducer.ownedRanges(ofRank: world.rank).reduce(0) { $0 + $1.count }
    try reducer.free()
    try printReports(report, on: world)
}

/// Returns all divisions of the lanes that the reducer allows.
private func everyDivision(_ tree: ReductionTree, ranks: Int) -> [LaneDivision] {
    let limit = GradientReducer.arenaLimit(ranks: ranks, tree: tree)
    var divisions: [LaneDivision] = []
    func extend(_ boundaries: [Int]) {
        let start = boundaries[boundaries.count - 1]
        let isLast = boundaries.count == ranks
        for end in (isLast ? tree.laneCount : start + 1)..<(tree.laneCount + 1)
        where start < end && tree.shape(of: start..<end).buffers <= limit {
            if isLast {
                divisions.append(LaneDivision(boundaries: boundaries + [end]))
            } else {
                extend(boundaries + [end])
            }
        }
    }
    extend([0])
    return divisions
}

/// Returns the number of elements that differ from the naive recursive sum, and of those that would
/// differ if the lanes were added from first to last.
private func compare(
    _ sum: Buffer<Float>, with gradients: KnownGradients, _ laneCount: Int, _ wire: WireFormat
) -> (offTree: Int, orderSensitive: Int) {
    var offTree = 0
    var orderSensitive = 0
    for index in 0..<sum.count {
        let values = (0..<laneCount).map { rounded(gradients.value($0, index), wire) }
        let ordered = values.dropFirst().reduce(values[0]) { rounded($0 + $1, wire) }
        let bits = treeSum(values[...], wire).bitPattern
        if sum.base[index].bitPattern != bits { offTree += 1 }
        if ordered.bitPattern != bits { orderSensitive += 1 }
    }
    return (offTree, orderSensitive)
}

/// Returns the host of each rank according to `hosts`, or nil if it is unset.
private func hosts(_ arguments: Arguments) -> [Int]? {
    let text = arguments.text("hosts")
    return text.isEmpty ? nil : text.split(separator: ",").compactMap { Int($0) }
}

/// Returns the complete sum of a sharded step: every rank adds its own shard to parameters of zero.
private func gathered(
    _ sum: Buffer<Float>, by reducer: GradientReducer, rank: Int
) throws(Failure) -> Buffer<Float> {
    let owned = reducer.ownedRanges(ofRank: rank)
    guard let parameters = reducer.parameters?.values else { return sum }
    try reducer.updateParameters { range in
        precondition(owned.contains { range.clamped(to: $0) == range }, "a rank updates its own")
        for index in range { parameters.base[index] = sum.base[index] }
    }
    return parameters
}

/// Returns a node's value after rounding for the wire. For bfloat16 this is the nearest of the two
/// values around it; halfway it is the one with an even significand.
private func rounded(_ value: Float, _ wire: WireFormat) -> Float {
    guard wire == .bf16, value.isFinite else { return value }
    let below = Float(bitPattern: value.bitPattern & 0xFFFF_0000)
    let above = Float(bitPattern: (value.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
    // This is exact, because the distances are differences of neighboring values.
    let toBelow = abs(value - below)
    let toAbove = abs(above - value)
    if toBelow != toAbove { return toBelow < toAbove ? below : above }
    return below.bitPattern & 0x1_0000 == 0 ? below : above
}

/// Gradients whose magnitudes span 2^-20 to 2^20, so that the order of additions matters. They
/// include signed zeros and subnormal numbers and, in even steps, infinities and NaNs.
private struct KnownGradients {
    private let random: CounterRandom
    private let areFinite: Bool

    init(step: Int) {
        areFinite = step % 2 == 1
        random = CounterRandom(key: 77 + UInt64(step))
    }

    func value(_ lane: Int, _ index: Int) -> Float {
        switch index {
        case 1: return lane == 2 && !areFinite ? .infinity : 1
        case 2: return lane % 2 == 0 ? -0.0 : 0.0
        case 3: return .leastNonzeroMagnitude * Float(lane)
        case 4: return -0.0
        case 5: return lane == 1 && !areFinite ? .nan : 1
        default:
            let words = random.words(at: SIMD4(UInt32(index), UInt32(lane), 0, 0))
            let fraction = 1 + Float(words.x >> 9) * 0x1p-23
            let exponent = Int(words.y % 41) - 20
            return Float(
                sign: words.z & 1 == 0 ? .plus : .minus, exponent: exponent, significand: fraction)
        }
    }
}

/// Returns the reduction tree's sum by plain recursion over its definition.
private func treeSum(_ values: ArraySlice<Float>, _ wire: WireFormat) -> Float {
    if values.count == 1 { return values[values.startIndex] }
    var half = 1
    while half * 2 < values.count { half *= 2 }
    return rounded(
        treeSum(values.prefix(half), wire) + treeSum(values.dropFirst(half), wire), wire)
}

/// Returns pieces of the arena of 16 to 1008 elements in the order in which they are finished.
private func ranges(of count: Int, order: String) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    var piece = 0
    while start < count {
        let end = min(count, start + 16 * (1 + piece * 37 % 63))
        ranges.append(start..<end)
        start = end
        piece += 1
    }
    switch order {
    case "forward": return ranges
    case "scattered":
        let random = CounterRandom(key: 5)
        return ranges.indices.sorted { random.bits(UInt64($0)) < random.bits(UInt64($1)) }
            .map { ranges[$0] }
    default: return ranges.reversed()
    }
}

/// Returns the FNV-1a hash of the bytes.
private func hash(_ buffer: Buffer<Float>) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in buffer.bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
}

private struct ProbeStatistics: LaneStatistics {
    var loss: Double
    var targets: Double

    static func + (left: Self, right: Self) -> Self {
        Self(loss: left.loss + right.loss, targets: left.targets + right.targets)
    }
}

/// Exchanges statistics over `lanes` lanes. The rank `asking` requests a checkpoint, and the next
/// rank requests a stop.
func exchangeStatistics(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let tree = ReductionTree(laneCount: arguments.number("lanes", default: 8))
    let random = CounterRandom(key: 11)
    let own = tree.equalDivision(among: world.size)[world.rank].map { lane in
        ProbeStatistics(
            loss: random.uniform(UInt64(lane)) * Double(1 << (lane * 3 % 40)),
            targets: Double(lane + 1))
    }
    let asking = arguments.number("asking", default: -1)
    var requests: RankRequests = []
    if world.rank == asking { requests.insert(.checkpoint) }
    if world.rank == asking + 1, asking >= 0 { requests.insert(.stop) }
    let exchange = LaneExchange<ProbeStatistics>(communicator: world, tree: tree)
    let totals = try exchange.exchange(
        own, in: tree.equalDivision(among: world.size), requests: requests)
    var report = StatisticsReport()
    report.rank = world.rank
    report.size = world.size
    report.lossBits = totals.sum.loss.bitPattern
    report.targets = totals.sum.targets
    report.laneLosses = totals.lanes.map(\.loss)
    report.requests = totals.requests.map(\.rawValue)
    report.anyRequest = totals.anyRequest.rawValue
    try printReports(report, on: world)
}

/// Lets rank 1 stop for some seconds after the first of three buckets, so that the watch of rank 0 reports
/// the place where it waits.
func waitForABucket(_ world: Communicator) throws(Failure) {
    let bucket = 2 * SumOfSquares.blockSize
    let reducer = try GradientReducer(
        communicator: world, tree: ReductionTree(laneCount: 2), elementCount: 3 * bucket,
        team: ThreadTeam(threads: 1, yields: true), bucketBytes: 4 * bucket)
    let watch = try StallWatch(of: world) { FileHandle.standardError.write(Data("\($0)\n".utf8)) }
    RankPlace.enter(.passes, step: 8)
    reducer.beginStep()
    for lane in reducer.lanes {
        let gradient = reducer.beginLane(lane)
        for index in 0..<gradient.count { gradient.base[index] = 1 }
        if world.rank == 0 { reducer.finished(0..<gradient.count) }
        try world.barrier()
        if world.rank == 1 {
            reducer.finished(2 * bucket..<gradient.count)
            while reducer.finishedBuckets == 0 { reducer.progress() }
            Thread.sleep(forTimeInterval: 4)
            reducer.finished(0..<2 * bucket)
        }
        reducer.endLane()
    }
    RankPlace.enter(.reduction, step: 8)
    let sum = try RankActivity.during(.waiting) { () throws(Failure) in try reducer.finish() }
    let isRight = sum.base[0] == 2
    watch.end()
    try reducer.free()
    try printReports(["ended": isRight], on: world)
}

/// Measures the time of exchanges and of MPI_Allreduce.
///
/// The arguments are `kib` or `mib`, `bucket` (bytes), `slots`, `steps`, `wire`, `sharded`, `hosts`
/// and `mpi` (0 leaves MPI_Allreduce out).
///
/// With `layers` and `layer_ms` the gradient is finished in that number of parts, each after some
/// milliseconds of arithmetic that calls `progress` `polls` times, as the backward pass would;
/// without them it is finished at once. Prints the median and the fastest seconds of a step, the
/// seconds that were not hidden behind arithmetic, the gradient's bytes per second, and
/// MPI_Allreduce's median.
func benchmark(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let kibibytes = arguments.number("kib", default: arguments.number("mib", default: 64) << 10)
    let count = kibibytes << 8
    let layers = arguments.number("layers", default: 1)
    let layerSeconds = Double(arguments.number("layer_ms", default: 0)) / 1000
    let polls = arguments.number("polls", default: 1)
    let isSharded = arguments.number("sharded", default: 0) == 1
    let reducer = try GradientReducer(
        communicator: world, tree: ReductionTree(laneCount: world.size), elementCount: count,
        team: ThreadTeam(threads: arguments.number("threads", default: 1)),
        bucketBytes: arguments.number("bucket", default: GradientReducer.defaultBucketBytes),
        bucketsInExchange: arguments.number("slots", default: GradientReducer.defaultInExchange),
        wire: WireFormat(rawValue: arguments.text("wire", default: "fp32")) ?? .fp32,
        isSharded: isSharded, hostOfRank: hosts(arguments))
    let usesMPI = arguments.number("mpi", default: 1) == 1
    let source = Buffer<Float>(count: usesMPI ? count : 16)
    let result = Buffer<Float>(count: usesMPI ? count : 16)
    for index in 0..<source.count { source.base[index] = Float(index % 97) }
    var seconds: [Double] = []
    var exposed: [Double] = []
    var peers: [Double] = []
    for step in 0..<arguments.number("steps", default: 7) {
        reducer.beginStep()
        let gradient = reducer.beginLane(world.rank)
        for index in 0..<count { gradient.base[index] = Float((index + step) % 97) }
        try world.barrier()
        let start = ContinuousClock.now
        for layer in (0..<layers).reversed() {
            for _ in 0..<polls {
                compute(for: layerSeconds / Double(polls))
                reducer.progress()
            }
            let units = count / 16
            reducer.finished(units * layer / layers * 16..<units * (layer + 1) / layers * 16)
        }
        reducer.endLane()
        let finishStart = ContinuousClock.now
        let sum = try reducer.finish()
        exposed.append((ContinuousClock.now - finishStart) / .seconds(1))
        if isSharded, let parameters = reducer.parameters?.values {
            try reducer.updateParameters { range in
                (parameters.base + range.lowerBound).update(
                    from: sum.base + range.lowerBound, count: range.count)
            }
        }
        seconds.append((ContinuousClock.now - start) / .seconds(1))
        guard usesMPI else { continue }
        try world.barrier()
        let peerStart = ContinuousClock.now
        try world.allReduce(source.base, into: result.base, count: count, .sum)
        peers.append((ContinuousClock.now - peerStart) / .seconds(1))
    }
    try reducer.free()
    guard world.rank == 0, let fastest = seconds.dropFirst().min() else { return }
    let (median, peer) = (warmMedian(seconds), warmMedian(peers))
    print(
        "{\"ranks\": \(world.size), \"kib\": \(kibibytes), \"median\": \(median), "
            + "\"fastest\": \(fastest), \"exposed\": \(warmMedian(exposed)), "
            + "\"gb_per_second\": \(Double(count) * 4e-9 / median), "
            + "\"bytes_sent\": \(reducer.bytesSent), \"mpi\": \(peer), "
            + "\"ratio\": \(peer / median)}")
}

/// Returns the median without the first value, during which memory is touched and connections are
/// opened, or 0 if there is no other.
private func warmMedian(_ values: [Double]) -> Double {
    let sorted = values.dropFirst().sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
}

/// Keeps a core busy.
private func compute(for seconds: Double) {
    let start = ContinuousClock.now
    while (ContinuousClock.now - start) / .seconds(1) < seconds {}
}
