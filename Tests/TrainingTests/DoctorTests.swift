import Testing
import Training

/// What the doctor warns of, and how it writes cores.
@Suite struct DoctorTests {
    private func rank(
        _ host: String = "one", cores: [Int], online: Int = 4, threads: Int = 1,
        instructionSet: String = "Intel AVX2", yields: Bool = false, build: String = "a",
        sharedMemory: Int? = 1 << 30
    ) -> MachineFacts {
        MachineFacts(
            host: host, cores: cores, coresOnline: online, threads: threads,
            instructionSet: instructionSet, memoryBytes: 1 << 30,
            sharedMemoryBytes: sharedMemory, yields: yields, build: build)
    }

    private func warnings(_ ranks: MachineFacts...) -> [String] {
        Doctor.warnings(ranks, runFolder: nil)
    }

    @Test func aGoodLayoutGetsNone() {
        #expect(warnings(rank(cores: [0], online: 1)).isEmpty)
        #expect(warnings((0..<4).map { rank(cores: [$0]) }).isEmpty)
        #expect(
            warnings(
                rank(cores: [0, 1], threads: 2), rank(cores: [2, 3], threads: 2)
            ).isEmpty)
        #expect(warnings((0..<4).map { _ in rank(cores: [0, 1, 2, 3]) }).isEmpty, "not bound")
    }

    private func warnings(_ ranks: [MachineFacts]) -> [String] {
        Doctor.warnings(ranks, runFolder: nil)
    }

    @Test func memoryLimitsOfControlGroups() {
        let two = controlGroupMemoryFiles(groups: "0::/system.slice/job.scope\n")
        #expect(
            two == [
                "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/system.slice/job.scope/memory.max",
            ])
        let one = controlGroupMemoryFiles(groups: "5:cpu,cpuacct:/a\n4:memory:/a\nnonsense\n")
        #expect(
            one == [
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            ])
        #expect(controlGroupMemoryFiles(groups: "").isEmpty)
    }

    @Test(arguments: [64 << 20, nil])
    func littleSharedMemory(bytes: Int?) {
        let found = warnings((0..<4).map { rank(cores: [$0], sharedMemory: bytes) })
        #expect(found.count == 1 && found[0].contains("--shm-size"))
        // A rank alone on its host shares with nobody.
        #expect(warnings(rank(cores: [0], online: 1, sharedMemory: bytes)).isEmpty)
    }

    @Test func allRanksOnOneCore() {
        let found = warnings(rank(cores: [2]), rank(cores: [2]))
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("All 2 ranks on one are bound to one core") == true)
        #expect(found.first?.contains("--bind-to core") == true)
    }

    @Test func moreThreadsThanCores() {
        let yielding = warnings(
            rank(cores: [0, 1], online: 2, threads: 2, yields: true),
            rank(cores: [0, 1], online: 2, threads: 2, yields: true))
        #expect(yielding.count == 1)
        #expect(yielding.first?.contains("want 4 threads but may use only 2") == true)
        let spinning = warnings((0..<3).map { _ in rank(cores: [0, 1], online: 2) })
        #expect(spinning.count == 2)
        #expect(spinning.last?.contains("mpi_yield_when_idle 1") == true)
    }

    @Test func idleCores() {
        let found = warnings(rank(cores: [0]), rank(cores: [1]))
        #expect(found.count == 1)
        #expect(found.first?.contains("2 of one's 4 cores would be idle") == true)
    }

    /// Where the system does not say which cores a rank may use, nothing is made up.
    @Test func unknownCores() {
        #expect(warnings((0..<4).map { _ in rank(cores: []) }).isEmpty)
    }

    @Test func hostsAreJudgedOneByOne() {
        let found = warnings(
            rank("one", cores: [0], online: 2), rank("one", cores: [1], online: 2),
            rank("two", cores: [0], online: 2), rank("two", cores: [0], online: 2))
        #expect(found.count == 1)
        #expect(found.first?.contains("on two are bound to one core") == true)
    }

    @Test func hostsThatDiffer() {
        let builds = warnings(
            rank("one", cores: [0], online: 1), rank("two", cores: [0], online: 1, build: "b"))
        #expect(builds.count == 1 && builds.first?.contains("different builds") == true)
        let sets = warnings(
            rank("one", cores: [0], online: 1),
            rank("two", cores: [0], online: 1, instructionSet: "Intel AVX-512"))
        #expect(sets.count == 1)
        #expect(sets.first?.contains("(Intel AVX-512, Intel AVX2)") == true)
    }

    @Test func aRunInMemory() {
        let found = Doctor.warnings(
            [rank(cores: [0], online: 1)], runFolder: "/dev/shm/not/there/yet")
        #expect(found.count == 1)
        #expect(found.first?.contains("/dev/shm/not/there/yet lies in memory (tmpfs") == true)
    }

    @Test(arguments: [
        ([], "no known core"), ([3], "core 3"), ([0, 1, 2, 3], "cores 0-3"),
        ([0, 2], "cores 0, 2"), ([0, 1, 2, 3, 8], "cores 0-3, 8"),
        ([1, 4, 5, 7, 8], "cores 1, 4-5, 7-8"),
    ])
    func writesCores(cores: [Int], text: String) {
        #expect(Doctor.coreList(cores) == text)
    }
}
