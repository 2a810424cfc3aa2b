import Experiments
import Foundation
import Telemetry
import TestSupport
import Testing
import Training

/// Tests of watching a run.
@Suite struct WatchTests {
    private let folder: TemporaryFolder
    private let run: RunFolder

    init() throws {
        folder = try TemporaryFolder()
        run = RunFolder(folder.path)
    }

    private static func step(_ step: Int, loss: String = "2.5", seconds: Double = 0.5) -> String {
        """
        {"step":\(step),"loss":\(loss),"learning_rate":0.001,"tokens":\(step * 100),\
        "tokens_per_second":\(100 / seconds),"step_seconds":\(seconds)}

        """
    }

    private func write(steps: Int, _ lines: String) throws {
        try folder.write("recipe.toml", "[training]\nsteps = \(steps)\n")
        try folder.write("metrics.jsonl", lines)
    }

    private func style(_ width: Int, unicode: Bool = true) -> TerminalStyle {
        TerminalStyle(environment: ["LANG": unicode ? "C.UTF-8" : "C"], terminalWidth: width)
    }

    private func view(_ watch: RunWatch, width: Int = 100, unicode: Bool = true) -> WatchView {
        WatchView(watch, at: 0, style: style(width, unicode: unicode), resumption: "`resume`")
    }

    /// Returns the lines about the run as it is now.
    private func lines(width: Int = 100, unicode: Bool = true) throws -> [String] {
        var watch = RunWatch(run)
        try watch.update(at: 0)
        return view(watch, width: width, unicode: unicode).lines
    }

    private func line(_ label: String, in lines: [String]) throws -> String {
        try #require(lines.first { $0.hasPrefix(label) }, "\(lines)")
    }

    @Test("a run that is yet to start is awaited, and followed when it starts")
    func missingRun() throws {
        var watch = RunWatch(run)
        try watch.update(at: 0)
        #expect(view(watch).lines == ["\(run.path)  holds no run yet; waiting for it to start"])
        try write(steps: 10, "")
        try watch.update(at: 1)
        #expect(view(watch).lines == ["\(run.path)  training; no step has been taken yet"])
        try write(steps: 10, Self.step(1))
        try watch.update(at: 2)
        #expect(try line("step ", in: view(watch).lines).hasSuffix("1/10 (10 %)"))
        #expect(watch.secondsLeft(at: 2) == 4.5)
    }

