import Foundation
import TestSupport
import Testing

/// Tests of `launch/slurm/job`, `launch/mpirun` and `srun` in a real Slurm on this machine.
@Suite(
    .serialized,
    .enabled(
        if: SlurmCluster.isInstalled && Launch.runsAll,
        "this needs slurmctld, slurmd, slurm-client and munge: launch/test --all"))
struct SlurmTests {
    private let job = "\(Launch.root)/launch/slurm/job"
    private let launcher = "\(Launch.root)/launch/mpirun"

    // MARK: - The batch script

    @Test("a training that is pre-empted twice ends with the bits of an undisturbed one")
    func preemptedTrainingEndsWithTheSameBits() throws {
        let bench = try Workbench()
        let long = ["training.steps=30000", "evaluation.every=30000", "checkpoint.every=1000"]
            .flatMap { ["--set", $0] }
        let alone = try Launch.run(
            Workbench.lockstep, bench.training(into: "alone") + long, seconds: 600)
        try #require(alone.status == 0, "\(alone.errors)")

        let slurm = try SlurmCluster()
        let output = bench.path("output")
        let id = try slurm.submit(
            ["--ntasks=2", "--time=10", "--output=\(output)", job]
                + bench.training(into: "run") + long)
        for restart in 1...2 {
            let step = try newestStep(in: bench)
            try slurm.wait("a checkpoint") { try newestStep(in: bench) > step }
            // The signal of the time limit, which `scancel` sends at a time that suits the test.
            #expect(try slurm.run("scancel", "--batch", "--signal=USR1", id).status == 0)
            try slurm.wait("a requeue") { try slurm.field("Restarts", of: id) == "\(restart)" }
        }
        try slurm.wait(for: id, toBe: "COMPLETED")

        let text = String(decoding: try bench.bytes(of: "output"), as: UTF8.self)
        #expect(text.matches(of: /takes --ranks 2 from the Slurm allocation/).count == 3, "\(text)")
        #expect(text.matches(of: /checkpointed at step [0-9]+ because a signal/).count == 2)
        #expect(text.contains("launch/slurm/job: requeued job \(id), which will resume "))
        #expect(text.matches(of: /resumed from the checkpoint of step [1-9]/).count == 2)
        #expect(try bench.state(30000) == bench.state(30000, of: "alone"))
    }

    /// Returns the step of the newest checkpoint of the run, or 0.
    private func newestStep(in bench: Workbench) throws -> Int {
        guard bench.exists("run/checkpoints") else { return 0 }
        return try bench.names(in: "run/checkpoints").compactMap { Int($0.dropFirst(5)) }.max() ?? 0
    }

    @Test("a job stops before its time limit and is requeued, but not if it is canceled")
    func jobStopsBeforeItsTimeLimit() throws {
        let bench = try Workbench()
        let slurm = try SlurmCluster()
        // The limit is a minute, so Slurm sends the signal at the first opportunity.
        let id = try slurm.submit(
            ["--ntasks=1", "--time=1", "--output=\(bench.path("output"))", job]
                + bench.training(into: "run", set: "training.steps=100000000"))
        try slurm.wait("a requeue") { try slurm.field("Restarts", of: id) == "1" }
        try slurm.wait("a resumption") {
            try bench.bytes(of: "output").range(of: Data("resumed from".utf8)) != nil
        }
        #expect(try slurm.run("scancel", id).status == 0)
        try slurm.wait(for: id, toBe: "CANCELLED")
        #expect(try slurm.field("Restarts", of: id) == "1")
        let text = String(decoding: try bench.bytes(of: "output"), as: UTF8.self)
        #expect(text.matches(of: /requeued job/).count == 1, "\(text)")
    }

    @Test("a sweep that is pre-empted continues in the requeued job")
    func preemptedSweepContinues() throws {
        let bench = try Workbench()
        let sweep = """
            recipe = "recipe.toml"
            batches = [4, 8]
            learning_rates = [1e-3, 2e-3, 4e-3]
            seeds = [1]
            tokens = [640000]

            """
        try bench.write(sweep, to: "sweep.toml")
        try bench.write(
            Workbench.recipe.replacing("every = 2", with: "every = 100000"), to: "recipe.toml")
        let slurm = try SlurmCluster()
        func arguments(_ folder: String) -> [String] {
            ["sweep", bench.path("sweep.toml"), "--data", bench.data, "--out", bench.path(folder)]
        }
        let id = try slurm.submit(
            ["--ntasks=2", "--time=10", "--output=\(bench.path("output"))", job] + arguments("run"))
        try slurm.wait("an ended run") { bench.exists("run/ledger.jsonl") }
        #expect(try slurm.run("scancel", "--batch", "--signal=USR1", id).status == 0)
        try slurm.wait(for: id, toBe: "COMPLETED")
        #expect(try slurm.field("Restarts", of: id) == "1")

        let alone = try Launch.run(Workbench.lockstep, arguments("alone"), seconds: 600)
        try #require(alone.status == 0, "\(alone.errors)")
        func results(_ folder: String) throws -> [String] {
            String(decoding: try bench.bytes(of: "\(folder)/ledger.jsonl"), as: UTF8.self)
                .split(separator: "\n").map(String.init).sorted()
        }
        #expect(try results("run") == results("alone"))
    }

