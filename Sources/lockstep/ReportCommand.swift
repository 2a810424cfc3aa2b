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

            The page holds all it needs and opens offline. Without --out it is report.html
            in the folder, which is replaced each time. It needs Debian's package libjs-vega.
            """)

    @Argument(help: "Folders of runs, or the folder of one sweep.")
    var folders: [String]

    @Option(name: .long, help: "The page's file, which is made.")
    var out: String?

    func run() throws {
        let path = try writeReport(about: folders, to: out)
        try StandardOutput.write(line: "the report is \(path)")
    }
}
