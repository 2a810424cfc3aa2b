import Compute
import Foundation
import MPI
import Support
import TestSupport

func reportEnvironment(_ environment: borrowing MPIEnvironment) throws(Failure) {
    let world = environment.world
    let node = try world.splitShared()
    try world.barrier()
    try printReports(
        EnvironmentReport(
            rank: world.rank, size: world.size, host: Communicator.hostName,
            threadLevel: "\(environment.threadLevel)", launchedRank: MPIEnvironment.launchedRank,
            isSingleton: !MPIEnvironment.hasLauncher,
            libraryVersion: MPIEnvironment.libraryVersion, sharedRank: node.rank,
            sharedSize: node.size),
        on: world)
}

func reportCollectives(_ world: Communicator) throws(Failure) {
    let rank = world.rank
    let size = world.size
    var report = CollectivesReport()
    report.rank = rank
    report.size = size
    report.gathered = try world.allGather([Int64(10 * rank), Int64(10 * rank + 1)])
    report.gatheredBytes = try world.allGatherBytes(
        Array(repeating: UInt8(rank + 1), count: 2 * rank))
    report.minimum = try world.allReduce(Int64(rank + 5), .minimum)
    report.maximum = try world.allReduce(Double(rank) + 0.5, .maximum)
    report.sums = try world.allReduce([Int64(rank), 1], .sum)

    // Pieces have seven bytes, and the last one is short, as in real messages above 1 GiB.
    let bytes = Buffer<UInt8>(count: 100)
    let floats = Buffer<Float>(count: 9)
    if rank == size - 1 {
        for index in 0..<100 { bytes.base[index] = UInt8(index) }
        for index in 0..<9 { floats.base[index] = Float(index) / 4 }
    }
    try world.broadcast(bytes.bytes, root: size - 1, piece: 7)
    try world.broadcast(floats.bytes, root: size - 1)
    report.broadcastBytes = Array(bytes.elements)
    report.broadcastFloats = Array(floats.elements)

    try exchangeInRing(world, &report)
    try exchangeWithAll(world, &report)

    let part = try world.split(color: rank % 2, key: size - rank)
    report.splitRank = part.rank
    report.splitSize = part.size
    try sendOnTwoCommunicators(world, &report)
    try printReports(report, on: world)
}

/// Sends blocking messages to the next rank; a single rank sends none.
private func exchangeInRing(
    _ world: Communicator, _ report: inout CollectivesReport
) throws(Failure) {
    guard world.size > 1 else { return }
    let count = 300_000
    let outgoing = Buffer<Int32>(count: count)
    let incoming = Buffer<Int32>(count: count)
    for index in 0..<count { outgoing.base[index] = Int32(index * world.size + world.rank) }
    let next = (world.rank + 1) % world.size
    let previous = (world.rank + world.size - 1) % world.size
    // The last rank receives first; otherwise all ranks would wait to send.
    if world.rank == world.size - 1 {
        try world.receive(into: incoming.bytes, from: previous, tag: 3)
        try world.send(UnsafeRawBufferPointer(outgoing.bytes), to: next, tag: 3)
    } else {
        try world.send(UnsafeRawBufferPointer(outgoing.bytes), to: next, tag: 3)
        try world.receive(into: incoming.bytes, from: previous, tag: 3)
    }
    report.blockingSource = Int(incoming.base[0]) % world.size
    report.blockingIsWhole = (0..<count).allSatisfy {
        incoming.base[$0] == Int32($0 * world.size + previous)
    }
}

/// Sends nonblocking messages of growing size from every rank to every other one.
private func exchangeWithAll(
    _ world: Communicator, _ report: inout CollectivesReport
) throws(Failure) {
    func count(from source: Int) -> Int { 10 + source * 200_000 }
    var requests = RequestSet()
    var incoming: [Int: Buffer<Int32>] = [:]
    for peer in 0..<world.size where peer != world.rank {
        let memory = Buffer<Int32>(count: count(from: peer))
        incoming[peer] = memory
        try requests.receive(
            into: memory.bytes, from: peer, of: world, tag: 9, label: peer, keeping: memory)
    }
    for peer in 0..<world.size where peer != world.rank {
        // Only the request keeps this memory until it is sent.
        let memory = Buffer<Int32>(count: count(from: world.rank))
        for index in 0..<memory.count {
            memory.base[index] = Int32(index ^ (world.rank * 8 + peer))
        }
        let bytes = UnsafeRawBufferPointer(memory.bytes)
        try requests.send(bytes, to: peer, of: world, tag: 9, label: -1, keeping: memory)
    }
    var arrived: [Int] = []
    while requests.count > 0 { arrived += try requests.testSome() }
    report.nonblockingSources = arrived.filter { $0 >= 0 }.sorted().filter { peer in
        guard let memory = incoming[peer] else { return false }
        return (0..<memory.count).allSatisfy {
            memory.base[$0] == Int32($0 ^ (peer * 8 + world.rank))
        }
    }
}

/// Sends messages with equal tags on a communicator and on its duplicate.
private func sendOnTwoCommunicators(
    _ world: Communicator, _ report: inout CollectivesReport
) throws(Failure) {
    let copy = try world.duplicate()
    guard world.size > 1 else { return }
    if world.rank == 0 {
        for (communicator, value) in [(world, UInt8(1)), (copy, UInt8(2))] {
            let memory = Buffer<UInt8>(count: 1)
            memory.base[0] = value
            try communicator.send(UnsafeRawBufferPointer(memory.bytes), to: 1, tag: 5)
        }
    } else if world.rank == 1 {
        let memory = Buffer<UInt8>(count: 1)
        var requests = RequestSet()
        try requests.receive(
            into: memory.bytes, from: 0, of: copy, tag: 5, label: 0, keeping: memory)
        while requests.count > 0 { _ = try requests.testSome() }
        report.duplicateMessage = memory.base[0]
        try world.receive(into: memory.bytes, from: 0, tag: 5)
    }
}

