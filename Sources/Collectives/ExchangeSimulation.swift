/// Executes the exchange between hosts in virtual time, message by message, in the order of
/// `HostExchange`.
///
/// A host's interface sends one message at a time and, independently, receives one at a time, in
/// order of arrival. A core sends or receives one message at a time. Nothing is computed or sent,
/// so thousands of ranks fit in one process.
package struct ExchangeSimulation {
    /// The number of messages sent, by segment and then by host.
    package private(set) var sentMessages: [[Int]]
    /// The number of bytes sent, by segment and then by host.
    package private(set) var sentBytes: [[Int]]
    /// The time at which the last owner has all sums.
    package private(set) var end = 0.0
    /// The number of buckets that are done, over all owners.
    package private(set) var finishedBuckets = 0

    private let traffic: ExchangeTraffic
    private let costs: LinkCosts
    private let hostCount: Int
    private var owners: [Owner]
    private var interfaces: [Interface]
    private var events = EventQueue()
    private var messages: [Message] = []
    /// The messages that have arrived, whose places new ones take.
    private var freeMessages: [Int] = []

    private struct Message {
        var to = 0
        var bucket = 0
        var bytes = 0
        var isSum = false
    }

    private struct Interface {
        var sendsUntil = 0.0
        var receivesUntil = 0.0
    }

    /// The rank of a host that owns a segment.
    private struct Owner {
        let host: Int
        let segment: Int
        var worksUntil = 0.0
        var started = 0
        var ready = 0
        var freeSlots: Int
        /// The number of another host's nodes that are still to arrive, by bucket.
        var awaitedNodes: [Int]
        /// The number of messages that are not done, by bucket.
        var open: [Int]
    }

    private enum Event {
        case ready(owner: Int)
        case firstByte(message: Int)
        case arrived(message: Int)
        case sent(owner: Int, bucket: Int)
    }

    /// Executes the exchange of one step.
    ///
    /// - Parameters:
    ///   - ready: the times at which each bucket's gradient is ready, in ascending order.
    ///   - slots: the maximum number of buckets that an owner has under way at once.
    package init(
        _ traffic: ExchangeTraffic, ready: [Double], costs: LinkCosts,
        slots: Int = GradientReducer.defaultInExchange
    ) {
        let partition = traffic.partition
        self.traffic = traffic
        self.costs = costs
        hostCount = partition.hostCount
        let none = Array(
            repeating: Array(repeating: 0, count: hostCount), count: partition.segmentCount)
        (sentMessages, sentBytes) = (none, none)
        interfaces = Array(repeating: Interface(), count: hostCount)
        owners = []
        for segment in 0..<partition.segmentCount {
            let loads = partition.buckets.indices.map {
                traffic.loads(segment: segment, bucket: $0)
            }
            for host in 0..<hostCount {
                let foreign = traffic.allNodes - traffic.nodeCounts[host]
                owners.append(
                    Owner(
                        host: host, segment: segment, freeSlots: slots,
                        awaitedNodes: partition.buckets.indices.map {
                            partition.part(segment, host: host, ofBucket: $0).isEmpty ? 0 : foreign
                        },
                        open: loads.map { $0[host].sentMessages + $0[host].receivedMessages }))
            }
        }
        for owner in owners.indices {
            for time in ready { events.push(.ready(owner: owner), at: time) }
        }
        while let (time, event) = events.pop() { handle(event, at: time) }
    }

    private mutating func handle(_ event: Event, at time: Double) {
        switch event {
        case .ready(let owner):
            owners[owner].ready += 1
            startWaiting(owner, at: time)
        case .firstByte(let index):
            // The interface receives the rest once it has received what arrived before.
            let message = messages[index]
            let host = owners[message.to].host
            let start = max(time, interfaces[host].receivesUntil)
            interfaces[host].receivesUntil =
                start + Double(message.bytes) / costs.bytesPerSecond
            events.push(.arrived(message: index), at: interfaces[host].receivesUntil)
        case .arrived(let index):
            let message = messages[index]
            freeMessages.append(index)
            let done = work(message.to, bytes: message.bytes, at: time)
            owners[message.to].open[message.bucket] -= 1
            if !message.isSum {
                owners[message.to].awaitedNodes[message.bucket] -= 1
                sendSums(message.to, message.bucket, at: done)
            }
            finishIfDone(message.to, message.bucket, at: done)
        case .sent(let owner, let bucket):
            owners[owner].open[bucket] -= 1
            finishIfDone(owner, bucket, at: time)
        }
    }

    private mutating func startWaiting(_ owner: Int, at time: Double) {
        while owners[owner].started < owners[owner].ready, owners[owner].freeSlots > 0 {
            let bucket = owners[owner].started
            owners[owner].started += 1
            owners[owner].freeSlots -= 1
            let (host, segment) = (owners[owner].host, owners[owner].segment)
            for distance in 1..<hostCount {
                let other = (host + distance) % hostCount
                let part = traffic.partition.part(segment, host: other, ofBucket: bucket)
                if part.isEmpty { continue }
                for _ in 0..<traffic.nodeCounts[host] {
                    send(
                        from: owner, to: other, bucket, part.count, isSum: false, at: time)
                }
            }
            sendSums(owner, bucket, at: time)
            finishIfDone(owner, bucket, at: time)
        }
    }

    /// Sends the sum of the owner's part once all nodes are here.
    private mutating func sendSums(_ owner: Int, _ bucket: Int, at time: Double) {
        // Nodes of hosts that are ahead may arrive before this bucket starts here.
        guard !traffic.scatters, owners[owner].awaitedNodes[bucket] == 0,
            bucket < owners[owner].started
        else { return }
        let (host, segment) = (owners[owner].host, owners[owner].segment)
        let part = traffic.partition.part(segment, host: host, ofBucket: bucket)
        if part.isEmpty { return }
        for distance in 1..<hostCount {
            let other = (host + distance) % hostCount
            send(from: owner, to: other, bucket, part.count, isSum: true, at: time)
        }
    }

    private mutating func finishIfDone(_ owner: Int, _ bucket: Int, at time: Double) {
        guard owners[owner].open[bucket] == 0, bucket < owners[owner].started else { return }
        owners[owner].open[bucket] = -1
        owners[owner].freeSlots += 1
        finishedBuckets += 1
        end = max(end, time)
        startWaiting(owner, at: time)
    }

    private mutating func send(
        from owner: Int, to other: Int, _ bucket: Int, _ elements: Int, isSum: Bool,
        at time: Double
    ) {
        let (host, segment) = (owners[owner].host, owners[owner].segment)
        let bytes = elements * traffic.bytesPerElement
        let start = max(work(owner, bytes: bytes, at: time), interfaces[host].sendsUntil)
        interfaces[host].sendsUntil = start + Double(bytes) / costs.bytesPerSecond
        let message = Message(
            to: segment * hostCount + other, bucket: bucket, bytes: bytes,
            isSum: isSum)
        let index = freeMessages.popLast() ?? messages.count
        if index == messages.count { messages.append(message) } else { messages[index] = message }
        events.push(.firstByte(message: index), at: start + costs.latency)
        events.push(.sent(owner: owner, bucket: bucket), at: interfaces[host].sendsUntil)
        sentMessages[segment][host] += 1
        sentBytes[segment][host] += bytes
    }

    /// Occupies an owner's core with a message, and returns the time at which that ends.
    private mutating func work(_ owner: Int, bytes: Int, at time: Double) -> Double {
        owners[owner].worksUntil =
            max(time, owners[owner].worksUntil) + costs.messageSeconds
            + Double(bytes) * costs.byteSeconds
        return owners[owner].worksUntil
    }

    /// Events in order of time, and events of the same time in the order in which they were added.
    private struct EventQueue {
        private var heap: [(time: Double, number: Int, event: Event)] = []
        private var count = 0

        mutating func push(_ event: Event, at time: Double) {
            heap.append((time, count, event))
            count += 1
            var child = heap.count - 1
            while child > 0, isEarlier(child, (child - 1) / 2) {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        }

        mutating func pop() -> (time: Double, event: Event)? {
            guard let last = heap.indices.last else { return nil }
            heap.swapAt(0, last)
            let (time, _, event) = heap.removeLast()
            var parent = 0
            while 2 * parent + 1 < heap.count {
                var child = 2 * parent + 1
                if child + 1 < heap.count, isEarlier(child + 1, child) { child += 1 }
                guard isEarlier(child, parent) else { break }
                heap.swapAt(parent, child)
                parent = child
            }
            return (time, event)
        }

        private func isEarlier(_ left: Int, _ right: Int) -> Bool {
            (heap[left].time, heap[left].number) < (heap[right].time, heap[right].number)
        }
    }
}
