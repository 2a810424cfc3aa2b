import Support
import Telemetry
import TestSupport
import Testing

private func training(done: Int = 500) -> ProgressStatus {
    var status = ProgressStatus(
        title: "training", done: done, total: 2000, unit: .things("steps", showsRate: false))
    status.details = ProgressStatus.trainingDetails(
        loss: 1.88566, learningRate: 0.000981, tokensPerSecond: 12_345.4)
    status.rate = 18.75
    status.secondsLeft = 80
    return status
}

extension TerminalStyle {
    fileprivate init(width: Int, color: Bool, unicode: Bool) {
        self.init(
            environment: ["NO_COLOR": color ? "" : "1", "LANG": unicode ? "C.UTF-8" : "C"],
            terminalWidth: width)
    }
}

private let ascii = TerminalStyle(width: 120, color: false, unicode: false)

@Suite struct ProgressStatusTests {
    @Test("progress is rendered as a plain line")
    func rendersAPlainLine() {
        #expect(
            training().plainLine
                == "training 500/2,000 steps (25 %), loss 1.8857, lr 9.81e-04, 12,345 tokens/s, 1 min 20 s left"
        )
        #expect(
            training(done: 2000).plainLine
                == "training 2,000/2,000 steps (100 %), loss 1.8857, lr 9.81e-04, 12,345 tokens/s")
        var bytes = ProgressStatus(title: "tokenize", done: 1 << 20, total: 4 << 20, unit: .bytes)
        #expect(bytes.plainLine == "tokenize 1.0 MiB/4.0 MiB (25 %)")
        bytes.rate = 0x1p21
        bytes.secondsLeft = 1.5
        #expect(bytes.plainLine == "tokenize 1.0 MiB/4.0 MiB (25 %), 2.0 MiB/s, 2 s left")
        var windows = ProgressStatus(
            title: "evaluate", done: 1999, total: 2000, unit: .things("windows", showsRate: true))
        windows.rate = 3.42
        windows.secondsLeft = 0.3
        #expect(windows.plainLine == "evaluate 1,999/2,000 windows (99 %), 3.4 windows/s, 1 s left")
        #expect(ProgressStatus(title: "x", total: 0, unit: .bytes).plainLine == "x 0 B/0 B (100 %)")
    }

    @Test("progress is rendered as a bar")
    func rendersABar() {
        #expect(
            training().bar(ascii)
                == "training  #######-----------------------  500/2,000 steps  loss 1.8857  lr 9.81e-04  12,345 tokens/s  1 min 20 s left"
        )
        let style = TerminalStyle(width: 120, color: true, unicode: true)
        #expect(
            training(done: 2000).bar(style).hasPrefix(
                "training  \u{1B}[32m" + String(repeating: "█", count: 30)
                    + "\u{1B}[0m  2,000/2,000"))
        #expect(
            training(done: 0).bar(ascii).contains("  " + String(repeating: "-", count: 30) + "  "))
        #expect(training(done: 1999).bar(ascii).contains("#-  "))
        #expect(training(done: 5000).bar(ascii).contains(String(repeating: "#", count: 30)))
    }

    @Test("the bar fits every width")
    func fitsEveryWidth() {
        var longest = 0
        for width in 1...200 {
            let plain = training().bar(TerminalStyle(width: width, color: false, unicode: false))
            #expect(plain.count <= max(1, width - 1), "\(width)")
            #expect(plain.count >= longest || width < 20 || plain.contains("#"), "\(width)")
            longest = max(longest, plain.count)
            // Color takes no columns.
            let colored = training().bar(TerminalStyle(width: width, color: true, unicode: true))
            let visible = colored.replacing("\u{1B}[32m", with: "").replacing("\u{1B}[0m", with: "")
            #expect(visible.count == plain.count)
        }
        func at(_ width: Int) -> String {
            training().bar(TerminalStyle(width: width, color: false, unicode: false))
        }
        // The bar shrinks and disappears, and then the words disappear, the remaining time last.
        #expect(at(110).contains("#####---------------  500"))
        #expect(at(100).contains("  ##--------  500"))
        #expect(
            at(90)
                == "training  500/2,000 steps  loss 1.8857  lr 9.81e-04  12,345 tokens/s  1 min 20 s left"
        )
        #expect(
            at(80) == "500/2,000 steps  loss 1.8857  lr 9.81e-04  12,345 tokens/s  1 min 20 s left")
        #expect(at(50) == "500/2,000 steps  loss 1.8857  1 min 20 s left")
        #expect(at(30) == "training  500/2,000 steps")
        #expect(at(20) == "500/2,000 steps")
        #expect(at(6) == "500/2")
    }
}

