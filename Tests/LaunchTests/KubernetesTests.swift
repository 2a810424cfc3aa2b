import Foundation
import TestSupport
import Testing

/// Tests of the pods that run on Kubernetes. Their commands run here as they would there.
@Suite(
    .enabled(if: Manifests.canBeRead, "the files are read with the package python3-yaml"),
    .serialized)
struct KubernetesTests {
    /// The recipe of a run that is long enough to be stopped midway.
    private static let recipe = Workbench.recipe.replacing("steps = 6", with: "steps = 10000")
        .replacing("every = 3", with: "every = 0").replacing("every = 2", with: "every = 0")

    @Test("no pod runs as root, gains privileges or holds a secret")
    func podsHaveNoPrivileges() throws {
        let manifests = try Manifests.read()
        #expect(manifests.job.keys.sorted() == ["Launcher", "Worker"])
        for pod in Array(manifests.job.values) + [manifests.files] {
            #expect(pod.securityContext.runAsNonRoot == true)
            #expect(pod.securityContext.runAsUser == 1000)
            #expect(!pod.automountServiceAccountToken)
            for volume in pod.volumes {
                #expect(
                    Set(volume.keys).isSubset(of: ["name", "persistentVolumeClaim", "emptyDir"]))
            }
            for container in pod.containers {
                #expect(container.securityContext.allowPrivilegeEscalation == false)
                #expect(container.securityContext.capabilities == ["drop": ["ALL"]])
                #expect(container.securityContext.runAsUser == nil)
            }
        }
    }

    @Test("the launcher waits for workers, starts a run, checkpoints on SIGTERM and resumes")
    func launcherStartsAndResumes() throws {
        let bench = try Workbench()
        let launcher = try start(bench, failedLogins: 1)
        try launcher.wait { (try? bench.metrics().count) ?? 0 > 20 }
        launcher.send(SIGTERM)
        #expect(launcher.waitUntilExit() == 75)
        #expect(bench.exists("logins/1"), "it tried again after a failed login")
        let before = try bench.metrics().count
        #expect(before < 10000)
        #expect(try start(bench).waitUntilExit() == 0)
        #expect(try bench.metrics().count > before)
        #expect(bench.exists(Workbench.checkpoint(10000)))
        // A launcher that is replaced after the end has nothing to do.
        #expect(try start(bench).waitUntilExit() == 0)
    }

    @Test("a launcher that is ended while it waits for workers asks to be started again")
    func waitingLauncherEnds() throws {
        let bench = try Workbench()
        let launcher = try start(bench, failedLogins: 1000)
        try launcher.wait { bench.exists("logins/0") }
        launcher.send(SIGTERM)
        #expect(launcher.waitUntilExit() == 75)
    }

    /// The worker's command sees only the processes of its container, of which it is not the first.
    @Test(
        "a worker that is to end first gets its ranks to checkpoint",
        .enabled(if: geteuid() == 0, "only root can make a namespace of processes"))
    func workerAsksForACheckpoint() throws {
        let bench = try Workbench()
        try bench.write(Self.recipe, to: "recipe.toml")
        let manifests = try Manifests.read()
        let hook = try #require(manifests.container("Worker").lifecycle).preStop.exec.command
        let script = """
            run=$1; launcher=$2; shift 2; hook=()
            until [ "$1" = end ]; do hook+=("$1"); shift; done; shift
            "${hook[@]}" || { echo "fails without ranks" >&2; exit 1; }
            "$launcher" --ranks 2 --oversubscribe -- "$@" & child=$!
            for i in $(seq 300); do [ -s "$run/metrics.jsonl" ] && break; sleep 0.1; done
            "${hook[@]}" && ! pidof lockstep >&2 || { echo "left ranks" >&2; exit 2; }
            wait $child
            """
        let outcome = try Launch.run(
            "unshare",
            ["--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script, "bash"]
                + [bench.path("run"), "\(Launch.root)/launch/mpirun"] + hook + ["end"]
                + [Workbench.lockstep] + bench.training())
        #expect(outcome.status == 75, "\(outcome.errors)")
    }

    /// Starts the launcher's container, for two ranks on this machine.
    ///
    /// - Parameter failedLogins: the number of times that a worker is not reached.
    private func start(_ bench: Workbench, failedLogins: Int = 0) throws -> BackgroundCommand {
        let container = try Manifests.read().container("Launcher")
        #expect(container.env?.map(\.name).sorted() == ["DATA", "RECIPE", "RUN", "THREADS"])
        let files = FileManager.default
        try? files.createDirectory(atPath: bench.path("logins"), withIntermediateDirectories: true)
        try bench.write(Self.recipe, to: "recipe.toml")
        try bench.write("localhost slots=2\n", to: "hosts")
        let login = """
            #!/bin/sh
            cd '\(bench.path("logins"))' && count=$(ls | wc -l)
            [ "$count" -ge \(failedLogins) ] || { touch "$count" && exit 1; }
            touch "$count"
            """
        try bench.write(login, to: "ssh")
        try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: bench.path("ssh"))
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return try BackgroundCommand(
            "env",
            ["--chdir", Launch.root] + container.command + (container.args ?? []),
            environment: [
                "OMPI_MCA_orte_default_hostfile": bench.path("hosts"),
                "PATH": "\(bench.folder):\(Launch.products):\(path)",
                "RECIPE": bench.path("recipe.toml"), "DATA": bench.data, "RUN": bench.path("run"),
                "THREADS": "1",
            ])
    }
}