    @Test("a job that failed or saved nothing is not requeued")
    func failedJobIsNotRequeued() throws {
        let slurm = try SlurmCluster()
        let folder = try TemporaryFolder()
        let script = """
            mkdir -p "$1/launch/slurm" && cp "$0" "$1/launch/slurm/" && cat >"$1/launch/mpirun" <<'END'
            #!/bin/sh
            exit "$CODE"
            END
            chmod +x "$1/launch/mpirun"
            """
        let copy = try Launch.run("sh", ["-c", script, job, folder.path])
        #expect(copy.status == 0, "\(copy.errors)")
        for (code, expected) in [(0, 0), (65, 65), (70, 70), (78, 78), (137, 137), (75, 78)] {
            let outcome = try slurm.run(
                "sbatch", "--wait", "--parsable", "--export=ALL,CODE=\(code)",
                "--output=\(folder.path)/output", "\(folder.path)/launch/slurm/job", "train",
                "recipe.toml", "--out=\(folder.path)/none")
            #expect(outcome.status == expected, "\(outcome.errors)")
            let id = outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(try slurm.field("Restarts", of: id) == "0")
        }
        #expect(
            try folder.read("output").hasSuffix(
                "launch/slurm/job: \(folder.path)/none: nothing was saved since the job started, "
                    + "so it is not requeued; give sbatch a longer --time.\n"))
    }

    @Test("the batch script refuses bad input in one sentence")
    func badInputIsRefused() throws {
        let none = ["SLURM_JOB_ID": ""]
        for (arguments, status, sentence) in [
            (["run"], 64, "\"run\": is neither \"train\" nor \"sweep\"; see "),
            (["train", "recipe.toml"], 64, "--out: has no value; name "),
            (["train", "--out", "run"], 78, "SLURM_JOB_ID: is unset; submit "),
        ] {
            let outcome = try Launch.run(job, arguments, environment: none)
            #expect(outcome.status == status)
            #expect(outcome.errors.hasPrefix("launch/slurm/job: \(sentence)"))
            #expect(outcome.sentences.count == 1)
        }
        #expect(try Launch.run(job, ["--help"]).output.hasPrefix("Usage: sbatch "))
    }

    // MARK: - The launcher and srun

    @Test("the launcher takes tasks, and srun starts ranks or is refused")
    func launcherTakesTasksAndSrunStartsRanks() throws {
        let bench = try Workbench()
        let slurm = try SlurmCluster()
        let probe = "\(Launch.products)/multirank-probe"
        // The shell of `salloc` is not on the node.
        let started = try slurm.run(
            "salloc", "--ntasks=2", "--cpus-per-task=2", launcher, "--oversubscribe", "--", probe,
            "environment")
        #expect(started.status == 0, "\(started.errors)")
        #expect(try started.reports(EnvironmentReport.self).map(\.size) == [2, 2])
        #expect(
            started.errors.contains("takes --ranks 2 --threads 2 from the Slurm allocation.\n"))

        let train = [Workbench.lockstep] + bench.training(into: "run")
        for (options, sentence) in [
            (["--mpi=none"], "SLURM_STEP_NUM_TASKS = 2: means that a launcher started 2 tasks"),
            (["--mpi=pmi2"], "start the job with srun --mpi=pmix"),
        ] {
            let refused = try slurm.run("srun", ["--ntasks=2"] + options + train)
            #expect(refused.status == 78, "\(refused.errors)")
            #expect(refused.errors.contains(sentence), "\(refused.errors)")
        }
        let nested = try slurm.run("srun", ["--ntasks=2", launcher, "--"] + train)
        #expect(nested.status == 78)
        #expect(nested.errors.contains("launch/mpirun: SLURM_STEP_NUM_TASKS = 2: means that srun "))
        #expect(!bench.exists("run"))

        guard try slurm.run("srun", "--mpi=list").errors.contains("pmix") else { return }
        let ranks = try slurm.run("srun", ["--ntasks=2", "--mpi=pmix"] + train)
        #expect(ranks.status == 0, "\(ranks.errors)")
        #expect(ranks.errors.contains("for 6 steps on 2 ranks x 1 thread"))
    }
}
