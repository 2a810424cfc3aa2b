import Foundation
import Testing

/// A Slurm of one node on this machine, with files, ports and a munge of its own, which runs as the
/// user of the tests.
package final class SlurmCluster {
    /// Whether Slurm and munge are installed.
    package static let isInstalled: Bool = {
        let script = """
            for program in munged slurmctld slurmd sbatch perl; do
                command -v $program || exit
            done
            """
        return (try? Launch.run("sh", ["-c", script], environment: ["PATH": path]).status) == 0
    }()

    /// The search path for the daemons, and for the tests' build of `lockstep`.
    private static let path =
        "\(Launch.products):\(ProcessInfo.processInfo.environment["PATH"] ?? ""):/usr/sbin"

    // Slurm cannot read names with spaces.
    private let folder: TemporaryFolder
    private var daemons: [BackgroundCommand] = []
    private let environment: [String: String]

    /// Starts the daemons and waits until the node accepts jobs.
    package init() throws {
        folder = try TemporaryFolder(hasSpace: false)
        environment = [
            "SLURM_CONF": "\(folder.path)/slurm.conf", "PATH": Self.path,
        ]
        let key = try folder.write("key", (0..<128).map { _ in UInt8.random(in: 0...255) })
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        try folder.write("slurm.conf", try configuration())
        do {
            try startDaemons()
        } catch {
            stop()
            throw error
        }
    }

    deinit { stop() }

    private func configuration() throws -> String {
        let script = """
            my @sockets = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") } 1, 2;
            print join " ", map { $_->sockport } @sockets
            """
        let ports = try Launch.run("perl", ["-MIO::Socket::INET", "-e", script]).output
            .split(separator: " ")
        try #require(ports.count == 2)
        // A requeued job starts again when its old credential has expired.
        return """
            ClusterName=lockstep
            SlurmctldHost=localhost
            SlurmctldPort=\(ports[0])
            SlurmdPort=\(ports[1])
            CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
            SlurmUser=\(NSUserName())
            SlurmdUser=\(NSUserName())
            AuthInfo=socket=\(folder.path)/munge,cred_expire=5
            StateSaveLocation=\(folder.path)/state
            SlurmdSpoolDir=\(folder.path)/spool
            SlurmctldPidFile=\(folder.path)/slurmctld.pid
            SlurmdPidFile=\(folder.path)/slurmd.pid
            SlurmctldLogFile=\(folder.path)/slurmctld.log
            SlurmdLogFile=\(folder.path)/slurmd.log
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_CPU
            SchedulerParameters=batch_sched_delay=0,sched_interval=1
            SlurmdParameters=config_overrides
            MailProg=/bin/true
            KillWait=10
            NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 CPUs=4
            PartitionName=all Nodes=ALL Default=YES

            """
    }

    private func startDaemons() throws {
        try start(
            "munged",
            ["--foreground"]
                + ["key-file", "socket", "pid-file", "log-file", "seed-file"].map {
                    let name = ["key-file": "key", "socket": "munge"][$0] ?? "munge-\($0)"
                    return "--\($0)=\(folder.path)/\(name)"
                })
        try wait("munged") { try folder.names().contains("munge") }
        let configuration = "\(folder.path)/slurm.conf"
        try start("slurmctld", ["-D", "-f", configuration])
        try start("slurmd", ["-D", "-f", configuration, "-N", "node1"])
        try wait("slurmd") { try run("sinfo", "--noheader", "--format=%T").output == "idle\n" }
    }

    private func start(_ daemon: String, _ arguments: [String]) throws {
        // A crash of the tests leaves the daemons, but not for long.
        daemons.append(
            try BackgroundCommand(
                "timeout", ["--kill-after=5", "900", daemon] + arguments,
                environment: environment))
    }

    /// Cancels all jobs, and ends every process that belongs to this Slurm.
    private func stop() {
        _ = try? run("scancel", "--user=\(NSUserName())")
        try? wait("squeue") { try run("squeue", "--noheader").output == "" }
        for signal in [SIGTERM, SIGKILL] {
            for process in processes { kill(process, signal) }
            let end = Date(timeIntervalSinceNow: 10)
            while !processes.isEmpty, Date() < end { usleep(50_000) }
        }
    }

    /// The processes that belong to this Slurm: its daemons, the steps of its jobs, and commands.
    private var processes: [Int32] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc")
        return (names ?? []).compactMap { Int32($0) }.filter {
            Launch.environment(of: $0).contains("SLURM_CONF=\(folder.path)/slurm.conf")
        }
    }

    // MARK: - Commands

    /// Runs a command with this Slurm's configuration.
    package func run(_ command: String, _ arguments: [String]) throws -> Outcome {
        try Launch.run(command, arguments, environment: environment)
    }

    package func run(_ command: String, _ arguments: String...) throws -> Outcome {
        try run(command, arguments)
    }

    /// Submits a job and returns its number.
    package func submit(_ arguments: [String]) throws -> String {
        let outcome = try run("sbatch", ["--parsable"] + arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Returns a field of a job, such as JobState.
    package func field(_ name: String, of job: String) throws -> String {
        let text = try run("scontrol", "show", "job", job).output
        let field = text.split { $0 == " " || $0 == "\n" }.first { $0.hasPrefix("\(name)=") }
        return String(try #require(field, "\(text)").dropFirst(name.count + 1))
    }

    /// Waits until a job is in a state, such as COMPLETED.
    package func wait(for job: String, toBe state: String) throws {
        try wait("\(state) of job \(job)") { try field("JobState", of: job) == state }
    }

    /// Waits until a condition holds; fails after five minutes.
    package func wait(_ name: String, until condition: () throws -> Bool) throws {
        let end = Date(timeIntervalSinceNow: 300)
        while try !condition() {
            try #require(Date() < end, "waited in vain for \(name)\n\(logs)")
            usleep(200_000)
        }
    }

    private var logs: String {
        ["slurmctld.log", "slurmd.log"].compactMap { try? folder.read($0).suffix(2000) }
            .joined(separator: "\n")
    }
}
