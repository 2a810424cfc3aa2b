import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the report about a rank for which all others wait.
    @Suite(.serialized) struct StallTests {
        @Test("a stopped rank is named with its host", arguments: [0, 1])
        func aStoppedRank(rank: Int) throws {
            let bench = try Workbench()
            let errors = bench.path("errors.txt")
            let job = try BackgroundCommand(
                "sh",
                [
                    "-c", "exec \"$0\" \"$@\" 2>'\(errors)'", "env", "LOCKSTEP_STALL_SECONDS=2",
                    "\(Launch.root)/launch/mpirun", "--ranks", "2", "--oversubscribe", "--",
                    Workbench.lockstep,
                ]
                    + bench.training(
                        set: "training.steps=1000000", "checkpoint.every=0", "evaluation.every=0"))
            try job.wait { (try? bench.metrics().count) ?? 0 > 20 }
            let stopped = try #require(
                try Launch.processes(naming: bench.path("run"), program: Workbench.lockstep).first {
                    Launch.environment(of: $0).contains("OMPI_COMM_WORLD_RANK=\(rank)")
                })
            kill(stopped, SIGSTOP)
            defer { kill(stopped, SIGCONT) }
            let name = "rank \(rank) on \(ProcessInfo.processInfo.hostName)"
            func reports() -> [Substring] {
                let text = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
                return text.split(separator: "\n").filter { $0.contains("no step has ended for") }
            }
            // The second rank waits ten seconds longer than the first before it reports.
            try job.wait { !reports().isEmpty }
            #expect(reports()[0].contains("\(name) does not respond"), "\(reports())")
            try job.wait {
                try String(contentsOfFile: errors, encoding: .utf8).contains("\(name): no answer")
            }
            kill(stopped, SIGCONT)
            let steps = try bench.metrics().count
            try job.wait { try bench.metrics().count > steps + 5 }
            job.send(SIGTERM)
            #expect(try job.finish().status == 75)
            #expect(reports().count <= 3, "reported too often: \(reports())")
        }

        @Test("a stopped rank ends the job after LOCKSTEP_STALL_LIMIT", arguments: [0, 1])
        func limit(rank: Int) throws {
            let bench = try Workbench()
            let errors = bench.path("errors.txt")
            let job = try BackgroundCommand(
                "sh",
                [
                    "-c", "exec \"$0\" \"$@\" 2>'\(errors)'", "env", "LOCKSTEP_STALL_LIMIT=2",
                    "\(Launch.root)/launch/mpirun", "--ranks", "2", "--oversubscribe", "--",
                    Workbench.lockstep,
                ]
                    + bench.training(
                        set: "training.steps=1000000", "checkpoint.every=0", "evaluation.every=0"))
            try job.wait { (try? bench.metrics().count) ?? 0 > 20 }
            let stopped = try #require(try Launch.ranks(of: bench.path("run"))[rank])
            kill(stopped, SIGSTOP)
            #expect(job.waitUntilExit() == 74)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            let host = ProcessInfo.processInfo.hostName
            #expect(text.contains("rank \(rank) on \(host): no answer"), "\(text)")
            #expect(text.contains("rank \(1 - rank) on \(host): is waiting"), "\(text)")
            #expect(text.contains("LOCKSTEP_STALL_LIMIT is 2 s"), "\(text)")
            // Nothing of the job stays behind.
            #expect(try Launch.ranks(of: bench.path("run")).isEmpty)
        }

        @Test("a stopped rank ends the job after LOCKSTEP_STALL_LIMIT if the clock jumps back")
        func limitAfterAClockJump() throws {
            let bench = try Workbench()
            let errors = bench.path("errors.txt")
            let faults = try FaultInjector()
            let job = try BackgroundCommand(
                "sh",
                [
                    "-c", "exec \"$0\" \"$@\" 2>'\(errors)'", "env", "LOCKSTEP_STALL_LIMIT=2",
                    "\(Launch.root)/launch/mpirun", "--ranks", "2", "--oversubscribe", "--",
                ] + faults.prefix + [Workbench.lockstep]
                    + bench.training(
                        set: "training.steps=1000000", "checkpoint.every=0", "evaluation.every=0"))
            try job.wait { (try? bench.metrics().count) ?? 0 > 20 }
            let stopped = try #require(try Launch.ranks(of: bench.path("run"))[1])
            try faults.setClock(aheadBySeconds: -100_000)
            kill(stopped, SIGSTOP)
            defer { kill(stopped, SIGKILL) }
            func text() -> String { (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "" }
            try job.wait(until: { text().contains("LOCKSTEP_STALL_LIMIT is 2 s") }, "the limit")
            #expect(job.waitUntilExit() == 74)
        }

        @Test(
            "a rank that stops while the job starts or ends does not keep the others forever",
            arguments: ["stop-dup-0", "stop-dup-1", "stop-end-0", "stop-end-1"])
        func limitAtTheStartAndTheEnd(fault: String) throws {
            let bench = try Workbench()
            let faults = try FaultInjector()
            try faults.request(fault)
            let words =
                ["LOCKSTEP_STALL_LIMIT=2", "\(Launch.root)/launch/mpirun", "--ranks", "2"]
                + ["--oversubscribe", "--"] + faults.prefix + [Workbench.lockstep]
            let outcome = try Launch.run("env", words + bench.training(), seconds: 60)
            #expect(!faults.isPending(fault))
            #expect(outcome.status == 74, "\(outcome.errors)")
            #expect(outcome.errors.contains("LOCKSTEP_STALL_LIMIT is set"), "\(outcome.errors)")
            #expect(try Launch.ranks(of: bench.path("run")).isEmpty)
        }

        @Test("a slow disk is reported, also by a run without mpirun", arguments: [0, 2])
        func aSlowDisk(ranks: Int) throws {
            let bench = try Workbench()
            // Delays only the parameters of checkpoints.
            try bench.write(
                """
                #include <stdio.h>
                #include <string.h>
                #include <unistd.h>
                #include <sys/syscall.h>
                int fsync(int descriptor) {
                    char link[64], path[4096] = "";
                    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
                    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "model.safetensors"))
                        sleep(6);
                    return syscall(SYS_fsync, descriptor);
                }
                """, to: "slow.c")
            // LD_PRELOAD cannot contain a path with a space.
            let library = "/tmp/lockstep-\(UUID().uuidString).so"
            defer { try? FileManager.default.removeItem(atPath: library) }
            let compiled = try Launch.run(
                "clang", ["-shared", "-fPIC", "-o", library, bench.path("slow.c")])
            try #require(compiled.status == 0, "\(compiled.errors)")
            let launcher =
                ranks == 0
                ? []
                : ["\(Launch.root)/launch/mpirun", "--ranks", "\(ranks)", "--oversubscribe", "--"]
            let outcome = try Launch.run(
                "env",
                ["LOCKSTEP_STALL_SECONDS=2"] + launcher + ["env", "LD_PRELOAD=\(library)"]
                    + [Workbench.lockstep]
                    + bench.training(set: "checkpoint.every=0", "evaluation.every=0"),
                seconds: 60)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let host = ProcessInfo.processInfo.hostName
            #expect(
                outcome.errors.contains(
                    try Regex(
                        "rank 0 on \(host) is writing a checkpoint, for [2-5] s so far; check")),
                "\(outcome.errors)")
        }

        @Test(
            "LOCKSTEP_STALL_SECONDS must be a positive whole number",
            arguments: ["soon", "0", "9223372036854775807"])
        func badPatience(seconds: String) throws {
            let bench = try Workbench()
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--oversubscribe", "--", Workbench.lockstep] + bench.training(),
                environment: ["LOCKSTEP_STALL_SECONDS": seconds])
            expectRefusal(outcome, 78, ["LOCKSTEP_STALL_SECONDS = \"\(seconds)\""])
        }
    }
}
