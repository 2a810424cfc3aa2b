import COpenMPI
import Dispatch
import Foundation
import Support
import Synchronization

/// Reports the ranks for which all others wait, such as one that is stopped or whose disk hangs.
///
/// A thread on every rank answers inquiries, even while the rank's main thread waits or computes.
/// If rank 0 has waited for a minute, it asks all ranks what they are doing, reports those that are
/// not waiting themselves, and lists the state of every rank. It repeats the report after twice that
/// time, four times, and so on. Rank 1 does the same if rank 0 is the rank that all others wait for.
/// Rank 0 also reports its own wait for the disk, even if it is the only rank. If
/// LOCKSTEP_STALL_LIMIT is set, a wait that exceeds it ends the job.
///
/// The thread calls MPI concurrently with the main thread, so with several ranks the library must
/// provide `MPI_THREAD_MULTIPLE`.
package final class StallWatch: @unchecked Sendable {
    /// The seconds that a rank waits before it asks the others, if LOCKSTEP_STALL_SECONDS is unset.
    package static let defaultSeconds = 60
    /// The seconds that rank 1 waits longer than rank 0.
    private static let staggerSeconds = 10
    /// The seconds after which a rank counts as not responding.
    private static let answerSeconds = 3
    /// The longest time by which the watch delays the end of the program.
    private static let napMilliseconds = 25

    private enum Tag: Int32 {
        case inquiry = 1
        case answer
    }

    /// The state of a rank, which it sends in an answer.
    private struct State: Hashable {
        var activity: RankActivity
        var place: RankPlace

        static var now: State { State(activity: RankActivity.now.activity, place: .now) }

        var description: String {
            activity.usesDisk ? activity.description : activity.description + place.description
        }
    }

    /// The number of an inquiry, the activity and the numbers of the place.
    private static let answerLength = 2 + RankPlace.now.numbers.count

    private let communicator: Communicator
    private let hosts: [String]
    private let reportSeconds: Int
    /// The seconds of waiting after which the job ends; nil for no limit.
    private let limitSeconds: Int?
    private let report: @Sendable (String) -> Void
    private let isEnding = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the watch; collective: every rank must call this.
    ///
    /// - Parameter report: a closure that receives the sentence of each report.
    /// - Throws: `Failure` (configuration) if LOCKSTEP_STALL_SECONDS or LOCKSTEP_STALL_LIMIT is not
    ///   a positive whole number, or the error that MPI reports.
    package init(
        of communicator: Communicator, report: @escaping @Sendable (String) -> Void
    ) throws(Failure) {
        let own = Self.limitOfThisRank
        let start = own.map { EndOfWait(after: $0, report: report) }
        (reportSeconds, limitSeconds) = try communicator.agree { () throws(Failure) in
            (
                try Self.seconds("LOCKSTEP_STALL_SECONDS", example: 60) ?? Self.defaultSeconds,
                try Self.seconds("LOCKSTEP_STALL_LIMIT", example: 600)
            )
        }
        self.communicator = try communicator.duplicate()
        // The first two ranks report.
        hosts = try communicator.gatherText(Communicator.hostName, receivers: 2)
        self.report = report
        start?.cancel()
        Thread.detachNewThread { [self] in
            watch()
            ended.signal()
        }
    }

    /// Returns the seconds that a variable states; nil if it is unset.
    private static func seconds(_ name: String, example: Int) throws(Failure) -> Int? {
        guard let text = ProcessInfo.processInfo.environment[name] else { return nil }
        guard let seconds = Int(text), seconds > 0, seconds < 1_000_000 else {
            throw .variable(
                name, text, "is not a positive whole number of seconds below a million",
                remedy: "set one such as \(example)")
        }
        return seconds
    }

    /// Ends the watch and waits for its thread, which must not call MPI while MPI ends.
    ///
    /// If there is a limit, it also holds for the end of MPI, which waits for all ranks.
    package func end() {
        isEnding.store(true, ordering: .releasing)
        ended.wait()
        if let own = Self.limitOfThisRank { _ = EndOfWait(after: own, report: report) }
    }

    /// The seconds in LOCKSTEP_STALL_LIMIT, longer on all ranks but the first so that one reports;
    /// nil if the variable is unset or wrong.
    private static var limitOfThisRank: Int? {
        guard let limit = try? seconds("LOCKSTEP_STALL_LIMIT", example: 600) else { return nil }
        return limit + (MPIEnvironment.launchedRank == 0 ? 0 : staggerSeconds)
    }

    // MARK: - The watching thread

    private func watch() {
        var inquiries: Int64 = 0
        var nextReport = firstReport
        var nextDisk = Int64(reportSeconds)
        while !ends(within: 500) {
            if communicator.size > 1 { answerInquiries() }
            let own = RankActivity.now
            guard own.activity == .waiting, communicator.size > 1 else {
                nextReport = firstReport
                if communicator.rank == 0, own.activity.usesDisk, own.seconds >= nextDisk {
                    nextDisk = own.seconds * 2
                    report(
                        "\(name(0)) is \(own.activity.description), for \(own.seconds) s so far; "
                            + "check its disk."
                    )
                } else if own.activity == .computing {
                    nextDisk = Int64(reportSeconds)
                }
                continue
            }
            // Only the first two ranks report.
            let isOverLimit = own.seconds >= endSeconds
            guard communicator.rank < 2, own.seconds >= nextReport || isOverLimit else { continue }
            nextReport = own.seconds * 2
            inquiries += 1
            guard let others = inquire(inquiries) else { return }
            // The wait may have ended in the meantime.
            let after = RankActivity.now
            guard after.activity == .waiting, after.seconds >= own.seconds else { continue }
            // Rank 0 reports for itself if it waits or if its disk delays it.
            if communicator.rank == 1, let first = others[0], first.activity != .computing {
                continue
            }
            report(sentence(others, waited: own.seconds))
            for line in states(others) { report(line) }
            if isOverLimit { endJob() }
        }
    }

    private func endJob() {
        report(
            "the job ends, because LOCKSTEP_STALL_LIMIT is \(limitSeconds ?? 0) s; resume the run "
                + "from its last checkpoint.")
        communicator.abort(.inputOutput)
    }

    /// The seconds of waiting after which this rank ends the job.
    private var endSeconds: Int64 {
        limitSeconds.map { Int64($0 + communicator.rank * Self.staggerSeconds) } ?? .max
    }

    private var firstReport: Int64 {
        Int64(reportSeconds + communicator.rank * Self.staggerSeconds)
    }

    /// Waits and returns whether the watch must end.
    ///
    /// It sleeps, because the time limit of a semaphore follows the wall clock, which may jump.
    private func ends(within milliseconds: Int) -> Bool {
        for _ in 0..<milliseconds / Self.napMilliseconds {
            if isEnding.load(ordering: .acquiring) { return true }
            usleep(UInt32(Self.napMilliseconds) * 1000)
        }
        return isEnding.load(ordering: .acquiring)
    }

    /// Asks all ranks for their state and returns the answers that arrive in time; nil if the
    /// watch ends in the meantime.
    private func inquire(_ number: Int64) -> [Int: State]? {
        var answers = [communicator.rank: State.now]
        for rank in 0..<communicator.size where rank != communicator.rank {
            send([number], to: Int32(rank), .inquiry)
        }
        let end = DispatchTime.now() + .seconds(Self.answerSeconds)
        while DispatchTime.now() < end, answers.count < communicator.size {
            answerInquiries()
            while let (source, numbers) = takeMessage(.answer) {
                // A rank that was stopped answers the earlier inquiries first.
                guard numbers[0] == number else { continue }
                answers[Int(source)] = State(
                    activity: RankActivity(rawValue: numbers[1]) ?? .computing,
                    place: RankPlace(numbers: Array(numbers[2...])))
            }
            if ends(within: 50) { return nil }
        }
        return answers
    }

    /// Answers the inquiries that have arrived.
    private func answerInquiries() {
        while let (source, numbers) = takeMessage(.inquiry) {
            let own = State.now
            send([numbers[0], own.activity.rawValue] + own.place.numbers, to: source, .answer)
        }
    }

    /// Starts to send and returns immediately.
    ///
    /// A send over a new connection would wait for a rank that does not respond, so nothing waits
    /// for it, and its few bytes are never freed.
    private func send(_ numbers: [Int64], to rank: Int32, _ tag: Tag) {
        let message = UnsafeMutableBufferPointer<Int64>.allocate(capacity: numbers.count)
        _ = message.initialize(from: numbers)
        var request: MPI_Request?
        _ = MPI_Isend(
            message.baseAddress, Int32(numbers.count), Int64.datatype, rank, tag.rawValue, handle,
            &request)
        _ = MPI_Request_free(&request)
    }

    private var handle: MPI_Comm { communicator.handle }

    /// Receives a message with a tag that has arrived, an inquiry or an answer; nil if none has.
    private func takeMessage(_ tag: Tag) -> (source: Int32, numbers: [Int64])? {
        var flag: Int32 = 0
        var status = MPI_Status()
        guard
            MPI_Iprobe(MPI_ANY_SOURCE, tag.rawValue, handle, &flag, &status) == MPI_SUCCESS,
            flag != 0
        else { return nil }
        var numbers = [Int64](repeating: 0, count: Self.answerLength)
        _ = MPI_Recv(
            &numbers, Int32(numbers.count), Int64.datatype, status.MPI_SOURCE, tag.rawValue, handle,
            lockstep_status_ignore())
        return (status.MPI_SOURCE, numbers)
    }

    // MARK: - The report

    /// Returns the sentence that names the ranks for which all others wait.
    private func sentence(_ answers: [Int: State], waited: Int64) -> String {
        let unresponsive = (0..<communicator.size).filter { answers[$0] == nil }
        let busy = answers.filter { $0.value.activity != .waiting }.keys.sorted()
        let head = "no step has ended for \(waited) s: "
        if !unresponsive.isEmpty {
            return head
                + "\(list(unresponsive)) \(unresponsive.count == 1 ? "does" : "do") not respond; "
                + "continue a stopped process with kill -CONT, or end the run and resume it."
        }
        if let first = busy.first, let state = answers[first] {
            return head
                + "\(list(busy)) \(busy.count == 1 ? "is" : "are") \(state.activity.description) while "
                + "the others wait; check the load and the disk of "
                + "\(busy.count == 1 ? "that host" : "those hosts")."
        }
        return head + "all ranks wait for one another; check the network between the hosts."
    }

    /// Returns a line for each state that ranks are in, with these ranks.
    private func states(_ answers: [Int: State]) -> [String] {
        Dictionary(grouping: 0..<communicator.size) { answers[$0] }
            .sorted { $0.value[0] < $1.value[0] }
            .map { state, ranks in
                let text = state.map { "\(ranks.count == 1 ? "is" : "are") \($0.description)" }
                let who = ranks.count == 1 ? name(ranks[0]) : "ranks \(Format.ranges(ranks))"
                return "\(who): \(text ?? "no answer")"
            }
    }

    private func name(_ rank: Int) -> String { "rank \(rank) on \(hosts[rank])" }

    private func list(_ ranks: [Int]) -> String {
        let shown = ranks.prefix(4).map(name).joined(separator: ", ")
        return ranks.count > 4 ? "\(shown) and \(ranks.count - 4) more" : shown
    }
}