@Suite struct ProgressModeTests {
    @Test("the terminal and the environment choose the mode")
    func choosesByTerminalAndEnvironment() throws {
        #expect(try ProgressMode.chosen(by: [:], isTerminal: true) == .bar)
        #expect(try ProgressMode.chosen(by: [:], isTerminal: false) == .lines)
        #expect(
            try ProgressMode.chosen(by: ["TERM": "xterm", "NO_COLOR": "1"], isTerminal: true)
                == .bar)
        #expect(try ProgressMode.chosen(by: ["TERM": "dumb"], isTerminal: true) == .lines)
        let asked = ["LOCKSTEP_PROGRESS": "bar", "TERM": "dumb"]
        #expect(try ProgressMode.chosen(by: asked, isTerminal: false) == .bar)
        #expect(
            try ProgressMode.chosen(by: ["LOCKSTEP_PROGRESS": "none"], isTerminal: true) == .none)
        #expect(try ProgressMode.chosen(by: ["LOCKSTEP_PROGRESS": ""], isTerminal: true) == .bar)
        let failure = caughtFailure { () throws(Failure) in
            _ = try ProgressMode.chosen(by: ["LOCKSTEP_PROGRESS": "Bar"], isTerminal: true)
        }
        #expect(failure?.code == .configuration && failure?.sentence.contains("\"Bar\"") == true)
    }

    @Test("the style reflects the abilities of the terminal")
    func styleReflectsTheTerminal() {
        func style(_ environment: [String: String], _ width: Int? = nil) -> TerminalStyle {
            TerminalStyle(environment: environment, terminalWidth: width)
        }
        #expect(style([:]) == TerminalStyle(width: 80, color: true, unicode: false))
        #expect(style(["LANG": "C.UTF-8"]).unicode && style(["LC_ALL": "de_DE.utf8"]).unicode)
        #expect(!style(["LC_ALL": "C", "LANG": "C.UTF-8"]).unicode)
        #expect(style(["LC_ALL": "", "LANG": "C.UTF-8"]).unicode)
        #expect(!style(["NO_COLOR": "1"]).color && style(["NO_COLOR": ""]).color)
        #expect(!style(["TERM": "dumb"]).color)
        #expect(style(["COLUMNS": "100"]).width == 100 && style(["COLUMNS": "100"], 60).width == 60)
        #expect(style(["COLUMNS": "no"]).width == 80 && style(["COLUMNS": "-5"]).width == 80)
    }
}

@Suite struct ProgressScheduleTests {
    /// Returns the times at which progress of an operation of `seconds` is shown.
    private func times(
        _ mode: ProgressMode, seconds: Double, interval: Double = 0.01, atOnce: Bool = false,
        from start: Double = 0
    ) -> (shown: [Double], end: Bool) {
        var schedule = ProgressSchedule(mode: mode, fraction: start, at: 100, atOnce: atOnce)
        var shown: [Double] = []
        let count = Int((seconds / interval).rounded())
        for i in 1...count {
            let fraction = start + (1 - start) * Double(i) / Double(count)
            let time = Double(i) * interval
            if schedule.shouldShow(fraction: fraction, at: 100 + time) { shown.append(time) }
        }
        #expect(schedule.hasShown == !shown.isEmpty)
        return (shown, schedule.shouldShowEnd(at: 100 + seconds))
    }

    @Test("a short operation shows nothing")
    func shortOperationShowsNothing() {
        for mode in ProgressMode.allCases {
            let result = times(mode, seconds: 4.9)
            #expect(result.shown.isEmpty && !result.end)
        }
    }

