import ArgumentParser
import Benchmarks
import Support
import Training

/// `lockstep bench kernels`
struct BenchKernelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Measures each kernel of a training step alone, alone or under mpirun.",
        discussion: """
            Examples:
              lockstep bench kernels --size baby
              launch/mpirun -- lockstep bench kernels --json

            Each kernel runs on the shapes that it has in a step of this size, on all
            ranks at once. Beside its time stand GFLOP/s, as a part of what the cores
            can do at best, and GB/s of what it must read and write, as a part of what
            the memory delivers; both limits are measured first.
            """)

    @Option(name: .long, help: "The model and the work of a rank, by name, as for bench step.")
    var size = "gpt2-124m"

    @OptionGroup var arithmetic: PrecisionOptions

    @OptionGroup var threads: ThreadsOption

    @Flag(name: .long, help: "Print one line of JSON.")
    var json = false

    func run() throws {
        let benchmark = KernelBenchmark(
            size: try BenchmarkSize.named(size), precision: try arithmetic.choice())
        try Job.run(
            threads: threads, emulatesBF16: arithmetic.emulateBf16, onStop: .exitAtOnce
        ) { (job) throws(Failure) in
            let report = try benchmark.run(in: job)
            return .finished([json ? report.json.text : report.text])
        }
    }
}
