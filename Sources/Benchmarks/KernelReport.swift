import Compute
import Support
import Training

/// The results of a benchmark of the kernels, as text and as JSON.
package struct KernelReport: Sendable {
    /// One kernel on one shape.
    package struct Row: Sendable {
        package let name: String
        package let shape: String
        /// Of one rank; 0 where memory limits it.
        package let flops: Double
        /// Of one rank.
        package let bytes: Double
        /// The slowest rank's median.
        package let seconds: Double
    }

    let size: BenchmarkSize
    let precision: Precision
    let ranks: Int
    let threads: Int
    let instructionSet: String
    /// Measured, in operations a second of the precision.
    let peakFlopsPerCore: Double
    /// Measured, over all ranks.
    let bytesPerSecond: Double
    let rows: [Row]

    private func flopsShare(_ row: Row) -> Double? {
        row.flops == 0
            ? nil : row.flops / row.seconds / (peakFlopsPerCore * Double(threads))
    }

    private func bandwidthShare(_ row: Row) -> Double {
        row.bytes / row.seconds / (bytesPerSecond / Double(ranks))
    }

    /// One line of JSON.
    package var json: JSONObject {
        [
            "peer": .string("lockstep \(version)"), "size": .string(size.name),
            "precision": .string(precision.rawValue), "ranks": .integer(ranks),
            "threads_per_rank": .integer(threads),
            "instruction_set": .string(instructionSet),
            "peak_gflops_per_core": .number(peakFlopsPerCore * 1e-9),
            "bandwidth_gb_per_second": .number(bytesPerSecond * 1e-9),
            "kernels": .array(
                rows.map { row in
                    let share = flopsShare(row)
                    return .object([
                        "kernel": .string(row.name), "shape": .string(row.shape),
                        "seconds": .number(row.seconds),
                        "gflops": share == nil ? .null : .number(row.flops / row.seconds * 1e-9),
                        "peak_share": share.map { .number($0) } ?? .null,
                        "gb_per_second": .number(row.bytes / row.seconds * 1e-9),
                        "bandwidth_share": .number(bandwidthShare(row)),
                    ])
                }),
        ]
    }

    /// The report as a table.
    package var text: String {
        var table = TextTable(
            ["kernel", "shape", "ms", "GFLOP/s", "% peak", "GB/s", "% memory"], leftColumns: 2)
        for row in rows {
            let share = flopsShare(row)
            table.add([
                row.name, row.shape, Format.significant(row.seconds * 1e3, digits: 4),
                share == nil ? "" : Format.fixed(row.flops / row.seconds * 1e-9, decimals: 1),
                share.map { Format.fixed(100 * $0, decimals: 1) } ?? "",
                Format.fixed(row.bytes / row.seconds * 1e-9, decimals: 1),
                Format.fixed(100 * bandwidthShare(row), decimals: 0),
            ])
        }
        let layout = Format.layout(ranks: ranks, threads: threads)
        let peak = Format.fixed(peakFlopsPerCore * 1e-9, decimals: 1)
        let bandwidth = Format.fixed(bytesPerSecond * 1e-9, decimals: 1)
        return
            ([
                "the kernels of \(size.name) in \(precision.rawValue) on \(layout), each alone, with "
                    + instructionSet,
                "",
            ] + table.lines + [
                "",
                "Figures are of one rank. % peak: of \(peak) GFLOP/s a core, measured. % memory: of its "
                    + "share of \(bandwidth)",
                "GB/s, the measured speed of reading; above 100 where the data stay in a cache.",
            ]).joined(separator: "\n")
    }
}