    @Test("losses are drawn, and numbers are those of the log")
    func numbers() throws {
        var log = ""
        for step in 1...400 {
            log += Self.step(step, loss: "\(4.0 - Double(step) / 200)", seconds: 0.25)
            if step % 100 == 0 {
                let loss = step == 300 ? 1.5 : 2
                log += "{\"step\":\(step),\"validation_loss\":\(loss),\"validation_targets\":9}\n"
            }
        }
        try write(steps: 1600, log)
        let lines = try lines()
        #expect(lines[0] == "\(run.path)  training")
        #expect(try line("step", in: lines).hasSuffix("400/1,600 (25 %)"))
        let loss = try line("loss", in: lines)
        #expect(loss.hasSuffix("2.0000, from 3.9950") && loss.contains("█") && loss.contains("▁"))
        #expect(
            try line("  recent", in: lines).hasSuffix("last 200 steps, 2.0000 to 2.9950"))
        #expect(try line("rate", in: lines).hasSuffix("1.00e-03, highest 1.00e-03"))
        #expect(
            try line("validation", in: lines)
                .hasSuffix("2.0000 at step 400, lowest 1.5000 at 300"))
        #expect(try line("speed", in: lines).hasSuffix("400 tokens/s, 250 ms a step"))
        #expect(try line("time left", in: lines).contains("  5 min; ends at about "))
    }

    @Test("a falling loss has falling blocks", arguments: [true, false])
    func fallingLoss(unicode: Bool) throws {
        try write(
            steps: 100,
            (1...47).map { Self.step($0, loss: "\(5.0 - Double($0) / 10)") }.joined())
        let loss = try line("loss", in: try lines(unicode: unicode))
        let levels = Array(unicode ? "▁▂▃▄▅▆▇█" : "_.-:=+*#")
        let heights = loss.dropFirst(13).prefix { $0 != " " }.compactMap {
            levels.firstIndex(of: $0)
        }
        #expect(heights.count == 46, "the columns that the width leaves: \(loss)")
        #expect(heights.first == 7 && heights.last == 0)
        #expect(zip(heights, heights.dropFirst()).allSatisfy { $0 >= $1 })
    }

    @Test("a loss that is not a number leaves a gap, and a diagnosis is shown")
    func skippedSteps() throws {
        try write(
            steps: 100,
            Self.step(1) + Self.step(2, loss: "null") + Self.step(3, loss: "3")
                + Self.step(4, loss: "null")
                + #"{"step":4,"diagnosis":"not a number","cause":"a","remedy":"b"}"# + "\n")
        let lines = try lines()
        #expect(try line("loss", in: lines).contains("▁ █ "))
        #expect(try line("loss", in: lines).hasSuffix("not a number"))
        #expect(lines.last == "warning      step 4: not a number: a; b")
    }

    @Test("a log from somebody else neither controls the terminal nor ends the command")
    func hostileLog() throws {
        try write(
            steps: 100,
            """
            {"step":-9223372036854775808,"loss":1}
            {"step":1,"loss":1e308,"learning_rate":-1e308,"step_seconds":1e308,\
            "tokens_per_second":1e308,"slowest_rank":1e300,"slowest_rank_share":1e300,\
            "slowest_rank_slowdown":-1e300,"noise_scale":1e300}
            {"step":2,"loss":-1e308,"learning_rate":1e308,"step_seconds":-1,"slowest_rank":null}
            {"step":9223372036854775807,"validation_loss":-1e308}
            {"step":3,"diagnosis":"loss spike","cause":"\\u001b[2J\\n\\u0007","remedy":"b"}

            """)
        let lines = try lines()
        #expect(lines.count > 5)
        #expect(
            !lines.joined().unicodeScalars.contains { $0.properties.generalCategory == .control })
        #expect(lines.last?.contains("[2J") == true)
    }

    @Test("lines fit on any terminal", arguments: [1, 5, 20, 40, 62, 63, 64, 80, 200])
    func widths(width: Int) throws {
        try write(
            steps: 100,
            (1...90).map { Self.step($0) }.joined()
                + #"{"step":90,"diagnosis":"loss spike","cause":"\#(String(repeating: "c", count: 300))","remedy":"b"}"#
                + "\n")
        var watch = RunWatch(run)
        try watch.update(at: 0)
        let lines = view(watch, width: width).fittingLines
        #expect(lines.count > 5)
        #expect(lines.allSatisfy { $0.count <= max(1, width - 1) || $0 == "..." }, "\(lines)")
    }

    @Test("the time between steps extends the estimate once it has been observed")
    func observedTime() throws {
        try write(steps: 1000, (1...100).map { Self.step($0) }.joined())
        var watch = RunWatch(run)
        try watch.update(at: 0)
        #expect(watch.secondsLeft(at: 0) == 450)
        // A hundred steps of half a second took 100 seconds.
        try write(steps: 1000, (1...200).map { Self.step($0) }.joined())
        try watch.update(at: 100)
        #expect(watch.secondsLeft(at: 100) == 800)
    }

    @Test("the history of a run that a resume shortened is read again")
    func resumedRun() throws {
        try write(steps: 100, (1...90).map { Self.step($0) }.joined())
        var watch = RunWatch(run)
        try watch.update(at: 0)
        #expect(watch.history.lastStep == 90)
        try folder.write("new", (1...50).map { Self.step($0) }.joined())
        try FileManager.default.removeItem(atPath: run.metrics)
        try FileManager.default.moveItem(atPath: "\(folder.path)/new", toPath: run.metrics)
        try watch.update(at: 1)
        #expect(watch.history.lastStep == 50)
        #expect(try line("step", in: view(watch).lines).hasSuffix("50/100 (50 %)"))
    }

    @Test("a long history keeps its shape in little memory")
    func longHistory() throws {
        var history = RunHistory()
        for step in 1...50_000 {
            history.add(
                MetricsRecord(fields: [
                    "step": .integer(step), "loss": .number(step <= 25_000 ? 4 : 2),
                    "learning_rate": 1e-3, "step_seconds": 1, "tokens_per_second": 1,
                ]))
        }
        #expect(history.lastStep == 50_000)
        #expect(history.pointCount > 1000 && history.pointCount <= 4096)
        #expect(history.usualStepSeconds == 1)
    }

    @Test("the screen is redrawn in place, and cleared if its width changes")
    func screen() {
        var screen = WatchScreen()
        #expect(
            screen.show(["a", "b"], columns: 80, rows: 24) == "a\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
        #expect(screen.show(["c"], columns: 80, rows: 24) == "\u{1B}[2A\rc\u{1B}[K\n\u{1B}[J")
        #expect(
            screen.show(["d"], columns: 40, rows: 24)
                == "\u{1B}[H\u{1B}[2Jd\u{1B}[K\n\u{1B}[J")
        let tall = (0..<30).map { "\($0)" }
        #expect(screen.show(tall, columns: 40, rows: 10).filter { $0 == "\n" }.count == 9)
    }

    @Test("a followed page reloads until the run is over")
    func followedRuns() throws {
        var missing = FollowedRuns([run])
        #expect(try missing.nextPage(reloadingAfter: 5) == nil && !missing.areOver)
        try write(steps: 3, Self.step(1) + Self.step(2))
        var runs = FollowedRuns([run])
        let page = try #require(try runs.nextPage(reloadingAfter: 5))
        #expect(page.reloadSeconds == 5 && !runs.areOver)
        #expect(page.html(vega: "").contains("<meta http-equiv=\"refresh\" content=\"5\">"))
        try write(steps: 3, Self.step(1) + Self.step(2) + Self.step(3))
        try FileManager.default.createDirectory(
            atPath: "\(run.checkpoints)/step-00000003", withIntermediateDirectories: true)
        let last = try #require(try runs.nextPage(reloadingAfter: 5))
        #expect(last.reloadSeconds == nil && runs.areOver)
        #expect(!last.html(vega: "").contains("http-equiv=\"refresh\""))
    }
}
