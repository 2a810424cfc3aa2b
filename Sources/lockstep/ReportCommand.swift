import ArgumentParser

/// `lockstep report`
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
        let path = try writeReport(about: folders, to: out)
        try StandardOutput.write(line: "the report is \(path)")
    }
}
