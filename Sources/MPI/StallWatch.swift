import COpenMPI
import Dispatch
import Failures
import Foundation
import Synchronization

/// Names the ranks for which all others wait, such as one that is stopped or whose disk hangs.
///
/// A thread on every rank answers inquiries, even while the rank's main thread waits or computes. A
/// rank that has waited for a minute inquires of all and reports those that are not waiting
/// themselves, then again after twice that time, four times, and so on. Rank 0 reports; rank 1 does
/// if rank 0 is the one that all wait for.
///
/// The thread calls MPI beside the main one, so the library must provide `MPI_THREAD_MULTIPLE`.
package final class StallWatch: @unchecked Sendable {
    /// The seconds a rank waits before it inquires, unless LOCKSTEP_STALL_SECONDS says otherwise.
    package static let defaultSeconds = 60
    /// The seconds that rank 1 leaves to rank 0.
    private static let staggerSeconds = 10
    /// The seconds in which a rank that responds at all has responded.
    private static let answerSeconds = 3

    private enum Tag: Int32 {
        case inquiry = 1
        case answer
    }

    private let communicator: Communicator
    private let hosts: [String]
    private let patience: Int
    private let report: @Sendable (String) -> Void
    private let ending = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts to watch. Collective.
    ///
    /// - Parameter report: gets each report, a sentence.
    /// - Throws: `.configuration` if LOCKSTEP_STALL_SECONDS is not a positive whole number; what MPI
    ///   reports.
    package init(
        of communicator: Communicator, report: @escaping @Sendable (String) -> Void
    ) throws(Failure) {
        patience = try communicator.agree { () throws(Failure) in
            guard let text = ProcessInfo.processInfo.environment["LOCKSTEP_STALL_SECONDS"] else {
                return Self.defaultSeconds
            }
            guard let seconds = Int(text), seconds > 0 else {
                throw Failure(
                    .configuration,
                    "LOCKSTEP_STALL_SECONDS = \(text): is not a positive whole number of seconds; set "
                        + "one such as 60.")
            }
            return seconds
        }
        self.communicator = try communicator.duplicate()
        hosts = try communicator.allGatherBytes(Array(Communicator.hostName.utf8)).map {
            String(decoding: $0, as: UTF8.self)
        }
        self.report = report
        Thread.detachNewThread { [self] in
            watch()
            ended.signal()
        }
    }

    /// Ends the watch and waits for its thread.
    package func end() {
        ending.signal()
        ended.wait()
    }

    // MARK: - The watching thread

    private func watch() {
        var inquiries: Int64 = 0
        var nextReport = firstReport
        var nextDisk = Int64(patience)
        while ending.wait(timeout: .now() + .milliseconds(500)) == .timedOut {
            answerInquiries()
            let own = RankActivity.now
            guard own.activity == .waiting else {
                nextReport = firstReport
                if communicator.rank == 0, own.activity != .computing, own.seconds >= nextDisk {
                    nextDisk = own.seconds * 2
                    report(
                        "\(name(0)) \(own.activity.description), for \(own.seconds) s so far; check its disk."
                    )
                } else if own.activity == .computing {
                    nextDisk = Int64(patience)
                }
                continue
            }
            // Ranks other than the first two leave the talking to them.
            guard communicator.rank < 2, own.seconds >= nextReport else { continue }
            nextReport = own.seconds * 2
            inquiries += 1
            let others = inquire(inquiries)
            // The wait may have ended meanwhile.
            let after = RankActivity.now
            guard after.activity == .waiting, after.seconds >= own.seconds else { continue }
            // Rank 0 speaks for itself if it waits or if its disk holds it up.
            if communicator.rank == 1, let first = others[0], first.activity != .computing {
                continue
            }
            report(sentence(others, waited: own.seconds))
        }
    }

    private var firstReport: Int64 {
        Int64(patience + communicator.rank * Self.staggerSeconds)
    }

    /// Asks all ranks what they do; returns the answers that come in time.
    private func inquire(_ number: Int64) -> [Int: (activity: RankActivity, seconds: Int64)] {
        var answers = [communicator.rank: RankActivity.now]
        for rank in 0..<communicator.size where rank != communicator.rank {
            var number = number
            _ = MPI_Send(&number, 1, Int64.datatype, Int32(rank), Tag.inquiry.rawValue, handle)
        }
        let end = DispatchTime.now() + .seconds(Self.answerSeconds)
        while DispatchTime.now() < end, answers.count < communicator.size {
            answerInquiries()
            while let source = probe(.answer) {
                var numbers: [Int64] = [0, 0, 0]
                _ = MPI_Recv(
                    &numbers, 3, Int64.datatype, source, Tag.answer.rawValue, handle,
                    lockstep_status_ignore())
                // A rank that was stopped answers earlier inquiries first.
                guard numbers[0] == number else { continue }
                answers[Int(source)] = (
                    RankActivity(rawValue: numbers[1]) ?? .computing, numbers[2]
                )
            }
            usleep(50_000)
        }
        return answers
    }

    /// Tells those who have asked what this rank's main thread does.
    private func answerInquiries() {
        while let source = probe(.inquiry) {
            var number: Int64 = 0
            _ = MPI_Recv(
                &number, 1, Int64.datatype, source, Tag.inquiry.rawValue, handle,
                lockstep_status_ignore())
            let own = RankActivity.now
            let numbers = [number, own.activity.rawValue, own.seconds]
            _ = MPI_Send(numbers, 3, Int64.datatype, source, Tag.answer.rawValue, handle)
        }
    }

    private var handle: MPI_Comm { communicator.handle }

    /// The rank whose message of a kind has arrived; nil if none has.
    private func probe(_ tag: Tag) -> Int32? {
        var flag: Int32 = 0
        var status = MPI_Status()
        guard
            MPI_Iprobe(MPI_ANY_SOURCE, tag.rawValue, handle, &flag, &status) == MPI_SUCCESS,
            flag != 0
        else { return nil }
        return status.MPI_SOURCE
    }

    // MARK: - The report

    /// Says for whom all wait.
    private func sentence(
        _ answers: [Int: (activity: RankActivity, seconds: Int64)], waited: Int64
    ) -> String {
        let silent = (0..<communicator.size).filter { answers[$0] == nil }
        let busy = answers.filter { $0.value.activity != .waiting }.keys.sorted()
        let head = "no step has ended for \(waited) s: "
        if !silent.isEmpty {
            return head
                + "\(list(silent)) \(silent.count == 1 ? "does" : "do") not respond; continue a "
                + "stopped process with kill -CONT, or end the run and resume it."
        }
        if let first = busy.first, let answer = answers[first] {
            return head
                + "\(list(busy)) \(answer.activity.description) while the others wait; check "
                + "the load and the disk of \(busy.count == 1 ? "that host" : "those hosts")."
        }
        return head + "all ranks wait for one another; check the network between the hosts."
    }

    private func name(_ rank: Int) -> String { "rank \(rank) on \(hosts[rank])" }

    private func list(_ ranks: [Int]) -> String {
        let shown = ranks.prefix(4).map(name).joined(separator: ", ")
        return ranks.count > 4 ? "\(shown) and \(ranks.count - 4) more" : shown
    }
}
