import TestSupport
import Testing

@Suite struct EnvironmentTests {
    @Test("every rank knows its rank and size", arguments: 1...4)
    func everyRankKnowsItsRankAndSize(ranks: Int) throws {
        let outcome = try Launch.probe(ranks: ranks, "environment")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [EnvironmentReport] = try outcome.reports()
        #expect(reports.map(\.rank) == Array(0..<ranks))
        for report in reports {
            #expect(report.size == ranks)
            #expect(report.launchedRank == report.rank)
            #expect(!report.isSingleton)
            #expect(report.threadLevel == "MPI_THREAD_MULTIPLE")
            #expect(report.sharedRank == report.rank)
            #expect(report.sharedSize == ranks)
            #expect(!report.host.isEmpty)
            #expect(report.libraryVersion.hasPrefix("Open MPI"))
            #expect(!report.libraryVersion.contains("\n"))
        }
    }

    @Test("without a launcher there is a single rank")
    func withoutALauncherThereIsOneRank() throws {
        let outcome = try Launch.run("\(Launch.products)/multirank-probe", ["environment"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [EnvironmentReport] = try outcome.reports()
        #expect(reports.map(\.size) == [1])
        #expect(reports.first?.isSingleton == true)
        #expect(reports.first?.launchedRank == 0)
    }

    @Test("Slurm tasks that are not connected are refused")
    func unconnectedSlurmTasksAreRefused() throws {
        let outcome = try Launch.run(
            "\(Launch.products)/multirank-probe", ["environment"],
            environment: ["SLURM_STEP_NUM_TASKS": "4"])
        #expect(outcome.status == 78)
        #expect(
            outcome.errors
                == "lockstep: SLURM_STEP_NUM_TASKS = 4: means that a launcher started 4 tasks, but MPI sees "
                + "1 rank; start them with mpirun inside the allocation, or with srun "
                + "--mpi=pmix, or unset SLURM_STEP_NUM_TASKS to run alone.\n")
        #expect(outcome.output.isEmpty)
    }
}
