import ArgumentParser
import Experiments
import Glibc
import Report
import Support
import Sweeps
import Training

struct ReportCommand: OneProcessCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Writes one HTML page about runs or about a sweep.",
        discussion: """
            Examples:
              lockstep report runs/book
              lockstep report runs/book --follow --every 30
              lockstep report runs/small runs/large --out compared.html
              lockstep report sweeps/study
              lockstep report runs.csv --out study.html

            The page is one file and opens offline. Without --out it is report.html in the
            folder, which is replaced each time. The command needs Debian's package
            libjs-vega.

            With --follow, the command rewrites the page while the runs continue, and the
            browser reloads it. The command waits for a run that is yet to start, and ends
            when all runs are over.

            A CSV file holds the runs of any trainer, as for `lockstep analyze`. The
            options from --base-batch on are for CSV files only.
            """)

    @Argument(
        help: "The folders of runs, the folder of one sweep, or one CSV file of runs.",
        completion: .file())
    var paths: [String]

    @Option(help: "A new file for the page.", completion: .file())
    var out: String?

    @Flag(help: "Rewrite the page until the runs are over.")
    var follow = false

    @Option(
        parsing: .unconditional,
        help: "The seconds between two pages, with --follow (default: 10).")
    var every: Double?

    @OptionGroup var tolerance: ToleranceOption

    @OptionGroup var table: RunTableOptions

    func run() throws {
        for path in paths { try RunTableOptions.requirePath(path, "<paths>") }
        guard let first = paths.first, paths.count == 1 || out != nil else {
            throw Failure.missing(
                "--out",
                remedy: "name the page's file, because a page about several runs belongs to none "
                    + "of them")
        }
        if let out, FileSystem.exists(out) {
            throw Failure.taken(out, remedy: "give --out another name")
        }
        guard paths.count == 1 || !paths.contains(where: isAlone) else {
            throw Failure.option(
                "<paths>", "must be runs, one sweep or one CSV file",
                remedy: "name the sweep or the file alone")
        }
        let path = try out ?? defaultPath(first)
        guard follow || every == nil else {
            throw Failure.option(
                "--every", "is for --follow", remedy: "add --follow, or leave it out")
        }
        guard !follow else { return try followRuns(writing: path) }
        try AtomicFile.write(try page(first).html(vega: try VegaLibrary.script()), to: path)
        try StandardOutput.write(line: "the report is \(path)")
    }

    /// Writes the page about runs until they are over.
    ///
    /// - Throws: `Failure` if a run cannot be read or the page cannot be written.
    private func followRuns(writing path: String) throws {
        let interval = every ?? 10
        try IntervalOption.check(interval)
        guard let first = paths.first, !paths.contains(where: isAlone) else {
            throw Failure.option(
                "--follow", "is for runs", remedy: "leave it out for a sweep or a CSV file")
        }
        try table.refuse(for: first)
        try refuseTolerance(for: first)
        let vega = try VegaLibrary.script()
        var pages = FollowedRuns(paths.map { RunFolder($0) })
        var isAnnounced = false
        var isWaiting = false
        while true {
            let start = MonotonicClock.nanoseconds
            if let page = try pages.nextPage(reloadingAfter: interval) {
                try AtomicFile.write(page.html(vega: vega), to: path)
                if !isAnnounced { try StandardOutput.write(line: "the report is \(path)") }
                isAnnounced = true
            } else if !isWaiting {
                StandardError.shared.write(
                    line: "lockstep: waiting for the first step of \(paths.joined(separator: ", "))"
                )
                isWaiting = true
            }
            if pages.areOver { return }
            // A page about a long run takes long to write, so it is written less often.
            let seconds = Double(MonotonicClock.nanoseconds - start) * 1e-9
            usleep(useconds_t(min(3600, max(interval, 5 * seconds)) * 1e6))
        }
    }

    /// Returns whether a path needs a page of its own.
    private func isAlone(_ path: String) -> Bool {
        SweepFolder(path).holdsSweep || RunTableOptions.isTable(path)
    }

    private func defaultPath(_ path: String) throws(Failure) -> String {
        guard !RunTableOptions.isTable(path) else {
            throw .missing(
                "--out",
                remedy: "name the page's file, because \(path) has no folder of its own")
        }
        return "\(SweepFolder(path).path)/report.html"
    }

    private func page(_ first: String) throws(Failure) -> Page {
        guard !RunTableOptions.isTable(first) else {
            return try table.read(first).report(table.request(tolerance))
        }
        try table.refuse(for: first)
        let sweep = SweepFolder(first)
        guard !sweep.holdsSweep else { return try sweep.report(tolerance: tolerance.tolerance) }
        try refuseTolerance(for: first)
        return RunReport(try paths.map { (path) throws(Failure) in try RunLog(RunFolder(path)) })
            .page
    }

    private func refuseTolerance(for path: String) throws(Failure) {
        guard tolerance.tolerance == nil else {
            throw .option(
                "--tolerance", "is for sweeps and CSV files, but \(path) is not one",
                remedy: "leave it out")
        }
    }
}
