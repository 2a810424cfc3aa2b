import Foundation
import TestSupport
import Testing

/// Tests that stop requests reach the ranks, whichever process receives them and even if messages
/// cannot be written.
@Suite struct LauncherSignalTests {
    private let launcher = "\(Launch.root)/launch/mpirun"
    /// A rank that reports its start and, when asked, exits as after a checkpoint: once all ranks
    /// have saved, because mpirun kills the others soon after the first exit.
    private static let rank = """
        save() {
            echo saved >"$0/saved-$OMPI_COMM_WORLD_RANK"
            until [ -s "$0/saved-0" ] && [ -s "$0/saved-1" ]; do sleep 0.1; done
            exit 75
        }
        trap 'save' USR1 TERM INT HUP
        echo $$ >"$0/up-$OMPI_COMM_WORLD_RANK"; i=0
        while [ $((i += 1)) -lt 300 ]; do sleep 0.1; done
        """
    private static let common = """
        launcher=$1 folder=$2 rank=$3
        all() { [ -s "$folder/$1-0" ] && [ -s "$folder/$1-1" ]; }
        # A rank that has ended may still wait for its parent.
        anyLeft() { ps -o stat= -p "$(cat "$folder"/up-* | paste -sd,)" | grep -qv '^Z'; }
        await() { for i in $(seq 300); do "$@" && return; sleep 0.1; done; echo "not: $*"; exit 1; }
        # A shell ignores SIGINT for what it starts in the background.
        start=(env --default-signal=INT "$launcher" --ranks 2 --oversubscribe -- sh -c "$rank" "$folder")
        """

    /// Runs a script in bash with the launcher, a folder and a rank's command.
    private func run(_ script: String) throws -> Outcome {
        // It has the TMPDIR of Open MPI.
        let folder = try TemporaryFolder(hasSpace: false)
        return try Launch.run(
            "bash", ["-c", Self.common + "\n" + script, "bash", launcher, folder.path, Self.rank],
            seconds: 60)
    }

