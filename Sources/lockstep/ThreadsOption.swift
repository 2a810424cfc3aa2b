import ArgumentParser
import Support
import Training

/// The option for the number of threads per rank.
struct ThreadsOption: ParsableArguments {
    @Option(
        name: .long, parsing: .unconditional,
        help: "The number of threads per rank (default: LOCKSTEP_THREADS, or 1).")
    var threadsPerRank: Int?

    /// Returns the option's number, or otherwise the launcher's, or otherwise 1.
    ///
    /// - Throws: `Failure` (usage) if the number is not from 1 to 1024.
    func count() throws(Failure) -> Int {
        let text = processEnvironment()["LOCKSTEP_THREADS"] ?? ""
        guard threadsPerRank == nil, !text.isEmpty else {
            return try Self.checked(threadsPerRank ?? 1, "--threads-per-rank ")
        }
        guard let count = Int(text) else {
            throw Failure(
                .usage, "LOCKSTEP_THREADS = \(text): is not a number; set it to 1 or more.")
        }
        return try Self.checked(count, "LOCKSTEP_THREADS = ")
    }

    private static func checked(_ count: Int, _ prefix: String) throws(Failure) -> Int {
        guard count >= 1, count <= 1024 else {
            throw Failure(.usage, "\(prefix)\(count): must be from 1 to 1024; try 1.")
        }
        return count
    }
}
