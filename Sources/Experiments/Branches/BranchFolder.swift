import Support
import Telemetry
import Training

/// The folder of a command's branches and the paths of its files. Only the first rank uses it.
struct BranchFolder {
    let path: String

    init(_ path: String) { self.path = RunFolder(path).path }

    /// The path of the file with the design, without which the folder holds no branches.
    private var design: String { "\(path)/design.json" }
    /// The path of the file with a line for each branch that has ended.
    private var ledger: String { "\(path)/branches.jsonl" }

    private var holdsBranches: Bool { FileSystem.exists(design) }

    /// Checks that the folder can be created.
    ///
    /// - Throws: `Failure` (usage) if the path is taken; (I/O) if it cannot be written.
    func requireFree() throws(Failure) {
        guard !holdsBranches else {
            throw .file(
                .usage, path, "already holds branches, which are never overwritten",
                remedy: "add --resume to resume them, or give --out another folder")
        }
        try RunFolder(path).requireFree()
    }

    /// Creates the folder, completely or not at all.
    ///
    /// - Throws: the failures of `requireFree`; `Failure` (I/O) if it cannot be written.
    func create(_ design: BranchDesign) throws(Failure) {
        try requireFree()
        try AtomicFolder.create(at: path, marker: "design.json") { (partial) throws(Failure) in
            try AtomicFile.write(design.json.text + "\n", to: BranchFolder(partial).design)
        }
    }

    /// Returns the design of the branches.
    ///
    /// - Throws: `Failure` (missing input) if there are none; (bad data) if the file is damaged.
    func readDesign() throws(Failure) -> BranchDesign {
        guard holdsBranches else { throw .holdsNo("branches", path, command: "branch") }
        let records = try MetricsLog.read(design)
        guard let design = records.first.flatMap({ try? BranchDesign(json: $0.json) }) else {
            throw .file(
                .badData, design, "does not describe branches",
                remedy: "start again with another --out")
        }
        return design
    }

    /// Returns the results of the branches that have ended.
    ///
    /// - Throws: `Failure` (bad data) that names a damaged line; (I/O) if the ledger cannot be
    ///   read.
    func results(of design: BranchDesign) throws(Failure) -> [BranchResult] {
        guard FileSystem.exists(ledger) else { return [] }
        let points = Set(design.points)
        let curveTokens = [0] + design.marks.map { $0 * design.contextLength }
        var results: [BranchResult] = []
        var ended: Set<BranchDesign.Point> = []
        for (index, record) in try MetricsLog.read(ledger).enumerated() {
            guard let result = try? BranchResult(json: record.json), points.contains(result.point),
                result.hasDiverged || result.curve.map(\.tokens) == curveTokens,
                ended.insert(result.point).inserted
            else {
                throw .file(
                    .badData, ledger, "line \(index + 1) is not the result of one of the branches",
                    remedy: "remove that line to train the branch again")
            }
            results.append(result)
        }
        return results
    }

    /// Appends a result to the ledger.
    ///
    /// - Throws: `Failure` (I/O) if it cannot be written.
    func record(_ result: BranchResult) throws(Failure) {
        try MetricsLog.append(result.line, to: ledger)
    }

    /// Writes the analysis: a table of the branches, the findings and a report.
    ///
    /// - Throws: `Failure` (I/O) if a file cannot be written.
    func write(_ branches: Branches, vega: String) throws(Failure) {
        try AtomicFile.write(branches.table, to: "\(path)/branches.csv")
        try AtomicFile.write(branches.json.text + "\n", to: "\(path)/branches.json")
        try AtomicFile.write(branches.page.html(vega: vega), to: "\(path)/report.html")
    }
}
