/// The grouping of ranks into hosts with shared memory, and the ranks that exchange sums with other
/// hosts.
///
/// A bucket has K segments, where K is the number of ranks on the smallest host: the k-th rank of
/// every host owns segment k there. The ranks of a host need not be consecutive.
package struct HostTopology: Sendable, Equatable {
    /// The ranks of each host in ascending order; the hosts are in the order of their lowest rank.
    package let hosts: [[Int]]
    /// This rank's host.
    package let host: Int
    /// This rank's index among the ranks of its host.
    package let localRank: Int

    /// Creates the topology as `rank` sees it.
    ///
    /// - Parameter hostOfRank: an arbitrary number for each rank that identifies its host.
    package init(hostOfRank: [Int], rank: Int) {
        var hosts: [[Int]] = []
        var places: [Int: Int] = [:]
        for (each, name) in hostOfRank.enumerated() {
            if let place = places[name] {
                hosts[place].append(each)
            } else {
                places[name] = hosts.count
                hosts.append([each])
            }
        }
        self.hosts = hosts
        segmentCount = hosts.map(\.count).min() ?? 1
        host = hosts.firstIndex { $0.contains(rank) } ?? 0
        localRank = hosts[host].firstIndex(of: rank) ?? 0
    }

    /// The ranks of this rank's host.
    package var localRanks: [Int] { hosts[host] }

    /// K: the number of ranks of each host that own a segment.
    package let segmentCount: Int

    /// The segment that this rank owns on its host; nil if the host's first K ranks do not include
    /// it.
    package var ownSegment: Int? { localRank < segmentCount ? localRank : nil }

    /// Returns a rank's host, and its segment if it owns one.
    package func place(of rank: Int) -> (host: Int, segment: Int?) {
        let host = hosts.firstIndex { $0.contains(rank) } ?? 0
        return (host, hosts[host].prefix(segmentCount).firstIndex(of: rank))
    }
}
