import Compute
import Support

/// The results of a benchmark of the reduction, as text and as JSON.
package struct AllreduceReport: Sendable {
    /// The results for one size.
    package struct Row: Sendable {
        package let bytes: Int
        package let repetitions: Int
        /// The medians on the slowest rank.
        package let seconds: Double
        package let mpiSeconds: Double

        /// The speed relative to MPI_Allreduce's.
        package var ratio: Double { mpiSeconds / seconds }

        /// The bytes of the gradient, not of messages, in 1e9 per second.
        package var rate: Double { Double(bytes) / seconds * 1e-9 }
        package var mpiRate: Double { Double(bytes) / mpiSeconds * 1e-9 }
    }

    package let ranks: Int
    /// The number of groups of ranks that share memory.
    package internal(set) var hosts: Int
    package let threads: Int
    package let wire: WireFormat
    /// The reason why the ranks of a host share no memory, or nil if they do.
    package internal(set) var notice: String?
    package internal(set) var rows: [Row] = []

    /// The report as one line of JSON.
    package var json: JSONObject {
        var object: JSONObject = [
            "ranks": .integer(ranks), "hosts": .integer(hosts),
            "threads_per_rank": .integer(threads), "wire": .string(wire.rawValue),
        ]
        if let notice { object["notice"] = .string(notice) }
        object["sizes"] = .array(
            rows.map { row in
                .object([
                    "bytes": .integer(row.bytes), "repetitions": .integer(row.repetitions),
                    "seconds": .number(row.seconds), "gb_per_second": .number(row.rate),
                    "mpi_seconds": .number(row.mpiSeconds),
                    "mpi_gb_per_second": .number(row.mpiRate), "ratio": .number(row.ratio),
                ])
            })
        return object
    }

    /// The report as a table.
    package var text: String {
        let layout =
            "\(ranks) ranks\(hosts > 1 ? " on \(hosts) hosts" : "")"
            + (threads > 1 ? " x \(threads) threads" : "")
            + (wire == .bf16 ? ", bf16 on the wire" : "")
        var table = TextTable(
            ["size", "lockstep", "GB/s", "MPI_Allreduce", "GB/s", "ratio"], leftColumns: 0)
        for row in rows {
            table.add([
                Format.bytes(row.bytes), Self.time(row.seconds),
                Format.significant(row.rate, digits: 3), Self.time(row.mpiSeconds),
                Format.significant(row.mpiRate, digits: 3), Format.fixed(row.ratio, decimals: 2),
            ])
        }
        var text = ["summing fp32 over \(layout); medians, alternating"] + table.lines
        text.append("ratio: how many times as fast as MPI_Allreduce")
        if let notice { text.append("ranks share no memory: \(notice)") }
        return text.joined(separator: "\n")
    }

    /// Returns a duration in microseconds, milliseconds or seconds, by its size.
    private static func time(_ seconds: Double) -> String {
        switch seconds {
        case ..<1e-3: "\(Format.fixed(seconds * 1e6, decimals: 1)) us"
        case ..<1: "\(Format.fixed(seconds * 1e3, decimals: 2)) ms"
        default: "\(Format.fixed(seconds, decimals: 2)) s"
        }
    }
}
