import ArgumentParser
import Experiments
import Report
import Support
import Sweeps
import Training

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Writes one HTML page about runs or about a sweep.",
        discussion: """
            Examples:
              lockstep report runs/book
              lockstep report runs/small runs/large --out compared.html
              lockstep report sweeps/study

            The page is one file and opens offline. Without --out it is report.html in the
            folder, which is replaced each time. The command needs Debian's package
            libjs-vega.
            """)

    @Argument(help: "The folders of runs, or the folder of one sweep.")
    var folders: [String]

    @Option(help: "A new file for the page.")
    var out: String?

    func run() throws {
        guard let first = folders.first, folders.count == 1 || out != nil else {
            throw Failure(
                .usage,
                "A page about several runs belongs to none of them; name its file with --out.")
        }
        if let out, FileSystem.exists(out) {
            throw Failure.file(
                .usage, out, "exists and is never overwritten", remedy: "give --out another name")
        }
        let sweep = SweepFolder(first)
        guard folders.count == 1 || !folders.contains(where: { SweepFolder($0).holdsSweep }) else {
            throw Failure(.usage, "A page is about runs or about one sweep; name the sweep alone.")
        }
        let page =
            sweep.holdsSweep
            ? try sweep.report()
            : RunReport(try folders.map { try RunLog(RunFolder($0)) }).page
        let path = out ?? "\(sweep.path)/report.html"
        try AtomicFile.write(page.html(vega: try VegaLibrary.script()), to: path)
        try StandardOutput.write(line: "the report is \(path)")
    }
}