    @Test(
        "a closed output stops nothing",
        arguments: [
            "2>/dev/full", "2>&-", "2>/dev/full >/dev/full", "2> >(exec sleep 2)",
        ])
    func closedOutputStopsNothing(redirection: String) throws {
        let outcome = try run(
            """
            "${start[@]}" \(redirection) & child=$!
            await all up; kill -TERM $child; wait $child; status=$?
            all saved && exit $status
            """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
    }

    /// The launcher asks mpirun for its version before it starts any rank.
    @Test(
        "a request before the ranks start ends the launcher",
        arguments: ["mpirun", "supervise"], ["TERM", "INT", "HUP", "USR1"])
    func requestBeforeTheRanksStart(script: String, signal: String) throws {
        let outcome = try run(
            Self.slowStart + """

                \(Self.command(script)) & child=$!
                await test -s "$folder/asked"; kill -\(signal) $child; wait $child; status=$?
                [ ! -e "$folder/up-0" ] && exit $status
                """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
        #expect(
            outcome.sentences.last == "launch/mpirun: stopped before the ranks had started.",
            "\(outcome.errors)")
    }

    /// The kernel keeps signals without a handler from the first process of a container.
    @Test(
        "a request before the ranks start ends a launcher that is a container's first process",
        .enabled("root cannot make process namespaces here") {
            (try? Launch.run("unshare", ["--pid", "--fork", "true"]).status) == 0
        })
    func requestToTheFirstProcess() throws {
        let outcome = try run(
            Self.slowStart + """

                unshare --pid --fork --mount-proc --kill-child \(Self.command("mpirun")) & child=$!
                await test -s "$folder/asked"; kill -TERM $(pgrep -P $child); wait $child; status=$?
                [ ! -e "$folder/up-0" ] && exit $status
                """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
    }

    /// Puts an mpirun that takes a second to print its version first in PATH.
    private static let slowStart = """
        mkdir "$folder/bin"
        printf '#!/bin/sh\\necho asked >"%s/asked"; sleep 1; exec "%s" "$@"\\n' \
            "$folder" "$(type -P mpirun)" >"$folder/bin/mpirun"
        chmod +x "$folder/bin/mpirun"; export PATH=$folder/bin:$PATH
        """

    /// Returns the words that start two ranks through a script of `launch`.
    private static func command(_ script: String) -> String {
        guard script == "supervise" else { return "\"${start[@]}\"" }
        return """
            env --default-signal=INT "${launcher%mpirun}supervise" --ranks 2 --oversubscribe -- \
            lockstep train --out "$folder/run"
            """
    }

    /// The terminal closes when the program that shows it ends.
    @Test("a closed terminal is a request to checkpoint")
    func closedTerminalRequestsACheckpoint() throws {
        let outcome = try run(
            """
            printf -v quoted '%q ' "${start[@]}"
            # As an interactive shell does, passes the hangup on to its job.
            inner="$quoted & job=\\$!; trap 'kill -HUP \\$job' HUP; wait \\$job; wait \\$job
                echo \\$? >\\"$folder/status\\""
            SHELL=/bin/bash script -qec "$inner" /dev/null >/dev/null 2>&1 & terminal=$!
            await all up; kill -KILL $terminal
            await test -s "$folder/status"
            all saved && ! anyLeft && exit "$(cat "$folder/status")"
            """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
    }

    /// A service manager sends its signal to all processes of a service.
    @Test(
        "a signal to all processes at once is a request to checkpoint",
        arguments: ["TERM", "INT", "HUP"])
    func signalToAllProcessesRequestsACheckpoint(signal: String) throws {
        let outcome = try run(
            """
            "${start[@]}" & child=$!
            await all up
            kill -\(signal) $child $(pgrep -P $child) $(cat "$folder"/up-*); wait $child; status=$?
            all saved && exit $status
            """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
    }

    @Test("a signal to mpirun alone is a request to checkpoint", arguments: ["TERM", "INT", "HUP"])
    func signalToMPIRunRequestsACheckpoint(signal: String) throws {
        let outcome = try run(
            """
            "${start[@]}" & child=$!
            await all up; kill -\(signal) $(pgrep -P $child "mpirun|prterun"); wait $child; status=$?
            all saved && exit $status
            """)
        #expect(outcome.status == 75, "\(outcome.output)\(outcome.errors)")
    }

    /// The launcher may be killed alone or, as by `timeout --signal=KILL`, with its process group.
    @Test("ranks of a killed launcher save a checkpoint", arguments: ["", "-"])
    func ranksOfAKilledLauncherCheckpoint(group: String) throws {
        let outcome = try run(
            """
            setsid "${start[@]}" & child=$!
            await all up; kill -KILL -- \(group)$child
            await all saved; for i in $(seq 50); do anyLeft || exit 0; sleep 0.1; done; exit 1
            """)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(
            outcome.sentences.filter { $0.hasPrefix("launch/mpirun: ") } == [
                "launch/mpirun: asked all ranks to checkpoint and stop, because the launcher was "
                    + "killed."
            ])
    }

    @Test("a second request ends ranks that ignore the first", arguments: ["", "perl"])
    func secondRequestEndsRanksThatIgnoreTheFirst(missing: String) throws {
        let outcome = try run(
            """
            mkdir "$folder/bin" "$folder/tmp" && ln -s /bin/* /usr/bin/* "$folder/bin/" 2>/dev/null
            ln -sf "$(type -P mpirun)" "$folder/bin/"
            [ -z "\(missing)" ] || rm "$folder/bin/\(missing)"
            export PATH=$folder/bin TMPDIR=$folder/tmp
            heedless="trap '' USR1; echo \\$\\$ >'$folder'/up-\\$OMPI_COMM_WORLD_RANK; exec sleep 300"
            "$launcher" --ranks 2 --oversubscribe -- sh -c "$heedless" & child=$!
            await all up; kill -TERM $child; sleep 0.5; kill -TERM $child; wait $child; status=$?
            anyLeft && exit 1
            for rest in 'ompi.*/pid.*' 'ompi.[0-9]*'; do compgen -G "$folder/tmp/$rest" && exit 2; done
            exit $status
            """)
        #expect(outcome.status == 137, "\(outcome.output)\(outcome.errors)")
        #expect(
            outcome.sentences.last?.hasPrefix("launch/mpirun: ended at once, as requested; ")
                == true)
    }
}
