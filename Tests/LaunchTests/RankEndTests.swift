import Foundation
import TestSupport
import Testing

/// Tests of what `launch/mpirun` reports when a rank ends a job: one sentence, and the rank's exit code.
@Suite struct RankEndTests {
    /// Starts two ranks, of which the second ends by a command while the first waits.
    private func end(_ command: String) throws -> Outcome {
        let script = "[ $OMPI_COMM_WORLD_RANK = 1 ] && sleep 2 && \(command); sleep 30"
        return try Launch.run(
            "\(Launch.root)/launch/mpirun",
            ["--ranks", "2", "--oversubscribe", "--", "bash", "-c", script])
    }

    @Test(
        "a rank that a signal ends is named with the signal and its likely cause",
        arguments: [
            ("KILL", Int32(137), ", most likely because memory ran out (see dmesg)"),
            ("SEGV", 139, ""), ("ABRT", 134, ""),
        ])
    func signal(name: String, status: Int32, cause: String) throws {
        let outcome = try end("ulimit -c 0 && kill -\(name) $$")
        #expect(outcome.status == status)
        #expect(
            outcome.sentences == [
                "launch/mpirun: rank 1 on \(ProcessInfo.processInfo.hostName) was ended by "
                    + "SIG\(name)\(cause); if training was under way, resume it from its last "
                    + "checkpoint with --resume."
            ])
    }

    @Test("the cause of SIGKILL quotes the plan's memory")
    func memory() throws {
        let plan = "  memory      1.4 GB a rank, 2.8 GB a host: model 1 GB"
        let outcome = try end("echo '\(plan)' >&2 && kill -KILL $$")
        #expect(
            outcome.sentences.last?.contains(
                " because memory ran out (the plan expected 1.4 GB a rank, 2.8 GB a host; see "
                    + "dmesg); ") == true, "\(outcome.errors)")
    }

    @Test("the sentence of a rank that fails stands alone", arguments: [65, 74, 78])
    func sentence(code: Int32) throws {
        let sentence = "lockstep: data: is broken; give other data."
        let outcome = try end("echo '\(sentence)' >&2 && exit \(code)")
        #expect(outcome.status == code)
        #expect(outcome.sentences == [sentence])
    }

    @Test("a rank that ends without a message is named", arguments: [3, 65])
    func silence(code: Int32) throws {
        let outcome = try end("exit \(code)")
        #expect(outcome.status == code)
        #expect(outcome.sentences.count == 1)
        let sentence = outcome.sentences.first ?? ""
        #expect(sentence.hasPrefix("launch/mpirun: rank 1 on "), "\(sentence)")
        #expect(sentence.contains(" exited with code \(code) without a message; "))
    }

    @Test("a rank that has checkpointed ends the job without a message")
    func checkpoint() throws {
        let outcome = try end("exit 75")
        #expect(outcome.status == 75)
        #expect(outcome.sentences.isEmpty)
    }
}
