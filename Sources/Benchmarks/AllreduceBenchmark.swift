import Collectives
import Compute
import MPI
import Statistics
import Support
import Training

/// Compares the reduction of gradients with `MPI_Allreduce` on the ranks of the job.
///
/// For each size, both sum the same numbers, alternating. The numbers are written again before each
/// sum, as gradients are. A repetition begins after a barrier and ends when the rank has the whole
/// sum. It includes the norm of the sum, but not the squared norms of the lanes, which training
/// computes while it produces gradients.
package struct AllreduceBenchmark: Sendable {
    /// The numbers of fp32 bytes to sum, in ascending order; multiples of 64.
    package var sizes: [Int]
    package var wire: WireFormat

    /// The seconds to spend on a size without set-up, if more than `fewestRepetitions` fit in them.
    private static let secondsPerSize = 0.5
    private static let fewestRepetitions = 5
    private static let mostRepetitions = 1000
    /// The number of discarded measurements, which touch memory and open connections.
    private static let warmup = 2

    package init(sizes: [Int], wire: WireFormat) {
        self.sizes = sizes
        self.wire = wire
    }

    /// Measures every size. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (usage) if there is a single rank, which has no partner;
    ///   (configuration) if a size does not fit in memory; any failure of MPI.
    package func run(in job: Job) throws(Failure) -> AllreduceReport {
        let communicator = job.communicator
        try communicator.agree { () throws(Failure) in
            guard communicator.size < 2 else { return }
            throw .about(
                .usage, "bench allreduce",
                "measures an exchange between ranks, but there is only one",
                remedy: "start it as launch/mpirun --ranks 2 -- lockstep bench allreduce")
        }
        try requireMemory(communicator)
        job.announce(
            """
            measuring sums of \(Format.bytes(sizes.first ?? 0)) to \
            \(Format.bytes(sizes.last ?? 0)) over \(job.layout), alternating with MPI_Allreduce
            """)
        let team = rankTeam(threads: job.threads)
        let line = job.progressLine(
            "measuring", total: sizes.count, unit: .things("sizes", showsRate: false))
        defer { line.finish() }
        var report = AllreduceReport(
            ranks: communicator.size, hosts: try communicator.hostCount(), threads: job.threads,
            wire: wire, notice: nil)
        for (index, bytes) in sizes.enumerated() {
            var measurement = try SizeMeasurement(
                bytes: bytes, wire: wire, team: team, communicator: communicator)
            report.notice = measurement.reducer.notice
            // If memory cannot be shared, the reducer counts each rank as a host.
            if report.notice == nil { report.hosts = measurement.reducer.hostCount }
            report.rows.append(try row(&measurement, communicator))
            try measurement.reducer.free()
            line.update(done: index + 1, details: [Format.bytes(bytes)])
        }
        return report
    }

    private func row(
        _ measurement: inout SizeMeasurement, _ communicator: Communicator
    ) throws(Failure) -> AllreduceReport.Row {
        var seconds = 0.0
        for _ in 0..<Self.warmup {
            seconds = try measurement.lockstep() + measurement.mpi()
        }
        try measurement.check()
        let longest = try communicator.allReduce(seconds, .maximum)
        let repetitions = min(
            Self.mostRepetitions,
            max(Self.fewestRepetitions, Int(Self.secondsPerSize / max(1e-9, longest))))
        var ours: [Double] = []
        var theirs: [Double] = []
        for _ in 0..<repetitions {
            ours.append(try measurement.lockstep())
            theirs.append(try measurement.mpi())
        }
        // The slowest rank's medians, since a step waits for all ranks.
        return AllreduceReport.Row(
            bytes: measurement.bytes, repetitions: repetitions,
            seconds: try communicator.allReduce(median(ours), .maximum),
            mpiSeconds: try communicator.allReduce(median(theirs), .maximum))
    }

    private func requireMemory(_ communicator: Communicator) throws(Failure) {
        let ranks = try communicator.rankCountOnThisHost()
        try communicator.agree { () throws(Failure) in
            // The reducer's gradient, and the source and the result of MPI_Allreduce.
            let there = machineMemoryBytes
            guard let largest = sizes.max(), largest * 3 * ranks > there else { return }
            throw .about(
                .configuration, "sums of \(Format.bytes(largest))",
                "take \(Format.bytes(largest * 3)) of memory for each of \(ranks) ranks, but the "
                    + "machine has \(Format.bytes(there))",
                remedy: "lower --maximum or --sizes, or start fewer ranks on it")
        }
    }
}

/// The memory for one size, and the two ways to sum it.
private struct SizeMeasurement {
    let bytes: Int
    let reducer: GradientReducer
    private let communicator: Communicator
    private let count: Int
    private let source: Buffer<Float>
    private let result: Buffer<Float>
    private var lockstepSum: Buffer<Float>

    init(
        bytes: Int, wire: WireFormat, team: ThreadTeam, communicator: Communicator
    ) throws(Failure) {
        self.bytes = bytes
        self.communicator = communicator
        count = bytes / MemoryLayout<Float>.stride
        reducer = try GradientReducer(
            communicator: communicator, tree: ReductionTree(laneCount: communicator.size),
            elementCount: count, team: team, wire: wire, measuresLanes: false)
        source = Buffer(count: count)
        result = Buffer(count: count)
        lockstepSum = result
    }

    /// Returns the seconds of a reduction by the reducer, and sets `lockstepSum` to its sum.
    mutating func lockstep() throws(Failure) -> Double {
        reducer.beginStep()
        fill(reducer.beginLane(communicator.rank))
        try communicator.barrier()
        let start = MonotonicClock.nanoseconds
        reducer.finished(0..<count)
        reducer.endLane()
        lockstepSum = try reducer.finish()
        return try seconds(since: start)
    }

    /// Returns the seconds of a reduction by MPI.
    func mpi() throws(Failure) -> Double {
        fill(source)
        try communicator.barrier()
        let start = MonotonicClock.nanoseconds
        try communicator.allReduce(source.base, into: result.base, count: count, .sum)
        return try seconds(since: start)
    }

    /// Returns the seconds from `start` to now, after all ranks have measured theirs.
    ///
    /// If ranks share a core, a rank that already wrote its next numbers would keep another from
    /// noticing that the sum is complete.
    private func seconds(since start: Int64) throws(Failure) -> Double {
        let seconds = Double(MonotonicClock.nanoseconds - start) * 1e-9
        try communicator.barrier()
        return seconds
    }

    /// Checks both sums, which consist of small whole numbers that every order of additions and
    /// bfloat16 represent exactly.
    ///
    /// - Throws: `Failure` (bug) if a sum is wrong.
    func check() throws(Failure) {
        let addends = min(communicator.size, Self.mostAddends)
        for index in 0..<count {
            let expected = Float(addends) * value(index)
            let (ours, theirs) = (lockstepSum.base[index], result.base[index])
            guard ours == expected, theirs == expected else {
                throw .defect(
                    "Element \(index) of \(count) sums to \(ours) here and to \(theirs) in "
                        + "MPI_Allreduce, but must be \(expected)")
            }
        }
    }

    private func fill(_ buffer: Buffer<Float>) {
        guard communicator.rank < Self.mostAddends else {
            return buffer.elements.update(repeating: 0)
        }
        for index in 0..<count { buffer.base[index] = value(index) }
    }

    /// The number of ranks whose numbers are not zero. Sums stay within 256, up to which bfloat16
    /// represents all whole numbers.
    private static let mostAddends = 128

    /// Returns the number of an element, from 0 to 2.
    private func value(_ index: Int) -> Float { Float(index % 3) }
}
