import Experiments
import Report
import Support
import Sweeps
import Training

/// Writes a page about runs, or about one sweep, and returns its path.
///
/// - Parameters:
///   - folders: the folders of runs, or the folder of one sweep.
///   - out: the page's file, or nil for report.html in the only folder.
/// - Throws: `Failure` (usage) if the file exists or is not named; any failure of reading or
///   writing.
package func writeReport(about folders: [String], to out: String?) throws(Failure) -> String {
    guard let first = folders.first, folders.count == 1 || out != nil else {
        throw Failure(
            .usage, "A page about several runs belongs to none of them; name its file with --out.")
    }
    if let out, FileSystem.exists(out) {
        throw .file(
            .usage, out, "exists and is never overwritten", remedy: "give --out another name")
    }
    let sweep = SweepFolder(first)
    guard folders.count == 1 || !folders.contains(where: { SweepFolder($0).holdsSweep }) else {
        throw Failure(.usage, "A page is about runs or about one sweep; name the sweep alone.")
    }
    let page: Page
    if sweep.holdsSweep {
        page = try sweep.report()
    } else {
        var logs: [RunLog] = []
        for folder in folders { logs.append(try RunLog(RunFolder(folder))) }
        page = RunReport(logs).page
    }
    let path = out ?? "\(sweep.path)/report.html"
    try AtomicFile.write(page.html(vega: try VegaLibrary.script()), to: path)
    return path
}
