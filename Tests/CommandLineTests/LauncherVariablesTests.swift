import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the variables that launchers set and of the check that other ranks exist.
    @Suite(.serialized) struct LauncherVariablesTests {
        /// The variables of another MPI's launcher (hydra), of srun and of ended jobs, each with
        /// words of the refusal.
        private static let falseJobs: [([String: String], String)] = [
            (
                ["PMI_RANK": "0", "PMI_SIZE": "2"],
                "PMI_SIZE = 2: means that a launcher started 2 tasks"
            ),
            (
                ["PMI_RANK": "1", "PMI_SIZE": "2"],
                "PMI_SIZE = 2: means that a launcher started 2 tasks"
            ),
            (["PMI_RANK": "1"], "PMI_RANK = 1: means that a launcher started at least 2 tasks"),
            (
                ["MV2_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_RANK": "0"],
                "MV2_COMM_WORLD_SIZE = 2: means that a launcher started 2 tasks"
            ),
            (
                ["MPI_LOCALNRANKS": "3"],
                "MPI_LOCALNRANKS = 3: means that a launcher started 3 tasks"
            ),
            (
                ["SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"],
                "SLURM_STEP_NUM_TASKS = 4: means that a launcher started 4 tasks"
            ),
            (
                [
                    "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_STEPID": "0",
                    "SLURM_NODELIST": "node1", "SLURM_JOBID": "7",
                ], "SLURM_STEP_NUM_TASKS = 2: means that a launcher started 2 tasks"
            ),
            (
                ["SLURM_NTASKS": "2", "SLURM_PROCID": "1"],
                "SLURM_NTASKS = 2: means that a launcher started 2 tasks"
            ),
            (
                ["OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"],
                "OMPI_COMM_WORLD_SIZE = 2: means that a launcher started 2 tasks"
            ),
            (
                ["FLUX_TASK_RANK": "1"],
                "FLUX_TASK_RANK = 1: means that a launcher started at least 2 tasks"
            ),
            (
                ["PALS_RANKID": "3"],
                "PALS_RANKID = 3: means that a launcher started at least 4 tasks"
            ),
            (
                ["JSM_NAMESPACE_RANK": "0", "JSM_NAMESPACE_SIZE": "2"],
                "JSM_NAMESPACE_SIZE = 2: means that a launcher started 2 tasks"
            ),
            (
                ["PMIX_RANK": "1", "PMIX_SERVER_URI4": "gone.0;tcp4://127.0.0.1:1"],
                "PMIX_RANK = 1: means that a launcher started at least 2 tasks"
            ),
        ]

        @Test("tasks that are not connected are refused", arguments: falseJobs)
        func unconnectedTasksAreRefused(
            variables: [String: String], words: String
        ) throws {
            let bench = try Workbench()
            let before = try bench.names()
            let commands = [
                ["doctor"], ["tokenize", bench.path("text.txt"), "--out", bench.path("more")],
                ["sample", bench.path("run")], ["analyze", bench.path("sweep")],
                ["report", bench.path("run")],
            ]
            for command in commands {
                let outcome = try Launch.run(
                    Workbench.lockstep, command, environment: variables)
                expectRefusal(outcome, 78, [words, command == ["doctor"] ? "1 rank" : "1 process"])
            }
            #expect(try bench.names() == before)
        }

        /// Every task runs commands that only print.
        @Test("every task prints its help, version and mistakes", arguments: falseJobs)
        func everyTaskPrintsItsHelpAndMistakes(variables: [String: String], words: String) throws {
            for arguments in [["--version"], ["tokenize", "--help"], ["train", "--keys"]] {
                let outcome = try Launch.run(
                    Workbench.lockstep, arguments, environment: variables)
                #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(arguments)")
            }
            let mistake = try Launch.run(
                Workbench.lockstep, ["train", "--nope"], environment: variables)
            expectRefusal(mistake, 64, ["--nope"])
        }

        /// The variables are those of a batch script, a launcher of one task, and mpirun inside a
        /// step of srun.
        @Test(
            "a single task is accepted",
            arguments: [
                ["SLURM_NTASKS": "4", "SLURM_PROCID": "0"], ["PMI_RANK": "0", "PMI_SIZE": "1"],
                ["SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"],
                [
                    "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_STEPID": "0",
                    "SLURM_NODELIST": "node1", "SLURM_JOBID": "7",
                ],
            ])
        func oneTaskWorks(variables: [String: String]) throws {
            let bench = try Workbench()
            for command in [
                ["tokenize", bench.path("text.txt"), "--out", bench.path("more")], ["doctor"],
            ] {
                let outcome = try Launch.run(
                    Workbench.lockstep, command, environment: variables)
                #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(outcome.errors)")
            }
            let inside = try Launch.run(
                "mpirun", ["-n", "1", Workbench.lockstep, "doctor"],
                environment: Launch.rootEnvironment.merging(
                    ["SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"]) { $1 })
            #expect(inside.status == 0, "\(inside.errors)")
            #expect(inside.output.contains("1 on 1 host"))
        }

        /// Debian's Open MPI is built without PMI-1 and PMI-2.
        @Test("srun's other process managers are refused")
        func srunWithPMI2() throws {
            let outcome = try Launch.run(
                Workbench.lockstep, ["doctor"],
                environment: [
                    "SLURM_STEPID": "0", "SLURM_NODELIST": "node1", "SLURM_JOBID": "7",
                    "SLURM_STEP_NUM_TASKS": "2", "PMI_RANK": "0", "PMI_SIZE": "2",
                ])
            expectRefusal(outcome, 78, ["does not support the process manager of srun"])
        }

        @Test("only one rank of a job does the work of commands without ranks")
        func onlyOneRankWorks() throws {
            let bench = try Workbench()
            try bench.train()
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("text.txt"), "--out", bench.path("more"), ranks: 2)
            #expect(tokenized.status == 0, "\(tokenized.errors)")
            #expect(tokenized.output.ranges(of: "validation tokens").count == 1)
            let report = try bench.lockstep("report", bench.path("run"), ranks: 2)
            #expect(report.status == 0, "\(report.errors)")
            #expect(report.output.ranges(of: "the report is").count == 1)
            let missing = try bench.lockstep("analyze", bench.path("none"), ranks: 2)
            #expect(missing.status == 66, "\(missing.errors)")
            #expect(missing.sentences.count == 1, "\(missing.errors)")
        }
    }
}
