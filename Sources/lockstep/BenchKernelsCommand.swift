import ArgumentParser
import Benchmarks
import Support
import Training

struct BenchKernelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Measures each kernel of a training step separately, alone or under mpirun.",
        discussion: """
            Examples:
              lockstep bench kernels --size baby
              launch/mpirun -- lockstep bench kernels --json

            Each kernel runs with the shapes that it has in a step of this size, on all
            ranks at once. The report gives its time, its GFLOP/s as a share of the
            cores' peak, and the GB/s of the data it must read and write as a share of
            the memory bandwidth. Both limits are measured first.
            """)

    @Option(help: "The name of the model and the work per rank, as for bench step.")
    var size = "gpt2-124m"

    @OptionGroup var arithmetic: PrecisionOptions

    @OptionGroup var threads: ThreadsOption

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        let benchmark = KernelBenchmark(
            size: try BenchmarkSize.named(size), precision: try arithmetic.choice() ?? .fp32)
        try Job.run(threads, emulatesBF16: arithmetic.emulation.emulateBf16, onStop: .exitAtOnce) {
            (job) throws(Failure) in
            let report = try benchmark.run(in: job)
            return .finished([json ? report.json.text : report.text])
        }
    }
}
