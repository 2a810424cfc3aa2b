import ArgumentParser
import Support
import Training

/// The option for the number of threads per rank.
struct ThreadsOption: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "The number of threads per rank (default: LOCKSTEP_THREADS, or 1).")
    var threadsPerRank: Int?

    /// Returns the option's number, or otherwise the launcher's, or otherwise 1.
    ///
    /// - Throws: `Failure` (usage) if the option is not from 1 to 1024; (configuration) if the
    ///   launcher's number is not.
    func count() throws(Failure) -> Int {
        let text = processEnvironment()["LOCKSTEP_THREADS"] ?? ""
        if let count = threadsPerRank {
            guard Self.range.contains(count) else {
                throw Failure(
                    .usage, "--threads-per-rank \(count): must be from 1 to 1024; try 1.")
            }
            return count
        }
        guard !text.isEmpty else { return 1 }
        guard let count = Int(text), Self.range.contains(count) else {
            throw .variable(
                "LOCKSTEP_THREADS", value: text, problem: "must be a whole number from 1 to 1024",
                remedy: "set it to 1")
        }
        return count
    }

    private static let range = 1...1024
}
