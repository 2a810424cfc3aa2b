import Foundation
import TestSupport
import Testing

/// Tests of when `launch/supervise` restarts a run on one machine, and when it gives up.
@Suite struct SuperviseTests {
    private let supervise = "\(Launch.root)/launch/supervise"

    /// Makes a stand-in for the program: it writes its arguments to `starts`, a line to stderr, and
    /// runs a command of bash.
    private func standIn(_ command: String) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let program = try folder.write(
            "lockstep",
            """
            #!/bin/bash
            cd "$(dirname "$0")"; echo "$*" >>starts
            echo "lockstep: disk: is full; free space." >&2
            \(command)
            """)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        return folder
    }

    private func run(_ folder: TemporaryFolder, _ options: String...) throws -> Outcome {
        try Launch.run(
            supervise,
            ["--ranks", "1", "--backoff", "1"] + options
                + ["--", "\(folder.path)/lockstep", "train", "a.toml", "--data", "data"]
                + ["--out", "\(folder.path)/run"], seconds: 60)
    }

    private func starts(_ folder: TemporaryFolder) throws -> [Substring] {
        try folder.read("starts").split(separator: "\n")
    }

    @Test("a code that would come again ends the run", arguments: [64, 65, 66, 70, 78] as [Int32])
    func finalCodesEndTheRun(code: Int32) throws {
        let folder = try standIn("exit \(code)")
        let outcome = try run(folder)
        #expect(outcome.status == code)
        #expect(try starts(folder).count == 1)
        #expect(
            outcome.sentences == [
                "lockstep: disk: is full; free space.",
                "launch/supervise: the run is not restarted, because it would end with code "
                    + "\(code) again.",
            ])
    }

    @Test("a start that hung is repeated")
    func hungStartIsRepeated() throws {
        let folder = try standIn(
            """
            [ $(wc -l <starts) = 2 ] && exit
            echo "lockstep: MPI: did not connect all ranks within 60 s (rank 0 waits); wait." >&2; exit 78
            """)
        #expect(try run(folder).status == 0)
        #expect(try starts(folder).count == 2)
    }

    @Test("a restart does not name the model from which the run started")
    func restartsDoNotNameTheModel() throws {
        let folder = try standIn(
            "[ $(wc -l <starts) = 2 ] && exit; mkdir run && touch run/recipe.toml; exit 137")
        let outcome = try Launch.run(
            supervise,
            ["--ranks", "1", "--backoff", "1", "--", "\(folder.path)/lockstep", "train", "a.toml"]
                + ["--init-from", "model", "--data", "data", "--init-checkpoint=best"]
                + ["--out", "\(folder.path)/run", "--threads-per-rank", "2"], seconds: 60)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let starts = try starts(folder)
        #expect(starts.count == 2 && starts.first?.contains("--init-from model") == true)
        let resumption = "train --resume --data data --out \(folder.path)/run --threads-per-rank 2"
        #expect(starts.last.map(String.init) == resumption)
    }

    @Test("a run that ranks of a killed launcher create late is resumed")
    func lateRunIsResumed() throws {
        // The ranks of the first start create the run after the second start was decided.
        let words = "already holds a run, which is never overwritten; add --resume."
        let folder = try standIn(
            """
            case $(wc -l <starts) in
            1) exit 137 ;;
            2) mkdir run && touch run/recipe.toml; echo "lockstep: run: \(words)" >&2; exit 64 ;;
            esac
            """)
        #expect(try run(folder).status == 0)
        let starts = try starts(folder)
        #expect(starts.count == 3 && starts.last?.contains("--resume") == true, "\(starts)")
        // Without a restart, the run is someone else's.
        let other = try standIn("echo 'lockstep: run: \(words)' >&2; exit 64")
        #expect(try run(other).status == 64)
        #expect(try self.starts(other).count == 1)
    }

    @Test("a rank that does not respond has a time limit, which can be set")
    func stallLimit() throws {
        let folder = try standIn("echo \"$LOCKSTEP_STALL_LIMIT\" >>limits")
        #expect(try run(folder).status == 0)
        let outcome = try Launch.run(
            supervise,
            ["--ranks", "1", "--", "\(folder.path)/lockstep", "train", "--resume"]
                + ["--out", "\(folder.path)/run"], environment: ["LOCKSTEP_STALL_LIMIT": "7"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try folder.read("limits") == "1800\n7\n")
    }

    @Test("a crash loop without progress ends with its reason")
    func crashLoopEndsWithItsReason() throws {
        let folder = try standIn("mkdir -p run; touch run/recipe.toml; exit 74")
        let outcome = try run(folder, "--restarts", "2")
        #expect(outcome.status == 74)
        #expect(
            outcome.sentences.last
                == "launch/supervise: \(folder.path)/run: restart 2 of 2 since the checkpoint of "
                + "step 0 ended with code 74 too (lockstep: disk: is full; free space); remove "
                + "the cause, and resume with --resume.")
        // A restart resumes with the run's own recipe.
        let resumption = "train --resume --data data --out \(folder.path)/run"
        #expect(
            try starts(folder) == [
                "train a.toml --data data --out \(folder.path)/run", resumption[...],
                resumption[...],
            ])
    }

    @Test("a new checkpoint renews the restarts")
    func progressRenewsTheRestarts() throws {
        let folder = try standIn(
            """
            step=$(wc -l <starts); ((step < 4)) || exit 0
            mkdir -p "run/checkpoints/step-0000000$step"; touch run/recipe.toml; exit 74
            """)
        let outcome = try run(folder, "--restarts", "1")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try starts(folder).count == 4)
        #expect(
            outcome.sentences.filter { $0.hasPrefix("launch/supervise: ") }
                == (1...3).map {
                    "launch/supervise: the run ended with code 74 at the checkpoint of step \($0); "
                        + "restart 1 of 1 in 1 s."
                })
    }

    @Test("a checkpoint on request ends the run, unless it is to continue")
    func checkpointOnRequestEndsTheRun() throws {
        let folder = try standIn("[ $(wc -l <starts) = 2 ] || exit 75")
        #expect(try run(folder).status == 75)
        #expect(try starts(folder).count == 1)
        try FileManager.default.removeItem(atPath: "\(folder.path)/starts")
        #expect(try run(folder, "--continue").status == 0)
        #expect(try starts(folder).count == 2)
    }

    @Test("a resumed run has at most as many ranks as lanes")
    func ranksAreLimitedByLanes() throws {
        let folder = try standIn("exit 0")
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/run", withIntermediateDirectories: false)
        try folder.write("run/recipe.toml", "[training]\n[reduction]\nlanes = 2 # or 4\n[log]\n")
        let outcome = try run(folder, "--ranks", "3", "--oversubscribe")
        #expect(outcome.status == 0)
        #expect(outcome.errors.contains(" -n 2 --oversubscribe "), "\(outcome.errors)")
        #expect(
            outcome.sentences.first
                == "launch/supervise: 3 ranks are more than the run's 2 lanes; 2 ranks are started."
        )
    }

    @Test("a signal between two starts ends supervision")
    func signalBetweenStartsEndsSupervision() throws {
        let folder = try standIn("exit 74")
        let script = """
            "$0" --ranks 1 --backoff 300 -- "$1/lockstep" train --out "$1/run" 2>"$1/log" & child=$!
            for i in $(seq 300); do grep -q 'restart 1' "$1/log" && break; sleep 0.1; done
            kill -TERM $child; wait $child; status=$?; tail -n 1 "$1/log"; exit $status
            """
        let outcome = try Launch.run("bash", ["-c", script, supervise, folder.path], seconds: 60)
        #expect(outcome.status == 75)
        #expect(outcome.output == "launch/supervise: stopped between two starts.\n")
        #expect(try starts(folder).count == 1)
    }

    @Test("a run whose supervisor is killed checkpoints and ends by itself")
    func killedSupervisorEndsTheRun() throws {
        let bench = try Workbench()
        let job = try BackgroundCommand(
            supervise,
            ["--ranks", "2", "--oversubscribe", "--", Workbench.lockstep]
                + bench.training(
                    set: "training.steps=1000000", "checkpoint.every=0", "evaluation.every=0"))
        try job.wait { (try? bench.metrics().count) ?? 0 > 20 }
        job.send(SIGKILL)
        #expect(job.waitUntilExit() == SIGKILL)
        let end = Date(timeIntervalSinceNow: 30)
        while try !Launch.processes(naming: bench.path("run")).isEmpty, Date() < end {
            usleep(100_000)
        }
        #expect(try Launch.processes(naming: bench.path("run")).isEmpty)
        let step = try #require(try bench.metrics().last?["step"] as? Int)
        #expect(bench.exists("\(Workbench.checkpoint(step))/manifest.json"))
    }

    @Test("a supervisor that is killed between two starts leaves nothing")
    func killedBetweenTwoStarts() throws {
        let folder = try standIn("exit 74")
        let script = """
            "$0" --ranks 1 --backoff 300 -- "$1/lockstep" train --out "$1/run" 2>"$1/log" & child=$!
            for i in $(seq 300); do sleeper=$(pgrep -P $child sleep) && break; sleep 0.1; done
            kill -KILL $child
            for i in $(seq 100); do kill -0 $sleeper || exit 0; sleep 0.1; done; exit 1
            """
        let outcome = try Launch.run("bash", ["-c", script, supervise, folder.path], seconds: 60)
        #expect(outcome.status == 0, "\(outcome.errors)")
    }

    /// The ranks of the first start are killed, and those of the second receive a request, after
    /// which the run is resumed.
    @Test("a killed run resumes, stops on request, and ends with the same bytes")
    func killedRunEndsWithTheSameBytes() throws {
        let bench = try Workbench()
        let steps = 1500
        let changes = ["training.steps=\(steps)", "checkpoint.every=50", "evaluation.every=500"]
        let settings = changes.flatMap { ["--set", $0] }
        try #require(
            try bench.lockstep(bench.training(into: "alone") + settings).status == 0)

        let script = """
            supervise=$0 run=$1; shift
            newest() { ls "$run/checkpoints" 2>/dev/null | sed -n 's/^step-0*\\([0-9]*\\)$/\\1/p' | tail -n 1; }
            reaches() { for i in $(seq 600); do (($(newest) + 0 >= $1)) && return; sleep 0.05; done; exit 1; }
            "$supervise" --ranks 2 --oversubscribe --backoff 1 -- "$@" 2>"$run.log" & child=$!
            reaches 100
            # The command lines of ranks begin with the program.
            kill -KILL $(pgrep -f "^$1 .*--out $run" | tail -n 1)
            for i in $(seq 300); do grep -q 'restart 1' "$run.log" && break; sleep 0.1; done
            reaches $(($(newest) + 50)); kill -TERM $child; wait $child; echo "code $?"
            grep '^launch/supervise' "$run.log" | sed 's/ of step [0-9]*//'
            "$supervise" --ranks 3 --oversubscribe -- "$@" --resume; echo "code $?"
            """
        let outcome = try Launch.run(
            "bash",
            ["-c", script, supervise, bench.path("run"), Workbench.lockstep]
                + bench.training(into: "run") + settings)
        let lines = outcome.output.split(separator: "\n").filter { !$0.hasPrefix("validation ") }
        #expect(
            lines.filter { !$0.hasPrefix("checkpointed at step ") } == [
                "code 75",
                "launch/supervise: the run ended with code 137 at the checkpoint; restart 1 of 5 "
                    + "in 1 s.",
                "code 0",
            ], "\(outcome.output)\(outcome.errors)")
        #expect(try bench.state(steps) == bench.state(steps, of: "alone"))
    }

    @Test(
        "bad input is refused in one sentence",
        arguments: [
            (["--restarts", "0"], "--restarts 0: must be a whole number"),
            (["--backoff"], "--backoff: has no value"),
            (["--restart", "2"], "--restart: is not an option"),
            ([], "<command>: must be \"lockstep train\""),
            (["lockstep", "bench"], "<command>: must be \"lockstep train\""),
            (["lockstep", "train", "a.toml"], "--out: is missing; name the run's folder."),
        ])
    func badInputIsRefused(arguments: [String], beginning: String) throws {
        let outcome = try Launch.run(supervise, arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("launch/supervise: \(beginning)"), "\(outcome.errors)")
        #expect(outcome.errors.split(separator: "\n").count == 1)
    }
}
