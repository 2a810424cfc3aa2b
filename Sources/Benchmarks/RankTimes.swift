import MPI
import Support
import Training

/// The time that a rank spent in a step on work and on waiting for other ranks, as means over the
/// measured steps. The update of a sharded optimizer counts as work, although it waits for others.
package struct RankTimes: Sendable, Equatable {
    package let rank: Int
    package let host: String
    /// The number of lanes that the rank computed in the last step.
    package let lanes: Int
    package let busySeconds: Double
    package let waitingSeconds: Double

    /// Gathers the times of all ranks, in rank order. Collective.
    ///
    /// - Parameter times: the mean times of this rank's steps.
    package static func gather(
        _ times: StepTimes, lanes: Int, over communicator: Communicator
    ) throws(Failure) -> [RankTimes] {
        let hosts = try communicator.allGatherText(Communicator.hostName)
        let numbers = try communicator.allGather([
            Double(lanes), times.total - times[.wait], times[.wait],
        ])
        return hosts.enumerated().map { rank, host in
            RankTimes(
                rank: rank, host: host, lanes: Int(numbers[3 * rank]),
                busySeconds: numbers[3 * rank + 1], waitingSeconds: numbers[3 * rank + 2])
        }
    }

    /// The times as JSON.
    var json: JSONValue {
        [
            "rank": .integer(rank), "host": .string(host), "lanes": .integer(lanes),
            "busy_seconds": .number(busySeconds), "waiting_seconds": .number(waitingSeconds),
        ]
    }

    /// Returns the busiest ranks of many, and all of a few, in rank order.
    static func shown(_ all: [RankTimes]) -> [RankTimes] {
        let limit = 16
        return all.count <= limit
            ? all
            : all.sorted { $0.busySeconds > $1.busySeconds }.prefix(limit)
                .sorted { $0.rank < $1.rank }
    }
}
