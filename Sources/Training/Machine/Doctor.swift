import Compute
import MPI
import Support

/// An examination of the machines that a run would use, with warnings about problems that would
/// slow the run down or make it fail.
package struct Doctor {
    /// A line of the examination: its subject and the finding.
    package typealias Finding = (name: String, text: String)

    /// Returns the lines that describe the hosts and ranks.
    package static func findings(
        _ ranks: [MachineFacts], threadLevel: String, launched: Bool, runFolder: String?
    ) -> [Finding] {
        let hosts = byHost(ranks)
        var findings: [Finding] = [
            ("Lockstep", version), ("MPI", MPIEnvironment.libraryVersion),
            ("thread level", threadLevel), ("kernels", InstructionSet.best.name(for: .bf16)),
            (
                "ranks",
                "\(ranks.count) on \(Format.counted(hosts.count, "host")), "
                    + "\(threadRange(ranks)) each"
                    + (launched ? "" : "; started without mpirun, so this is the only rank")
            ),
        ]
        for (host, members) in hosts {
            let cores = members.map { member in
                "rank \(member.rank) on \(coreList(member.facts.processors))"
            }
            let memory = Format.bytes(members[0].facts.memoryBytes)
            let networks = members[0].facts.networks.joined(separator: ", ")
            findings += [
                (
                    host,
                    "\(coreCount(members.map(\.facts))), \(memory); "
                        + cores.joined(separator: ", ")
                ), ("networks", networks.isEmpty ? "none" : networks),
            ]
        }
        if let runFolder {
            findings.append(("file system", fileSystem(of: runFolder) ?? "cannot be examined"))
        }
        return findings
    }

    /// Returns the examination as JSON: versions, the facts of every rank in their order, and the
    /// warnings.
    package static func report(
        _ ranks: [MachineFacts], threadLevel: String, runFolder: String?
    ) -> JSONObject {
        var report: JSONObject = [
            "version": .string(version), "mpi": .string(MPIEnvironment.libraryVersion),
            "thread_level": .string(threadLevel), "ranks": .array(ranks.map { .object($0.json) }),
        ]
        if let runFolder {
            report["file_system"] = fileSystem(of: runFolder).map(JSONValue.string) ?? .null
        }
        report["warnings"] = .array(
            warnings(ranks, runFolder: runFolder).map(JSONValue.string))
        return report
    }

    /// Returns warnings about problems that would slow a run down, change its results or make it
    /// fail. Each is a sentence with a remedy.
    package static func warnings(_ ranks: [MachineFacts], runFolder: String?) -> [String] {
        var warnings: [String] = []
        for (host, members) in byHost(ranks) {
            warnings += coreWarnings(members.map(\.facts), on: host)
        }
        for (host, members) in byHost(ranks) where members.count > 1 {
            let free = members[0].facts.sharedMemoryBytes ?? 0
            guard free < usefulSharedMemory else { continue }
            warnings.append(
                "/dev/shm on \(host): has \(Format.bytes(free)) free, too little for the ranks to share "
                    + "the gradients of most models, so they exchange slower messages; make it larger, "
                    + "in a container with --shm-size.")
        }
        if Set(ranks.map(\.build)).count > 1 {
            warnings.append(
                "The hosts have different builds, which training refuses; install the same build on "
                    + "every host.")
        }
        let sets = Set(ranks.map(\.instructionSet)).sorted()
        if sets.count > 1 {
            warnings.append(
                "The hosts differ in their instruction sets (\(sets.joined(separator: ", "))), so "
                    + "results may differ in bits from runs on other layouts.")
        }
        if let runFolder, !RunFolder(runFolder).holdsRun {
            do throws(Failure) { try RunFolder(runFolder).requireFree() } catch {
                warnings.append(error.sentence)
            }
        }
        if let runFolder, let name = fileSystem(of: runFolder), name.contains("tmpfs") {
            warnings.append(
                "\(runFolder): lies in memory (\(name)), where checkpoints are lost if the machine "
                    + "stops; give --out a folder on a disk.")
        }
        return warnings
    }

    /// Returns warnings about the threads and cores of a host's ranks.
    private static func coreWarnings(_ facts: [MachineFacts], on host: String) -> [String] {
        let usable = UsableCores.union(facts.map(\.usable))
        let own = facts.reduce(into: Set<Int>()) { $0.formUnion($1.cores) }
        // If the system does not list the cores that a process may use, it may use all cores.
        let machineCores = facts[0].machineCores
        let most = usable.cores.isEmpty ? machineCores : usable.count
        let available = own.isEmpty ? most : UsableCores(cores: own, quota: usable.quota).count
        let wanted = facts.reduce(0) { $0 + $1.threads }
        if facts.count > 1, Set(facts.map(\.cores)).count == 1, available == 1, most > 1 {
            return [
                "\(host): all \(facts.count) ranks are bound to one core; start them with "
                    + "launch/mpirun, or give mpirun --bind-to core."
            ]
        }
        if wanted > available {
            let remedy =
                usable.isLimitedByQuota
                ? "raise the CPU quota of their control group" : "bind them to more cores"
            var warnings = [
                "\(host): the ranks start \(wanted) threads on only \(available) of its "
                    + "cores; start fewer ranks or threads, or \(remedy)."
            ]
            if !facts.allSatisfy(\.yields) {
                warnings.append(
                    "\(host): waiting ranks keep others from running; start them with "
                        + "launch/mpirun, or give mpirun --mca mpi_yield_when_idle 1.")
            }
            return warnings
        }
        guard wanted < most else { return [] }
        let cores = most < machineCores ? "the \(most) cores that may be used" : "its \(most) cores"
        return ["\(host): \(most - wanted) of \(cores) would be idle; start more ranks or threads."]
    }

    /// Returns "4 cores", or "1 of 4 cores usable", with the CPU quota if it is the reason.
    private static func coreCount(_ facts: [MachineFacts]) -> String {
        let usable = UsableCores.union(facts.map(\.usable))
        let machineCores = facts[0].machineCores
        guard !usable.cores.isEmpty, usable.count < machineCores else {
            return Format.counted(machineCores, "core")
        }
        let quota = usable.quota.map { Format.significant($0, digits: 3) } ?? ""
        return "\(usable.count) of \(Format.counted(machineCores, "core")) usable"
            + (usable.isLimitedByQuota ? " (a control group's CPU quota is \(quota))" : "")
    }

    /// The least shared memory in bytes that holds a small model's gradients; Docker's default, 64
    /// MiB, does not.
    private static let usefulSharedMemory = 128 << 20

    private static func byHost(
        _ ranks: [MachineFacts]
    ) -> [(host: String, members: [(rank: Int, facts: MachineFacts)])] {
        let members = ranks.enumerated().map { (rank: $0.offset, facts: $0.element) }
        return Dictionary(grouping: members) { $0.facts.host }
            .map { (host: $0.key, members: $0.value) }
            .sorted { $0.members[0].rank < $1.members[0].rank }
    }

    private static func threadRange(_ ranks: [MachineFacts]) -> String {
        let threads = Set(ranks.map(\.threads)).sorted().map(String.init)
        return threads.joined(separator: " or ") + (threads == ["1"] ? " thread" : " threads")
    }

    /// Returns a list of cores as text, such as "core 3" or "cores 0-3, 8".
    package static func coreList(_ cores: [Int]) -> String {
        guard !cores.isEmpty else { return "no known core" }
        return (cores.count == 1 ? "core " : "cores ") + Format.ranges(cores)
    }

    /// Returns the type and the free space of a folder's file system; the folder need not exist.
    static func fileSystem(of path: String) -> String? {
        // If the folder does not exist yet, its nearest ancestor is on the same file system.
        var existing = path
        while !FileSystem.exists(existing), FileSystem.parent(of: existing) != existing {
            existing = FileSystem.parent(of: existing)
        }
        guard let free = freeBytes(of: existing),
            let type = fileSystemType(of: FileSystem.absolute(existing))
        else { return nil }
        return "\(type), \(Format.bytes(free)) free"
    }

    /// Returns the type of the file system that holds `path`: that of the longest matching mount
    /// point in /proc/self/mounts.
    private static func fileSystemType(of path: String) -> String? {
        let mounts = (try? readText("/proc/self/mounts")) ?? ""
        var best: (length: Int, type: String)?
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            // Spaces in folder names are encoded as \040.
            let folder = fields[1].replacing("\\040", with: " ")
            let prefix = folder.hasSuffix("/") ? folder : folder + "/"
            if (path + "/").hasPrefix(prefix), folder.count >= best?.length ?? 0 {
                best = (folder.count, String(fields[2]))
            }
        }
        return best?.type
    }
}
