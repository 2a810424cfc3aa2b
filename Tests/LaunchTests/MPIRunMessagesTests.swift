import Foundation
import TestSupport
import Testing

/// Tests of how `launch/mpirun` passes on the output of `mpirun` and explains its exit codes.
@Suite struct MPIRunMessagesTests {
    private let launcher = "\(Launch.root)/launch/mpirun"
    private static let dashes = String(repeating: "-", count: 74)

    /// Runs `launch/mpirun` with a script in place of `mpirun`, for messages that the real one
    /// rarely prints.
    private func withMPIRun(
        saying script: String, _ command: [String] = ["true"]
    ) throws -> Outcome {
        let folder = try TemporaryFolder(hasSpace: false)
        let path = try folder.write(
            "mpirun",
            """
            #!/bin/sh
            [ "$1" = --version ] && { echo "mpirun (Open MPI) 4.1.4"; exit; }
            banner() { echo \(Self.dashes); cat; echo \(Self.dashes); }
            \(script)
            """)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        let ambient = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return try Launch.run(
            launcher, ["--ranks", "1", "--"] + command,
            environment: ["PATH": "\(folder.path):\(ambient)"])
    }

    @Test("a failing srun is quoted")
    func aFailingSrunIsQuoted() throws {
        let outcome = try withMPIRun(
            saying: """
                echo "srun: error: Unable to confirm allocation for job 7: Invalid job id" >&2
                echo "ORTE was unable to reliably start one or more daemons." | banner >&2
                exit 1
                """)
        #expect(outcome.status == 78)
        #expect(
            outcome.sentences == [
                "launch/mpirun: srun cannot start Open MPI on the nodes of this allocation (Unable to "
                    + "confirm allocation for job 7: Invalid job id); check that the allocation is "
                    + "still valid and that its nodes are up."
            ])
    }

    @Test("output of ranks passes at once and that of mpirun is held back")
    func outputOfRanksPassesAtOnce() throws {
        let outcome = try withMPIRun(
            saying: """
                printf 'lockstep: step 1\\n\\r[##  ] 50 %%' >&2
                echo "A warning of no importance" | banner >&2
                echo "[host:12] Forwarding, or so" >&2
                echo "[warn] Epoll MOD(1) on fd 20 failed. Old events were 6: Bad file descriptor" >&2
                printf '\\r[####] 100 %%\\n--- not a banner ---\\n' >&2
                printf 'no end' >&2
                """)
        #expect(outcome.status == 0)
        #expect(
            outcome.errors.drop { $0 != "\n" }
                == "\nlockstep: step 1\n\r[##  ] 50 %\r[####] 100 %\n--- not a banner ---\nno end")
    }

    @Test("the text of mpirun is shown if it fails for an unknown reason")
    func unknownFailuresShowTheTextOfMPIRun() throws {
        let unknown = try withMPIRun(
            saying: """
                echo "The moon is in the wrong phase." | banner >&2
                echo "[host:12] deep down" >&2
                exit 213
                """)
        #expect(unknown.status == 70)
        #expect(
            unknown.sentences == [
                "The moon is in the wrong phase.", "[host:12] deep down",
                "launch/mpirun: mpirun failed; see its message above.",
            ])
        // The words of ssh or a plan are not a rank's own explanation.
        for words in [
            "Warning: Permanently added b to the list of known hosts.", "  model  4 layers",
            "\\r[##  ] 50 %%",
        ] {
            let banner = try withMPIRun(
                saying: """
                    printf '\(words)\\n' >&2
                    echo "The moon is in the wrong phase." | banner >&2
                    exit 213
                    """)
            #expect(banner.status == 70)
            #expect(
                banner.sentences.suffix(2) == [
                    "The moon is in the wrong phase.",
                    "launch/mpirun: mpirun failed; see its message above.",
                ], "\(banner.errors)")
        }
        let reported = try withMPIRun(
            saying: """
                echo "lockstep: data: is not there; give another." >&2
                echo "MPI_ABORT was invoked on rank 0" | banner >&2
                exit 66
                """)
        #expect(reported.status == 66)
        #expect(reported.sentences == ["lockstep: data: is not there; give another."])
    }

    /// Not every status above 128 means a signal.
    @Test("exit codes of mpirun are not reported as signals")
    func exitCodesOfMPIRunAreNoSignals() throws {
        let missing = try withMPIRun(
            saying: """
                printf 'mpirun was unable to launch the specified application as it could not access
                or execute an executable:\\n\\nExecutable: /x\\nNode: node2\\n' | banner >&2
                exit 132
                """, ["true"])
        #expect(missing.status == 66)
        #expect(missing.sentences.count == 1)
        #expect(missing.errors.contains("launch/mpirun: node2 has no executable /"))

        // Open MPI 5 ends like this when it has lost a host.
        let lost = try withMPIRun(
            saying: """
                printf 'PRTE has lost communication with a remote daemon.\\n\\n  HNP daemon   : [a@0,0] \
                on node node1\\n  Remote daemon: [a@0,1] on node node2\\n' | banner >&2
                """)
        #expect(lost.status == 74)
        #expect(
            lost.sentences == [
                "launch/mpirun: the connection to node2 was lost; check that it is up, and if "
                    + "training was under way, resume it from its last checkpoint with --resume."
            ])

        let unreachable = try withMPIRun(
            saying: """
                echo "[[1,1],0][btl_tcp_endpoint.c:793:start] from a to: b Unable to connect to the peer \
                10.88.0.1 on port 1026: Network is unreachable" >&2
                exit 255
                """)
        #expect(unreachable.status == 74)
        #expect(unreachable.sentences.count == 1)
        #expect(unreachable.errors.contains("cannot reach another one at 10.88.0.1; "))

        let unlinked = try withMPIRun(
            saying: """
                echo "/x/lockstep: error while loading shared libraries: libcminpack.so.1: file too short" >&2
                banner >&2 <<END
                mpirun detected that one or more processes exited with non-zero status
                  Process name: [[1,1],1]
                  Exit code:    127
                END
                exit 127
                """)
        #expect(unlinked.status == 78)
        #expect(
            unlinked.errors.contains(
                "rank 1 could not load the libraries of /usr/bin/true (libcminpack.so.1: file"))

        let killed = try withMPIRun(
            saying: "echo launch/mpirun: up >&2; echo \"  a plan\" >&2; kill -KILL $$")
        #expect(killed.status == 137)
        #expect(killed.errors.contains("launch/mpirun: mpirun or a rank was ended by SIGKILL"))

        let unexplained = try withMPIRun(saying: "exit 205")
        #expect(unexplained.status == 70)
        #expect(unexplained.sentences.count == 1)
        #expect(unexplained.errors.contains("mpirun exited with status 205 without a message; "))
    }
}
