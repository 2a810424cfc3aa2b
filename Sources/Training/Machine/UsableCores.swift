import Glibc
import MPI
import Support

/// The cores of a machine that processes may use, and the limit on their time.
package struct UsableCores: Sendable, Equatable {
    /// The cores, each identified by the number of its first processor.
    package var cores: Set<Int>
    /// The CPU quota of the control group, in cores; nil if there is no limit.
    package var quota: Double?

    package init(cores: Set<Int>, quota: Double? = nil) {
        self.cores = cores
        self.quota = quota
    }

    /// The number of threads that can run at the same time without slowing one another.
    package var count: Int { min(cores.count, quota.map { max(1, Int(min($0, 1e6))) } ?? .max) }

    /// Whether the quota allows less than the cores do.
    package var isLimitedByQuota: Bool { count < cores.count }

    /// Returns the cores that at least one of several processes may use.
    package static func union(_ parts: [UsableCores]) -> UsableCores {
        UsableCores(
            cores: parts.reduce(into: []) { $0.formUnion($1.cores) },
            quota: parts.compactMap(\.quota).min())
    }

    /// The cores that all ranks of this job may use on this machine.
    ///
    /// A launcher binds each rank to some of the processors that it may use itself, so the
    /// launcher's processors are included.
    package static var here: UsableCores {
        var processors = allowedProcessors(of: "self")
        if MPIEnvironment.hasLauncher, let launcher {
            processors.formUnion(allowedProcessors(of: "\(launcher)"))
        }
        return UsableCores(cores: coreNumbers(of: processors), quota: quotaHere)
    }

    /// The process that started this rank: the nearest ancestor that is not part of a rank. A
    /// script around this program is part of its rank.
    private static var launcher: Int? {
        var process = Int(getppid())
        while process > 0 {
            let environment = (try? readText("/proc/\(process)/environ")) ?? ""
            let isRank = environment.split(separator: "\0").contains { entry in
                ["OMPI_COMM_WORLD_RANK=", "PMIX_RANK=", "PMI_RANK="].contains {
                    entry.hasPrefix($0)
                }
            }
            guard isRank else { return process }
            process = Int(status("PPid", of: "\(process)")) ?? 0
        }
        return nil
    }

    /// The cores of the whole machine, each identified by the number of its first processor.
    package static var machine: Set<Int> {
        let text = (try? readText("/sys/devices/system/cpu/online")) ?? ""
        let online = processors(listed: text)
        return online.isEmpty
            ? Set(0..<sysconf(Int32(_SC_NPROCESSORS_ONLN))) : coreNumbers(of: online)
    }

    /// Returns the cores of some processors, each identified by the number of its first processor.
    package static func coreNumbers(of processors: Set<Int>) -> Set<Int> {
        Set(
            processors.map { processor in
                let path = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
                let siblings = Self.processors(listed: (try? readText(path)) ?? "")
                return siblings.min() ?? processor
            })
    }

    /// Parses a list of processors in Linux's format, such as "0-3,8".
    package static func processors(listed text: String) -> Set<Int> {
        var processors: Set<Int> = []
        for part in text.split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            let ends = part.split(separator: "-").map { Int($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else {
                continue
            }
            processors.formUnion(first...last)
        }
        return processors
    }

    private static func allowedProcessors(of process: String) -> Set<Int> {
        processors(listed: status("Cpus_allowed_list", of: process))
    }

    /// Returns a field of a process's status; an empty string if there is none.
    private static func status(_ field: String, of process: String) -> String {
        let status = (try? readText("/proc/\(process)/status")) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") } ?? ""
        return line.dropFirst(field.count + 1).filter { !$0.isWhitespace }
    }
}

// MARK: - Control groups

extension UsableCores {
    /// The smallest quota, in cores, of this process's control groups and their ancestors.
    private static var quotaHere: Double? {
        let groups = (try? readText("/proc/self/cgroup")) ?? ""
        return controlGroupFolders(of: "cpu", groups: groups).compactMap { folder, version in
            func words(_ file: String) -> [Substring] {
                ((try? readText("\(folder)/\(file)")) ?? "").split(whereSeparator: \.isWhitespace)
            }
            return version == 2
                ? quota(words("cpu.max"))
                : quota(words("cpu.cfs_quota_us") + words("cpu.cfs_period_us"))
        }.min()
    }

    /// Returns a quota in cores, given the quota and its period in microseconds as text; nil for
    /// "max" and -1, which mean that there is no limit.
    package static func quota(_ words: [Substring]) -> Double? {
        guard words.count == 2, let quota = Double(words[0]), let period = Double(words[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }
}

/// Returns the folders of a process's control groups and their ancestors, of versions 1 and 2.
///
/// - Parameters:
///   - controller: the controller of version 1, such as "cpu" or "memory".
///   - groups: the content of /proc/self/cgroup, with lines such as "0::/system.slice/job.scope".
package func controlGroupFolders(
    of controller: String, groups: String
) -> [(folder: String, version: Int)] {
    groups.split(separator: "\n").flatMap { line -> [(folder: String, version: Int)] in
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return [] }
        var folder: String
        let version: Int
        if parts[1].isEmpty {
            (folder, version) = ("/sys/fs/cgroup", 2)
        } else if parts[1].split(separator: ",").contains(Substring(controller)) {
            (folder, version) = ("/sys/fs/cgroup/\(controller)", 1)
        } else {
            return []
        }
        var folders = [(folder, version)]
        for name in parts[2].split(separator: "/") {
            folder += "/\(name)"
            folders.append((folder, version))
        }
        return folders
    }
}
