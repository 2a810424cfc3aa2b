import ArgumentParser
import Support
import Training

/// How many threads each rank has.
struct ThreadsOption: ParsableArguments {
    @Option(
        name: .long, parsing: .unconditional,
        help: "Threads of each rank (default: LOCKSTEP_THREADS, or 1).")
    var threadsPerRank: Int?

    /// The option's number, else the launcher's, else one.
    ///
    /// - Throws: `Failure` (usage) for a number that no rank can have.
    func count() throws(Failure) -> Int {
        let text = processEnvironment()["LOCKSTEP_THREADS"] ?? ""
        guard threadsPerRank == nil, !text.isEmpty else {
            return try Self.checked(threadsPerRank ?? 1, "--threads-per-rank")
        }
        guard let count = Int(text) else {
            throw Failure(
                .usage, "LOCKSTEP_THREADS = \(text): is not a number; set it to 1 or more.")
        }
        return try Self.checked(count, "LOCKSTEP_THREADS")
    }

    private static func checked(_ count: Int, _ name: String) throws(Failure) -> Int {
        guard count >= 1, count <= 1024 else {
            throw Failure(.usage, "\(name) is \(count), but must be from 1 to 1024; try 1.")
        }
        return count
    }
}
