import Testing
import Training

/// Tests of the doctor's warnings and of its lists of cores.
@Suite struct DoctorTests {
    /// The facts about this machine, all of which `rank` replaces.
    private static let here: MachineFacts = {
        do { return try MachineFacts.here(threads: 1) } catch { fatalError("\(error)") }
    }()

    private func rank(
        _ host: String = "one", cores: [Int], usable: Set<Int>? = nil, quota: Double? = nil,
        online: Int = 4, threads: Int = 1, instructionSet: String = "Intel AVX2",
        yields: Bool = false, build: String = "a", sharedMemory: Int? = 1 << 30
    ) -> MachineFacts {
        var facts = Self.here
        facts.host = host
        facts.processors = cores
        facts.cores = Set(cores)
        facts.usable = UsableCores(
            cores: usable ?? (cores.isEmpty ? [] : Set(0..<online)), quota: quota)
        facts.machineCores = online
        facts.threads = threads
        facts.instructionSet = instructionSet
        facts.memoryBytes = 1 << 30
        facts.sharedMemoryBytes = sharedMemory
        facts.yields = yields
        facts.build = build
        facts.networks = []
        return facts
    }

    private func warnings(_ ranks: MachineFacts...) -> [String] {
        Doctor.warnings(ranks, runFolder: nil)
    }

