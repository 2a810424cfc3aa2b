import Compute
import MPI
import Statistics
import Support
import Training

/// Measures each kernel of a training step separately, with the shapes of a size.
package struct KernelBenchmark: Sendable {
    package var size: BenchmarkSize
    package var precision: Precision

    /// The seconds for which a measurement repeats its kernel. The median of several measurements
    /// counts.
    private static let seconds = 0.05
    private static let measurements = 5

    package init(size: BenchmarkSize, precision: Precision) {
        self.size = size
        self.precision = precision
    }

    /// Measures all kernels on all ranks at once. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (configuration) if a processor lacks the precision; any failure of MPI.
    package func run(in job: Job) throws(Failure) -> KernelReport {
        let communicator = job.communicator
        try job.requireProcessor(for: precision)
        job.announce(
            """
            measuring the kernels of \(size.name) in \(precision.rawValue) on \(job.layout): first \
            the cores' peak and the memory's speed, then each kernel alone
            """)
        let engine = job.makeEngine()
        let peak = try ArithmeticPeak.measureFlopsPerCore(
            precision, team: engine.team, communicator: communicator)
        let bandwidth = try MemoryBandwidth.measureBytesPerSecond(
            team: engine.team, communicator: communicator)
        let bench = KernelBench(size: size, precision: precision, engine: engine)
        // The cases access its memory through pointers.
        defer { withExtendedLifetime(bench) {} }
        let cases = bench.cases()
        let line = job.progressLine(
            "measuring", total: cases.count, unit: .things("kernels", showsRate: false))
        defer { line.finish() }
        var rows: [KernelReport.Row] = []
        for (index, kernel) in cases.enumerated() {
            let own = try medianSeconds(of: kernel, communicator)
            // In training, the other ranks would wait for the slowest.
            rows.append(
                KernelReport.Row(kernel: kernel, seconds: try communicator.allReduce(own, .maximum))
            )
            line.update(done: index + 1)
        }
        return KernelReport(
            size: size, precision: precision, ranks: communicator.size, threads: job.threads,
            instructionSet: InstructionSet.best.name(for: precision),
            peakFlopsPerCore: peak, bytesPerSecond: bandwidth, rows: rows)
    }

    /// Returns the median of this rank's measurements, in seconds per call.
    private func medianSeconds(
        of kernel: KernelCase, _ communicator: Communicator
    ) throws(Failure) -> Double {
        // The first call touches memory and sizes scratch; the second decides the repetitions.
        kernel.run()
        let once = time(kernel, calls: 1)
        let calls = max(1, Int(Self.seconds / max(once, 1e-7)))
        var seconds: [Double] = []
        for _ in 0..<Self.measurements {
            try communicator.barrier()
            seconds.append(time(kernel, calls: calls))
        }
        return median(seconds)
    }

    private func time(_ kernel: KernelCase, calls: Int) -> Double {
        let start = MonotonicClock.nanoseconds
        for _ in 0..<calls { kernel.run() }
        return Double(MonotonicClock.nanoseconds - start) * 1e-9 / Double(calls)
    }
}
