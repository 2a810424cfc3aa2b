import ArgumentParser
import Experiments
import Glibc
import Support
import Telemetry
import Training

struct WatchCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Shows the progress of a run in the terminal.",
        discussion: """
            Examples:
              lockstep watch runs/book
              lockstep watch runs/book --every 10
              lockstep watch runs/book --once

            The command reads the run's files and changes none, so it can start and end at
            any time, also on another machine that shares the folder. It waits for a run
            that is yet to start, follows it through stops and resumes, and ends when the
            last step is done or you press Ctrl-C. If standard output is not a terminal, it
            prints the state once.
            """)

    @Argument(help: ArgumentHelp("The run's folder.", valueName: "run"), completion: .directory)
    var folder: String

    @Option(parsing: .unconditional, help: "The seconds between two updates.")
    var every = 1.0

    @Flag(help: "Print the state once and exit.")
    var once = false

    func run() throws {
        try IntervalOption.check(every)
        let environment = processEnvironment()
        let run = RunFolder(folder)
        var watch = RunWatch(run)
        let redraws = StandardOutput.isTerminal && environment["TERM"] != "dumb" && !once
        if !redraws, !run.holdsRun { throw Failure.holdsNo("run", folder, command: "train") }
        let start = MonotonicClock.nanoseconds
        var screen = WatchScreen()
        while true {
            let time = Double(MonotonicClock.nanoseconds - start) * 1e-9
            try watch.update(at: time)
            let size = StandardOutput.terminalSize
            let style = TerminalStyle(environment: environment, terminalWidth: size?.columns)
            let view = WatchView(
                watch, at: time, style: style, resumption: resumption(of: "train", in: folder))
            guard redraws else {
                try StandardOutput.write(Array(view.lines.map { $0 + "\n" }.joined().utf8))
                return
            }
            let text = screen.show(
                view.fittingLines, columns: style.width, rows: size?.rows ?? .max)
            guard try StandardOutput.write(Array(text.utf8)) else { return }
            if watch.status == .finished { return }
            usleep(useconds_t(every * 1e6))
        }
    }
}

/// The interval between two updates of a view of a run.
enum IntervalOption {
    private static let range = 0.1...3600.0

    /// Checks an interval in seconds.
    ///
    /// - Throws: `Failure` (usage) if it is too short or too long.
    static func check(_ seconds: Double) throws(Failure) {
        try require(
            range.contains(seconds),
            or: .option(
                "--every", seconds, "must be from 0.1 to 3600 seconds", remedy: "try 1"))
    }
}
