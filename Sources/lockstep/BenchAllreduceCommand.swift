import ArgumentParser
import Benchmarks
import Compute
import Support
import Training

struct BenchAllreduceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allreduce",
        abstract:
            "Compares the reduction of gradients over all ranks with MPI_Allreduce, under mpirun.",
        discussion: """
            Examples:
              launch/mpirun -- lockstep bench allreduce
              launch/mpirun --ranks 4 -- lockstep bench allreduce --sizes 1m,8m,64m --json
              cluster/emulate run -- lockstep bench allreduce --maximum 16m --wire bf16

            Times are medians on the slowest rank and include the sum and its norm.
            Training also computes the norm of each lane's gradient. GB/s counts bytes
            of the gradient, not of messages (1 GB = 1e9 bytes).
            """)

    @Option(
        parsing: .unconditional,
        help: "The sizes to measure, such as 4k,1m,64m (default: powers of two up to --maximum).")
    var sizes: String?

    @Option(parsing: .unconditional, help: "The largest size; at least 4k.")
    var maximum = "1g"

    @Option(help: "The format of sums between hosts: fp32 or bf16.")
    var wire = "fp32"

    @OptionGroup var threads: ThreadsOption

    @Flag(help: "Print one line of JSON.")
    var json = false

    func run() throws {
        let benchmark = AllreduceBenchmark(sizes: try chosenSizes(), wire: try chosenWire())
        try Job.run(threads, onStop: .exitAtOnce) { (job) throws(Failure) in
            let report = try benchmark.run(in: job)
            return .finished([json ? report.json.text : report.text])
        }
    }

    private static let smallest = 4096

    private func chosenSizes() throws(Failure) -> [Int] {
        guard let sizes else {
            let largest = try bytes(maximum, "--maximum")
            guard largest >= Self.smallest else {
                throw Failure.option(
                    "--maximum", maximum, "must be at least 4k", remedy: "give 4k or more")
            }
            var all = [Self.smallest]
            while let last = all.last, last * 2 <= largest { all.append(last * 2) }
            return all
        }
        return try sizes.split(separator: ",", omittingEmptySubsequences: false)
            .map { (size) throws(Failure) in try bytes(String(size), "--sizes") }.sorted()
    }

    /// Returns the number of bytes that a size such as "64", "4k", "4KiB", "1m" or "2gib" means.
    private func bytes(_ text: String, _ option: String) throws(Failure) -> Int {
        let digits = text.prefix { $0.isNumber }
        let units = ["": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30]
        guard let number = Int(digits), number >= 1, number < 1 << 30,
            let shift = units[text.dropFirst(digits.count).lowercased()]
        else {
            throw .option(option, text, "is not a size", remedy: "write sizes as 4k, 1m or 1g")
        }
        // MPI counts elements in 32 bits.
        let bytes = number << shift
        guard bytes % 64 == 0, bytes <= 4 << 30 else {
            throw .option(
                option, text, "must be a multiple of 64 bytes, at most 4g",
                remedy: "give another size")
        }
        return bytes
    }

    private func chosenWire() throws(Failure) -> WireFormat {
        if let choice = WireFormat(rawValue: wire) { return choice }
        throw Failure.option(
            "--wire", wire, "must be fp32 or bf16", remedy: "give one of them")
    }
}
