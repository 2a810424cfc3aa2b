import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of watching real runs.
    @Suite(.serialized) struct WatchTests {
        private func watch(_ bench: Workbench, _ run: String = "run") throws -> [String] {
            let outcome = try bench.lockstep("watch", bench.path(run))
            #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
            #expect(!outcome.output.contains("\u{1B}"), "it is plain text")
            return outcome.output.split(separator: "\n").map(String.init)
        }

        @Test("without a terminal, the state of a run is printed once")
        func finishedRun() throws {
            let bench = try Workbench()
            try bench.train(ranks: 2)
            let lines = try watch(bench)
            #expect(lines.first == "\(bench.path("run"))  finished")
            for words in ["6/6 (100 %)", "at step 6", "tokens/s", "rank "] {
                #expect(lines.contains { $0.contains(words) }, "\(words): \(lines)")
            }
            let missing = try bench.lockstep("watch", bench.path("none"))
            expectRefusal(missing, 66, ["none: does not exist"])
            expectRefusal(
                try bench.lockstep("watch", "--once", bench.path("data")), 66, ["holds no run"])
        }

        @Test("a stopped and a killed run are told apart, and nothing changes")
        func stoppedAndKilledRuns() throws {
            let bench = try Workbench()
            for signal in [SIGTERM, SIGKILL] {
                let run = signal == SIGTERM ? "stopped" : "killed"
                let training = try BackgroundCommand(
                    Workbench.lockstep,
                    bench.training(into: run, set: "training.steps=1000000", "checkpoint.every=7"))
                try training.wait(until: {
                    FileManager.default.fileExists(
                        atPath: bench.path("\(run)/checkpoints/step-00000014"))
                })
                #expect(try watch(bench, run).first == "\(bench.path(run))  training")
                training.send(signal)
                #expect(training.waitUntilExit() == (signal == SIGTERM ? 75 : SIGKILL))
            }
            // A run whose lock cannot be seen is over after a silence of five seconds.
            sleep(6)
            let names = try bench.names(in: "killed")
            let state = try #require(try watch(bench, "stopped").first)
            #expect(state.contains("  stopped at step ") && state.contains("with a checkpoint"))
            #expect(state.contains("resume with `lockstep train --resume --out "))
            let dead = try #require(try watch(bench, "killed").first)
            #expect(
                dead.contains("  killed or failed after step ")
                    || dead.contains("  stopped at step "))
            #expect(try bench.names(in: "killed") == names)
        }

        /// `script` gives the command a terminal of 120 columns.
        @Test("on a terminal, a run that starts later is followed to its end")
        func followedRun() throws {
            let bench = try Workbench()
            let text = bench.path("screen.txt")
            let command =
                "stty cols 120 rows 20; exec '\(Workbench.lockstep)' watch '\(bench.path("run"))' --every 0.1"
            let watching = try BackgroundCommand(
                "script", ["-qefc", command, text],
                environment: ["LANG": "C.UTF-8", "TERM": "xterm", "SHELL": "/bin/sh"])
            func screen() throws -> String {
                guard bench.exists("screen.txt") else { return "" }
                return String(decoding: try bench.bytes(of: "screen.txt"), as: UTF8.self)
            }
            try watching.wait(until: {
                try screen().contains("waiting for it to start")
            })
            try bench.train()
            #expect(watching.waitUntilExit() == 0)
            let frames = try screen().components(separatedBy: "\u{1B}[J")
            #expect(frames.count > 2)
            let last = try #require(frames.dropLast().last)
            #expect(last.contains("  finished") && last.contains("6/6 (100 %)"))
            #expect(last.hasPrefix("\u{1B}["), "it is redrawn in place")
            let lines = last.replacingOccurrences(of: "\u{1B}[K", with: "").split(separator: "\r\n")
            #expect(lines.dropFirst().allSatisfy { $0.count < 120 }, "\(lines)")
        }

        @Test("a page is rewritten while the run continues, and is complete at its end")
        func followedReport() throws {
            let bench = try Workbench()
            let following = try BackgroundCommand(
                Workbench.lockstep,
                ["report", bench.path("run"), "--follow", "--every", "0.1"])
            let training = try BackgroundCommand(
                Workbench.lockstep, bench.training(set: "training.steps=2000", "evaluation.every=0")
            )
            let page = bench.path("run/report.html")
            let refresh = "<meta http-equiv=\"refresh\" content=\"1\">"
            func content() throws -> String {
                guard bench.exists("run/report.html") else { return "" }
                return String(decoding: try bench.bytes(of: "run/report.html"), as: UTF8.self)
            }
            try following.wait(until: {
                try content().contains(refresh)
            })
            #expect(training.waitUntilExit() == 0)
            let (status, output) = try following.finish()
            #expect(status == 0)
            #expect(output == "the report is \(page)\n")
            #expect(try !content().contains("http-equiv=\"refresh\""))
            #expect(try content().contains("2,000 steps"))
            #expect(try !bench.names(in: "run").contains { $0.hasSuffix(".partial") })
        }
    }
}
