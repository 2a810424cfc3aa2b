/// The costs of messages between hosts: the terms of the model of the exchange.
///
/// This is the model of latency and bandwidth (Hockney 1994) with the time of the cores that send
/// and receive, as in LogGP (Alexandrov et al. 1995).
package struct LinkCosts: Sendable, Equatable {
    /// The bytes per second that a host sends and, at the same time, receives.
    package var bytesPerSecond: Double
    /// The seconds from the start of a message to the arrival of its first byte.
    package var latency: Double
    /// The seconds of a core to send or to receive a message, without its bytes.
    package var messageSeconds: Double
    /// The seconds of a core to send or to receive a byte.
    package var byteSeconds: Double

    package init(
        bytesPerSecond: Double, latency: Double, messageSeconds: Double = 0,
        byteSeconds: Double = 0
    ) {
        self.bytesPerSecond = bytesPerSecond
        self.latency = latency
        self.messageSeconds = messageSeconds
        self.byteSeconds = byteSeconds
    }
}

extension ExchangeTraffic {
    /// Returns the seconds by which the exchange ends later than the backward pass.
    ///
    /// A bucket leaves once its gradient is ready and the buckets before it have left. Messages
    /// move only during calls, so the cores' work delays the backward pass and does not overlap
    /// with it. The last bucket's two messages, its nodes and its sum, add their latency.
    ///
    /// - Parameters:
    ///   - ready: the seconds from the start of the last backward pass until each bucket's gradient
    ///     is ready, without the work of messages.
    ///   - backward: the seconds of that backward pass.
    package func exposedSeconds(
        ready: [Double], backward: Double, costs: LinkCosts
    ) -> Double {
        guard partition.hostCount > 1 else { return 0 }
        let (delayed, work) = delayed(ready, costs: costs)
        var link = 0.0
        for bucket in partition.buckets.indices {
            let host = largestLoads(ofBucket: bucket).host
            let bytes = Double(max(host.sentBytes, host.receivedBytes))
            link = max(link, delayed[bucket]) + bytes / costs.bytesPerSecond
        }
        return max(work, link - backward) + 2 * costs.latency
    }

    /// Returns the same seconds from executing the exchange in virtual time.
    package func executedSeconds(
        ready: [Double], backward: Double, costs: LinkCosts
    ) -> Double {
        guard partition.hostCount > 1 else { return 0 }
        let (delayed, work) = delayed(ready, costs: costs)
        let simulation = ExchangeSimulation(self, ready: delayed, costs: costs)
        return max(work, simulation.end - backward)
    }

    /// Returns the times at which buckets are ready if the cores also do the work of the messages
    /// of the buckets before them, and the seconds of all that work.
    private func delayed(
        _ ready: [Double], costs: LinkCosts
    ) -> (ready: [Double], work: Double) {
        var (delayed, work) = (ready, 0.0)
        for bucket in partition.buckets.indices {
            delayed[bucket] += work
            work += workSeconds(of: largestLoads(ofBucket: bucket).owner, costs)
        }
        return (delayed, work)
    }

    /// Returns the seconds of gathering the updated parameters, which no other work overlaps with;
    /// 0 unless the sum stays with its owners.
    package func gatherSeconds(costs: LinkCosts) -> Double {
        guard partition.hostCount > 1, scatters else { return 0 }
        let bytes = partition.buckets.indices.reduce(0) {
            $0 + largestLoads(ofBucket: $1).host.spreadBytes
        }
        let work = 2 * Double(bytes / partition.segmentCount) * costs.byteSeconds
        return max(Double(bytes) / costs.bytesPerSecond, work) + costs.latency
    }

    private func workSeconds(of load: Load, _ costs: LinkCosts) -> Double {
        Double(load.sentMessages + load.receivedMessages) * costs.messageSeconds
            + Double(load.sentBytes + load.receivedBytes) * costs.byteSeconds
    }
}