/// Receives eight bytes on rank 0 while rank 1 sends `bytes`.
func receiveWrongSize(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let memory = Buffer<UInt8>(count: 64)
    if world.rank == 0 {
        let expected = UnsafeMutableRawBufferPointer(start: memory.base, count: 8)
        try world.receive(into: expected, from: 1)
    } else if world.rank == 1 {
        let count = arguments.number("bytes", default: 8)
        try world.send(UnsafeRawBufferPointer(start: memory.base, count: count), to: 0)
    }
    try world.barrier()
}

/// Lets the ranks in `failing` fail within an agreement; `alike` makes their sentences equal.
func agree(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let failing = arguments.text("failing").split(separator: ",").compactMap { Int($0) }
    let alike = arguments.text("alike") == "yes"
    let value = try world.agree { () throws(Failure) -> Int in
        if failing.contains(world.rank) {
            let name = alike ? "x" : "x\(world.rank)"
            throw Failure(.missingInput, "The file \(name) is not there; give another.")
        }
        return world.rank
    }
    try printReports(["value": value], on: world)
}

/// Compares strings; the ranks in `different` have another one than rank 0.
func compareStrings(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    let different = arguments.text("different").split(separator: ",").compactMap { Int($0) }
    let value = different.contains(world.rank) ? "build B" : "build A"
    try world.sameOnAllRanks("build", value, remedy: "copy one build to all hosts")
    try printReports(["same": true], on: world)
}

/// Ends rank 0's watch while it asks rank 1, whose watch has ended and never answers.
func endDuringInquiry(_ world: Communicator) throws(Failure) {
    let watch = try StallWatch(of: world) { _ in }
    if world.rank == 0 {
        // The watch counts whole seconds, so it asks 1.0 to 1.5 s after the next one begins.
        let uptime = ProcessInfo.processInfo.systemUptime
        Thread.sleep(forTimeInterval: uptime.rounded(.up) - uptime)
        RankActivity.during(.waiting) { Thread.sleep(forTimeInterval: 1.7) }
    }
    watch.end()
    try printReports(["ended": true], on: world)
}

/// Lets one rank fail while the others wait for it.
func failAlone(_ world: Communicator, _ arguments: Arguments) throws(Failure) {
    if world.rank == arguments.number("rank", default: 0) {
        throw Failure(.inputOutput, "The disk is full; free some space.")
    }
    try world.barrier()
}

/// Writes into every rank's part of a window, reads the values from the others, and frees it.
func shareWindow(_ world: Communicator) throws(Failure) {
    let bytes = 32 << 20
    let node = try world.splitShared()
    var report = WindowReport()
    report.rank = node.rank
    report.size = node.size
    try node.barrier()
    let before = SharedMemorySpace().freeBytes ?? 0
    try node.barrier()
    let window = try SharedWindow(node: node, bytes: bytes)
    report.isOnPages = window.parts.allSatisfy { part in
        Int(bitPattern: part.baseAddress) % SharedWindow.pageBytes == 0 && part.count >= bytes
    }
    let own = window.parts[node.rank]
    report.wasZero = window.parts.allSatisfy { $0.allSatisfy { $0 == 0 } }
    try node.barrier()
    let counters = window.parts.compactMap(\.baseAddress).map { base in
        (0..<node.size).map { SharedCounter(at: base + $0 * SharedCounter.stride) }
    }
    for page in stride(from: SharedWindow.pageBytes, to: bytes, by: SharedWindow.pageBytes) {
        own.storeBytes(of: 1, toByteOffset: page, as: UInt8.self)
    }
    for peer in 0..<node.size { counters[peer][node.rank].publish(UInt64(node.rank + 1)) }
    for (rank, counter) in counters[node.rank].enumerated() {
        while counter.value == 0 { usleep(100) }
        report.received.append(counter.value)
        precondition(counter.value == UInt64(rank + 1), "each rank writes its own number")
    }
    try node.barrier()
    report.bytesTaken = before - (SharedMemorySpace().freeBytes ?? 0)
    try node.barrier()
    try window.free()
    try node.barrier()
    report.bytesKept = before - (SharedMemorySpace().freeBytes ?? 0)
    try printReports(report, on: world)
}

/// Exchanges texts of which some are equal on consecutive ranks, and forms a group of every second
/// rank.
func exchangeTexts(_ world: Communicator) throws(Failure) {
    let rank = world.rank
    var report = TextsReport()
    report.gathered = try world.gatherText("host \(rank / 3)\nline")
    report.gatheredOnTwo = try world.gatherText(rank == 1 ? "" : "host \(rank)", receivers: 2)
    report.first = try world.firstText(rank >= 2 ? "reason \(rank)" : nil)
    report.none = try world.firstText(nil)
    report.broadcast = try world.broadcastText(
        rank == world.size - 1 ? "größer" : "", root: world.size - 1)
    report.empty = try world.broadcastText("")
    report.areSame = try world.isSameOnAllRanks("text")
    report.areSameOnSome = try world.isSameOnAllRanks(rank % 2 == 0 ? "text" : nil)
    report.lastDiffers = try !world.isSameOnAllRanks(rank == world.size - 1 ? "other" : "text")
    let alike = (0..<world.size).filter { $0 % 2 == rank % 2 }
    let group = try world.group(of: alike)
    report.groupSum = try group.allReduce(Int64(rank), .sum)
    try printReports(report, on: world)
}
