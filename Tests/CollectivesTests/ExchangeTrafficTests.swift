import Collectives
import Compute
import Testing

/// Tests that the messages between hosts, executed in virtual time, take as long as the formula
/// says.
@Suite struct ExchangeTrafficTests {
    private static let costs = LinkCosts(
        bytesPerSecond: 1.25e9, latency: 20e-6, messageSeconds: 1e-6, byteSeconds: 0.1e-9)

    /// Returns the traffic of an arena with whole parts, and the bytes of its bucket.
    private func traffic(
        hosts: Int, ranksPerHost: Int, buckets: Int = 2, lanes: Int? = nil,
        wire: WireFormat = .fp32, scatters: Bool = false
    ) -> (traffic: ExchangeTraffic, bytes: Int) {
        let parts = hosts * ranksPerHost
        let elements = SumOfSquares.blockSize * parts * buckets
        return (
            ExchangeTraffic(
                elementCount: elements, tree: ReductionTree(laneCount: lanes ?? parts),
                hosts: hosts, ranksPerHost: ranksPerHost, bucketBytes: 4 * elements / buckets,
                wire: wire, scatters: scatters),
            4 * elements
        )
    }

    @Test("1024 ranks on 64 hosts execute what the formula says")
    func manyRanksExecuteTheFormula() {
        let (traffic, bytes) = traffic(hosts: 64, ranksPerHost: 16)
        let ready = [0.0, 0.0]
        let simulation = ExchangeSimulation(traffic, ready: ready, costs: Self.costs)
        #expect(simulation.finishedBuckets == 2 * 1024)
        // Each owner sends a node and a sum to each other owner of its segment.
        #expect(simulation.sentMessages.joined().allSatisfy { $0 == 2 * 2 * 63 })
        let perHost = (0..<64).map { host in
            simulation.sentBytes.reduce(0) { $0 + $1[host] }
        }
        #expect(perHost.allSatisfy { $0 == 2 * bytes / 64 * 63 })
        let formula = 2.0 * 63 / 64 * Double(bytes) / 1.25e9 + 2 * 20e-6
        let exposed = traffic.exposedSeconds(ready: ready, backward: 0, costs: Self.costs)
        #expect(abs(exposed / formula - 1) < 1e-9)
        #expect(abs(simulation.end / formula - 1) < 0.02)
    }

    @Test(
        "any layout executes the counted messages in about the time of the formula",
        arguments: [
            (2, 1, 4, false), (3, 2, 8, false), (4, 1, 4, true), (12, 4, 96, false),
            (48, 1, 64, true), (5, 3, 16, true),
        ])
    func anyLayoutExecutesTheCountedMessages(
        hosts: Int, ranksPerHost: Int, lanes: Int, scatters: Bool
    ) {
        let (traffic, _) = traffic(
            hosts: hosts, ranksPerHost: ranksPerHost, buckets: 20, lanes: max(lanes, hosts),
            wire: .bf16, scatters: scatters)
        let buckets = traffic.partition.buckets.indices
        // The link waits for the gradients of the first half.
        let ready = buckets.map { Double(min($0, 10)) * 0.01 }
        let simulation = ExchangeSimulation(traffic, ready: ready, costs: Self.costs)
        for segment in 0..<ranksPerHost {
            let loads = buckets.map { traffic.loads(segment: segment, bucket: $0) }
            for host in 0..<hosts {
                #expect(
                    simulation.sentMessages[segment][host]
                        == loads.reduce(0) { $0 + $1[host].sentMessages })
                #expect(
                    simulation.sentBytes[segment][host]
                        == loads.reduce(0) { $0 + $1[host].sentBytes })
            }
            for load in loads {
                #expect(
                    load.reduce(0) { $0 + $1.sentMessages }
                        == load.reduce(0) { $0 + $1.receivedMessages })
                #expect(
                    load.reduce(0) { $0 + $1.sentBytes } == load.reduce(0) { $0 + $1.receivedBytes }
                )
            }
        }
        #expect(simulation.finishedBuckets == hosts * ranksPerHost * buckets.count)
        let exposed = traffic.exposedSeconds(ready: ready, backward: 0.1, costs: Self.costs)
        #expect(abs(simulation.end - (0.1 + exposed)) < 0.05 * (0.1 + exposed))
    }

    @Test("communication within the backward pass is hidden, except for the cores' work")
    func communicationIsHidden() {
        let (traffic, _) = traffic(hosts: 4, ranksPerHost: 1, buckets: 8)
        let ready = (1...8).map { Double($0) }
        var costs = Self.costs
        (costs.messageSeconds, costs.byteSeconds, costs.latency) = (0, 0, 0)
        let last = traffic.exposedSeconds(ready: ready, backward: 8, costs: costs)
        let all = traffic.exposedSeconds(
            ready: ready.map { _ in 8 }, backward: 8, costs: costs)
        #expect(abs(all / last - 8) < 1e-6)
        costs.messageSeconds = 1
        // In each bucket an owner sends 6 messages and receives 6.
        #expect(traffic.exposedSeconds(ready: ready, backward: 8, costs: costs) == 96)
        #expect(traffic.gatherSeconds(costs: costs) == 0)
    }

    @Test("one host sends nothing")
    func oneHostSendsNothing() {
        let (traffic, _) = traffic(hosts: 1, ranksPerHost: 4)
        #expect(traffic.loads(segment: 0, bucket: 0).map(\.sentMessages) == [0])
        #expect(traffic.exposedSeconds(ready: [0, 0], backward: 0, costs: Self.costs) == 0)
        #expect(traffic.slotBytes == 0)
    }
}