    @Test("a bar is drawn at most ten times per second")
    func barIsDrawnAtMostTenTimesPerSecond() {
        let shown = times(.bar, seconds: 20).shown
        #expect(shown.first.map { abs($0 - 5) < 0.02 } == true)
        #expect(zip(shown, shown.dropFirst()).allSatisfy { $1 - $0 >= 0.0999 })
        // Progress is reported every hundredth of a second, so an interval is 0.1 or 0.11.
        #expect(shown.count >= 135 && shown.count <= 151)
        #expect(times(.bar, seconds: 20).end)
        let atOnce = times(.bar, seconds: 1, atOnce: true)
        #expect(atOnce.shown.first == 0.01 && atOnce.end)
    }

    @Test("a line is written for each tenth or half minute")
    func writesALineForEachTenthOrHalfMinute() {
        let tenths = times(.lines, seconds: 100, atOnce: true)
        #expect(tenths.shown.count == 10 && !tenths.end)
        #expect(zip(tenths.shown, 1...10).allSatisfy { abs($0 - 10 * Double($1)) < 0.2 })
        let slow = times(.lines, seconds: 1000, interval: 0.5)
        // Lines are shown after 30, 60 and 90 seconds and at each hundred.
        #expect(slow.shown.count >= 39 && slow.shown.count <= 41)
        #expect(slow.shown.first == 30)
        let resumed = times(.lines, seconds: 20, atOnce: true, from: 0.75)
        #expect(resumed.shown.count == 3)
    }

    @Test("the display ends with a line unless the last tenth was one")
    func displayEndsWithALine() {
        var schedule = ProgressSchedule(mode: .lines, at: 0, atOnce: true)
        let first = schedule.shouldShow(fraction: 0.05, at: 1)
        #expect(!first && schedule.shouldShowEnd(at: 2))
        let last = schedule.shouldShow(fraction: 1, at: 2)
        #expect(last && !schedule.shouldShowEnd(at: 2))
        let hidden = ProgressSchedule(mode: .none, at: 0, atOnce: true)
        #expect(!hidden.shouldShowEnd(at: 100))
    }
}

@Suite struct RateEstimatorTests {
    @Test("a constant rate is found at once")
    func findsAConstantRateAtOnce() throws {
        var estimator = RateEstimator(done: 100, at: 50)
        #expect(estimator.rate == nil && estimator.secondsLeft(total: 200) == nil)
        for i in 1...100 {
            estimator.record(done: 100 + 3 * Double(i), at: 50 + 0.5 * Double(i))
            #expect(abs(try #require(estimator.rate) - 6) < 1e-9)
        }
        #expect(abs(try #require(estimator.secondsLeft(total: 1000)) - 100) < 1e-6)
        #expect(estimator.secondsLeft(total: 10) == 0)
    }

    @Test("the rate follows a change")
    func followsAChange() throws {
        var estimator = RateEstimator(done: 0, at: 0)
        var done = 0.0
        for second in 1...200 {
            done += second <= 100 ? 10 : 1
            estimator.record(done: done, at: Double(second))
            // One odd second moves the estimate by a twentieth of the difference.
            if second == 101 { #expect(try #require(estimator.rate) > 9.4) }
        }
        // After five time constants the old rate hardly counts.
        #expect(abs(try #require(estimator.rate) - 1) < 0.1)
    }

    @Test("the estimate restarts if progress goes back")
    func estimateRestartsIfProgressGoesBack() {
        var estimator = RateEstimator(done: 0, at: 0)
        estimator.record(done: 10, at: 1)
        estimator.record(done: 5, at: 2)
        #expect(estimator.rate == nil)
        estimator.record(done: 7, at: 3)
        #expect(estimator.rate == 2)
        estimator.record(done: 8, at: 1)
        #expect(estimator.rate == nil)
    }
}

@Suite struct ScreenTests {
    @Test("lines scroll above the bar")
    func linesScrollAboveTheBar() {
        let erase = "\r\u{1B}[K"
        var screen = Screen()
        let texts = [
            screen.line("one"), screen.show(bar: "bar 1"), screen.show(bar: "bar 2"),
            screen.line("two"), screen.end(keepingBar: false), screen.end(keepingBar: true),
            screen.show(bar: "bar 3"), screen.end(keepingBar: true), screen.line("three"),
        ]
        let expected = [
            "one\n", "bar 1", erase + "bar 2", erase + "two\nbar 2", erase, "", "bar 3", "\n",
            "three\n",
        ]
        #expect(texts == expected)
    }
}
