import Compute
import Support
import Training

/// The results of a kernel benchmark, as text and as JSON.
package struct KernelReport {
    /// The result for one kernel, whose operations and bytes are those of one rank per call.
    struct Row {
        let kernel: KernelCase
        /// The slowest rank's median duration of a call.
        let seconds: Double

        var flopsPerSecond: Double { kernel.flops / seconds }
        var bytesPerSecond: Double { kernel.bytes / seconds }
    }

    let size: BenchmarkSize
    let precision: Precision
    let ranks: Int
    let threads: Int
    let instructionSet: String
    /// The measured peak, in operations of the precision per second.
    let peakFlopsPerCore: Double
    /// The measured memory bandwidth of all ranks together.
    let bytesPerSecond: Double
    let rows: [Row]

    private func flopsShare(_ row: Row) -> Double? {
        row.kernel.flops == 0 ? nil : row.flopsPerSecond / (peakFlopsPerCore * Double(threads))
    }

    private func bandwidthShare(_ row: Row) -> Double {
        row.bytesPerSecond / (bytesPerSecond / Double(ranks))
    }

    /// The report as one line of JSON.
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
                        "kernel": .string(row.kernel.name), "shape": .string(row.kernel.shape),
                        "seconds": .number(row.seconds),
                        "gflops": share == nil ? .null : .number(row.flopsPerSecond * 1e-9),
                        "peak_share": share.map { .number($0) } ?? .null,
                        "gb_per_second": .number(row.bytesPerSecond * 1e-9),
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
                row.kernel.name, row.kernel.shape, Format.significant(row.seconds * 1e3, digits: 4),
                share == nil ? "" : Format.fixed(row.flopsPerSecond * 1e-9, decimals: 1),
                share.map { Format.fixed(100 * $0, decimals: 1) } ?? "",
                Format.fixed(row.bytesPerSecond * 1e-9, decimals: 1),
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
                "Figures are per rank. % peak is a share of the measured \(peak) GFLOP/s per core. "
                    + "% memory is a",
                "share of the rank's part of \(bandwidth) GB/s, the measured read bandwidth; above "
                    + "100 if data are cached.",
            ]).joined(separator: "\n")
    }
}
