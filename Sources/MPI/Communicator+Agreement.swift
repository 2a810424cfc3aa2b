import COpenMPI
import Glibc
import Support
import Synchronization

/// A failure that all ranks of a communicator of this size threw together.
private struct AgreedFailure: Equatable {
    let failure: Failure
    let size: Int
}

/// The last failure that all ranks threw together, which therefore is printed only once.
private let lastAgreed = Mutex<AgreedFailure?>(nil)

extension Communicator {
    /// Runs `body` on every rank and returns its value only if it succeeded on all of them.
    ///
    /// Use it for work that can fail on one rank alone, such as opening a file, so that no rank
    /// waits for a rank that has given up. The body must not communicate.
    ///
    /// - Throws: the failure of the lowest rank that failed, on every rank. The sentence begins
    ///   with that rank and its host, unless all ranks failed alike or it is rank 0 of a job on one
    ///   host.
    public func agree<Value>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        let outcome = Result(catching: body)
        var own = Report(code: 0, host: "", sentence: "")
        if case .failure(let failure) = outcome {
            own = Report(
                code: failure.code.rawValue, host: Self.hostName, sentence: failure.sentence)
        }
        let anyFailed = try allReduce(Int64(own.code), .maximum) != 0
        if !anyFailed { return try outcome.get() }

        let reports = try allGatherText(own.encoded).map(Report.decoded)
        let common = Self.commonFailure(of: reports)
        remember(common)
        throw common
    }

    /// Runs `body` on rank 0 alone, and returns its value there and nil on other ranks; the body
    /// must not communicate.
    ///
    /// - Throws: the failure of `body`, on every rank.
    @discardableResult
    public func onFirstRank<Value>(
        _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value? {
        try agree { () throws(Failure) -> Value? in rank == 0 ? try body() : nil }
    }

    /// Runs `body` on rank 0 alone and returns its text on every rank; the body must not
    /// communicate. Collective: every rank must call this.
    ///
    /// Use it for files that may exist on the first host only.
    ///
    /// - Throws: the failure of `body`, on every rank.
    package func fromFirstRank(_ body: () throws(Failure) -> String) throws(Failure) -> String {
        try broadcastText(try onFirstRank(body) ?? "")
    }

    /// Returns whether a condition holds on at least one rank. Collective: every rank must call
    /// this.
    public func isTrueOnAnyRank(_ condition: Bool) throws(Failure) -> Bool {
        try allReduce(Int64(condition ? 1 : 0), .maximum) == 1
    }

    /// Checks that all ranks hold the same string, such as a hash, the name of a build, or a
    /// recipe.
    ///
    /// - Throws: `Failure` (configuration) on every rank if any rank differs from rank 0. The
    ///   sentence names those ranks and ends with `remedy`.
    package func sameOnAllRanks(
        _ name: String, _ value: String,
        remedy: String = "start every rank with the same build, recipe and data"
    ) throws(Failure) {
        if try isSameOnAllRanks(value) { return }
        let values = try allGatherBytes(Array(value.utf8))
        let reference = values[0]
        let hosts = try allGatherText(Self.hostName)
        let different = values.indices.filter { values[$0] != reference }
        let failure = Failure.about(
            .configuration, "the \(name)",
            "differs between ranks, because \(Self.list(different, hosts: hosts)) "
                + "\(different.count == 1 ? "does" : "do") not have rank 0's "
                + "“\(Self.shortened(reference))”",
            remedy: remedy)
        remember(failure)
        throw failure
    }

    /// Returns the number of ranks on this rank's host. Collective: every rank must call this.
    package func rankCountOnThisHost() throws(Failure) -> Int { try splitShared().size }

    /// Returns the number of hosts. Collective: every rank must call this.
    package func hostCount() throws(Failure) -> Int {
        Int(try allReduce(Int64(try splitShared().rank == 0 ? 1 : 0), .sum))
    }

    /// Ends the job because of a failure: prints its sentence on stderr and exits with its code.
    ///
    /// Rank 0 alone prints a failure that all ranks threw together. Any other failure is printed by
    /// the rank that met it, with its rank and host, and the job is aborted so that no rank waits
    /// for it.
    public func exit(reporting failure: Failure) -> Never {
        let isAgreed =
            lastAgreed.withLock { $0 } == AgreedFailure(failure: failure, size: size)
        if !isAgreed || rank == 0 {
            let name =
                isAgreed ? nil : MPIEnvironment.name(ofRank: rank, on: Self.hostName)
            StandardError.shared.write(line: failure.met(by: name).line)
        }
        // If every rank arrives here, the job can end in order, without a message from Open MPI.
        if isAgreed || size == 1, everyRankArrives(within: 5), MPI_Finalize() == MPI_SUCCESS {
            Glibc.exit(failure.code.rawValue)
        }
        abort(failure.code)
    }

    /// Waits for all ranks, but at most some seconds, by `MPI_Ibarrier`, and returns whether they
    /// arrived.
    private func everyRankArrives(within seconds: Double) -> Bool {
        var request: MPI_Request?
        guard MPI_Ibarrier(handle, &request) == MPI_SUCCESS else { return false }
        var done: Int32 = 0
        for _ in 0..<Int(seconds * 1000) {
            guard MPI_Test(&request, &done, lockstep_status_ignore()) == MPI_SUCCESS else {
                return false
            }
            if done != 0 { return true }
            usleep(1000)
        }
        return false
    }

    private func remember(_ failure: Failure) {
        lastAgreed.withLock { $0 = AgreedFailure(failure: failure, size: size) }
    }

    // MARK: - Reports between ranks

    /// The outcome of one rank; code 0 is success.
    private struct Report {
        let code: Int32
        let host: String
        let sentence: String

        var encoded: String { "\(code)\u{0}\(host)\u{0}\(sentence)" }

        static func decoded(_ text: String) -> Report {
            let parts = text.split(
                separator: "\u{0}", maxSplits: 2, omittingEmptySubsequences: false)
            return Report(
                code: parts.first.flatMap { Int32($0) } ?? Failure.Code.bug.rawValue,
                host: parts.count > 1 ? String(parts[1]) : "",
                sentence: parts.count > 2 ? String(parts[2]) : "")
        }
    }

    private static func commonFailure(of reports: [Report]) -> Failure {
        guard let rank = reports.firstIndex(where: { $0.code != 0 }) else {
            preconditionFailure("ranks agree on a failure only if one failed")
        }
        let report = reports[rank]
        // The host names differ even if ranks fail alike, so they are not compared.
        let failedAlike = reports.allSatisfy {
            $0.code == report.code && $0.sentence == report.sentence
        }
        let name = failedAlike ? nil : MPIEnvironment.name(ofRank: rank, on: report.host)
        return Failure(Failure.Code(rawValue: report.code) ?? .bug, report.sentence).met(by: name)
    }

    /// Returns text such as "rank 1 on HOST" or "ranks 1, 2 and 3"; long lists are truncated.
    package static func list(_ ranks: [Int], hosts: [String]) -> String {
        if ranks.count == 1, let rank = ranks.first {
            return "rank \(rank) on \(hosts[rank])"
        }
        let shown = ranks.prefix(8).map(String.init)
        if ranks.count > shown.count {
            return "ranks \(shown.joined(separator: ", ")) and \(ranks.count - shown.count) more"
        }
        return "ranks \(shown.dropLast().joined(separator: ", ")) and \(shown.last ?? "")"
    }

    private static func shortened(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.count <= 64 ? text : text.prefix(61) + "..."
    }
}