    @Test("a good layout causes no warning")
    func goodLayoutCausesNoWarning() {
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

    @Test("the documentation lists every field of the JSON")
    func documentedFields() throws {
        let page = try DocumentationPage("RunOnSeveralHosts")
        let report = Doctor.report(
            [rank(cores: [0, 1])], threadLevel: "multiple", runFolder: "/tmp/lockstep-none")
        page.expectNames(report)
        guard case .array(let ranks)? = report["ranks"], case .object(let rank)? = ranks.first
        else {
            Issue.record("the report has ranks")
            return
        }
        page.expectNames(rank)
    }

    @Test("the folders of control groups are listed from the root down")
    func foldersOfControlGroups() {
        func folders(_ controller: String, _ groups: String) -> [String] {
            controlGroupFolders(of: controller, groups: groups).map { "\($0.version) \($0.folder)" }
        }
        #expect(
            folders("memory", "0::/system.slice/job.scope\n") == [
                "2 /sys/fs/cgroup", "2 /sys/fs/cgroup/system.slice",
                "2 /sys/fs/cgroup/system.slice/job.scope",
            ])
        let groups = "5:cpu,cpuacct:/a\n4:memory:/b\nnonsense\n"
        #expect(
            folders("memory", groups) == ["1 /sys/fs/cgroup/memory", "1 /sys/fs/cgroup/memory/b"])
        #expect(folders("cpu", groups) == ["1 /sys/fs/cgroup/cpu", "1 /sys/fs/cgroup/cpu/a"])
        #expect(folders("cpu", "").isEmpty)
    }

    @Test(
        "CPU quotas of control groups are parsed",
        arguments: [
            ("max 100000", nil), ("-1 100000", nil), ("150000 100000", 1.5), ("50000 100000", 0.5),
            ("", nil), ("100000", nil), ("100000 0", nil),
        ])
    func quotas(text: String, cores: Double?) {
        #expect(UsableCores.quota(text.split(separator: " ")) == cores)
    }

    @Test(
        "lists of processors are parsed",
        arguments: [
            ("0-3,8\n", [0, 1, 2, 3, 8]), (" 5", [5]), ("", []), ("3-1,x,2-", [2]),
        ])
    func processorLists(text: String, processors: [Int]) {
        #expect(UsableCores.processors(listed: text).sorted() == processors)
    }

    @Test(
        "a quota is rounded down to whole cores, but to one at least",
        arguments: [(nil, 4), (0.5, 1), (1.9, 1), (3, 3), (64, 4)])
    func coresUnderAQuota(quota: Double?, count: Int) {
        #expect(UsableCores(cores: [0, 1, 2, 3], quota: quota).count == count)
    }

    @Test("cores that may not be used do not count as idle")
    func forbiddenCores() {
        #expect(warnings(rank(cores: [0], usable: [0])).isEmpty)
        #expect(warnings(rank(cores: [0, 1, 2, 3], quota: 1)).isEmpty)
        let idle = warnings(rank(cores: [1], usable: [0, 1, 2]))
        #expect(
            idle == [
                "one: 2 of the 3 cores that may be used would be idle; start more ranks or threads."
            ])
        let both = warnings((0..<2).map { _ in rank(cores: [0], usable: [0], yields: true) })
        #expect(both.count == 1 && both[0].contains("start 2 threads on only 1"))
        let throttled = warnings(
            (0..<2).map { rank(cores: [$0], quota: 1.5, yields: true) })
        #expect(throttled.count == 1)
        #expect(throttled.first?.contains("start 2 threads on only 1") == true)
        #expect(throttled.first?.contains("raise the CPU quota") == true)
    }

    @Test("little shared memory on a shared host causes a warning", arguments: [64 << 20, nil])
    func littleSharedMemory(bytes: Int?) {
        let found = warnings((0..<4).map { rank(cores: [$0], sharedMemory: bytes) })
        #expect(found.count == 1 && found[0].contains("--shm-size"))
        // A rank that is alone on its host shares no memory.
        #expect(warnings(rank(cores: [0], online: 1, sharedMemory: bytes)).isEmpty)
    }

    @Test("ranks that are all bound to one core cause a warning")
    func allRanksOnOneCore() {
        let found = warnings(rank(cores: [2]), rank(cores: [2]))
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("one: all 2 ranks are bound to one core") == true)
        #expect(found.first?.contains("--bind-to core") == true)
    }

    @Test("more threads than cores cause a warning")
    func moreThreadsThanCores() {
        let yielding = warnings(
            rank(cores: [0, 1], online: 2, threads: 2, yields: true),
            rank(cores: [0, 1], online: 2, threads: 2, yields: true))
        #expect(yielding.count == 1)
        #expect(yielding.first?.contains("start 4 threads on only 2") == true)
        let spinning = warnings((0..<3).map { _ in rank(cores: [0, 1], online: 2) })
        #expect(spinning.count == 2)
        #expect(spinning.last?.contains("mpi_yield_when_idle 1") == true)
    }

    @Test("idle cores cause a warning")
    func idleCores() {
        let found = warnings(rank(cores: [0]), rank(cores: [1]))
        #expect(found.count == 1)
        #expect(found.first?.contains("one: 2 of its 4 cores would be idle") == true)
    }

    @Test("unknown cores cause no warning")
    func unknownCores() {
        #expect(warnings((0..<4).map { _ in rank(cores: []) }).isEmpty)
    }

    @Test("each host is judged by itself")
    func eachHostIsJudgedByItself() {
        let found = warnings(
            rank("one", cores: [0], online: 2), rank("one", cores: [1], online: 2),
            rank("two", cores: [0], online: 2), rank("two", cores: [0], online: 2))
        #expect(found.count == 1)
        #expect(found.first?.contains("two: all 2 ranks are bound to one core") == true)
    }

    @Test("hosts with different builds or instruction sets cause a warning")
    func hostsThatDiffer() {
        let builds = warnings(
            rank("one", cores: [0], online: 1), rank("two", cores: [0], online: 1, build: "b"))
        #expect(builds.count == 1 && builds.first?.contains("different builds") == true)
        let sets = warnings(
            rank("one", cores: [0], online: 1),
            rank("two", cores: [0], online: 1, instructionSet: "Intel AVX-512"))
        #expect(sets.count == 1)
        #expect(sets.first?.contains("(Intel AVX-512, Intel AVX2)") == true)
    }

    @Test("a run folder in memory causes a warning")
    func aRunInMemory() {
        let found = Doctor.warnings(
            [rank(cores: [0], online: 1)], runFolder: "/dev/shm/not/there/yet")
        #expect(found.count == 1)
        #expect(found.first?.contains("/dev/shm/not/there/yet: lies in memory (tmpfs") == true)
    }

    @Test(
        "neighboring cores are listed as ranges",
        arguments: [
            ([], "no known core"), ([3], "core 3"), ([0, 1, 2, 3], "cores 0-3"),
            ([0, 2], "cores 0, 2"), ([0, 1, 2, 3, 8], "cores 0-3, 8"),
            ([1, 4, 5, 7, 8], "cores 1, 4-5, 7-8"),
        ])
    func neighboringCoresAreRanges(cores: [Int], text: String) {
        #expect(Doctor.coreList(cores) == text)
    }
}
