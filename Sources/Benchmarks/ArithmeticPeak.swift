import CCompute
import Compute
import MPI
import Support

/// The measured peak of the cores of a job: independent fused multiply-adds in the widest vectors
/// of the processor, on all threads of all ranks at once. For bf16, a processor without bf16
/// instructions is measured in fp32.
enum ArithmeticPeak {
    /// The seconds of one measurement; clocks need some milliseconds to settle.
    private static let seconds = 0.03
    private static let repetitions = 5

    /// Measures the peak for about 0.2 s and returns the operations per second of one core, as the
    /// mean over all threads of all ranks. Collective: every rank must call this.
    static func measureFlopsPerCore(
        _ precision: Precision, team: ThreadTeam, communicator: Communicator
    ) throws(Failure) -> Double {
        let best = Buffer<Double>(count: team.threadCount)
        try communicator.barrier()
        team.forEach(team.threadCount) { tile, _ in best.base[tile] = bestRate(precision) }
        let mean = best.elements.reduce(0, +) / Double(team.threadCount)
        return try communicator.allReduce(mean, .sum) / Double(communicator.size)
    }

    private static func bestRate(_ precision: Precision) -> Double {
        var best = 0.0
        var sink: Float = 0
        for _ in 0..<repetitions {
            let start = MonotonicClock.nanoseconds
            var flops = 0.0
            var elapsed = 0.0
            while elapsed < seconds {
                flops +=
                    precision == .bf16
                    ? lockstep_bf16_multiply_add(100_000, &sink)
                    : lockstep_multiply_add(100_000, &sink)
                elapsed = Double(MonotonicClock.nanoseconds - start) * 1e-9
            }
            best = max(best, flops / elapsed)
        }
        precondition(sink.isFinite, "the chains' values are bounded")
        return best
    }
}
