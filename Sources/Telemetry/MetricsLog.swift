import Support

/// The log of a run's metrics: one JSON object on a line for each step, evaluation and
/// diagnosis.
///
/// Each line is one write(2), so it survives the process; a line that cannot be written is dropped
/// and counted, since no training should stop for it. One rank alone keeps the log.
package final class MetricsLog {
    private var file: AppendedFile
    /// Lines that could not be written.
    package private(set) var droppedLines = 0
    /// Lines that resuming moved away because the run takes their steps again.
    package let supersededLines: Int

    /// Starts the log of a new run.
    ///
    /// - Throws: `.inputOutput`, also where there is a log already.
    package init(creating path: String) throws(Failure) {
        file = try AppendedFile(opening: path, new: true)
        supersededLines = 0
    }

    /// Goes on with the log of a run that resumes after a step.
    ///
    /// Lines of later steps go to `metrics.superseded.jsonl` beside it, and so do lines that are
    /// not JSON; half a line at the end is dropped. A missing log is made.
    ///
    /// - Parameter reading: gets the records that stay, one after another.
    /// - Throws: `.inputOutput`; the log is then as it was.
    package init(
        resuming path: String, after step: Int,
        reading: (MetricsRecord) -> Void = { _ in }
    ) throws(Failure) {
        supersededLines = try Self.supersede(path, after: step, reading)
        file = try AppendedFile(opening: path)
    }

    /// Adds a line.
    ///
    /// - Returns: why it could not be written, the first time this happens in a run, for the caller
    ///   to say so; nil afterwards and where all is well. `droppedLines` counts on.
    package func append(_ line: JSONObject) -> Failure? {
        do throws(Failure) {
            try file.append(Array((line.text + "\n").utf8))
            return nil
        } catch {
            droppedLines += 1
            return droppedLines == 1 ? error : nil
        }
    }

    /// Brings all lines to the disk: to be called before a checkpoint is saved.
    ///
    /// - Throws: `.inputOutput`.
    package func synchronize() throws(Failure) { try file.synchronize() }

    /// Reads a log; half a line at its end is left out.
    ///
    /// - Throws: `.missingInput`; `.badData` naming the line that is not a JSON object;
    ///   `.inputOutput`.
    package static func read(_ path: String) throws(Failure) -> [MetricsRecord] {
        guard let content = try readBytesIfPresent(path) else {
            throw .file(
                .missingInput, path, "does not exist", remedy: "give the folder of a run")
        }
        var records: [MetricsRecord] = []
        for (index, line) in lines(of: content).enumerated() {
            guard let record = MetricsRecord(parsing: line) else {
                throw .file(
                    .badData, path, "line \(index + 1) is not a JSON object",
                    remedy: "remove that line")
            }
            records.append(record)
        }
        return records
    }

    /// Returns the last record of a log that satisfies a predicate; nil if there is none.
    ///
    /// - Throws: `.inputOutput`.
    package static func last(
        of path: String, where predicate: (MetricsRecord) -> Bool
    ) throws(Failure) -> MetricsRecord? {
        guard let content = try readBytesIfPresent(path) else { return nil }
        return lines(of: content).reversed().lazy.compactMap { MetricsRecord(parsing: $0) }
            .first(where: predicate)
    }

    /// The whole lines of a text; the last one need not end with a line break if it is an object.
    private static func lines(of content: [UInt8]) -> [ArraySlice<UInt8>] {
        let newline = UInt8(ascii: "\n")
        var lines = content.split(separator: newline, omittingEmptySubsequences: false)
        if let last = lines.last, last.isEmpty || MetricsRecord(parsing: last) == nil {
            lines.removeLast()
        }
        return lines
    }

    /// Moves lines of later steps away, and reads the others; returns how many it moved.
    private static func supersede(
        _ path: String, after step: Int, _ reading: (MetricsRecord) -> Void
    ) throws(Failure) -> Int {
        guard let content = try readBytesIfPresent(path) else { return 0 }
        let newline = [UInt8(ascii: "\n")]
        // Most logs do not change, so lines are copied only from the first change on.
        var kept: [UInt8]?
        var end = 0
        var superseded: [UInt8] = []
        var count = 0
        for line in lines(of: content) {
            if let record = MetricsRecord(parsing: line), record.step ?? step <= step {
                reading(record)
                end = line.endIndex + 1
                kept?.append(contentsOf: line + newline)
            } else {
                kept = kept ?? Array(content[..<end])
                superseded += line + newline
                count += 1
            }
        }
        // The last line may lack its newline, or a line that was cut short may follow.
        if end != content.count, kept == nil {
            kept = Array(content[..<min(end, content.count)]) + (end > content.count ? newline : [])
        }
        if !superseded.isEmpty { try keepSuperseded(superseded, of: path) }
        if let kept {
            try AtomicFile.write(to: path) { (file) throws(Failure) in try file.write(kept) }
        }
        return count
    }

    /// Brings superseded lines to the disk before the log loses them.
    private static func keepSuperseded(_ lines: [UInt8], of path: String) throws(Failure) {
        let suffix = ".jsonl"
        let stem = path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path
        let supersededPath = stem + ".superseded" + suffix
        // A resume that was killed between this step and the next has kept them already.
        if let there = try readBytesIfPresent(supersededPath),
            there.suffix(lines.count) == lines[...]
        {
            return
        }
        var file = try AppendedFile(opening: supersededPath)
        try file.append(lines)
        try file.synchronize()
        try FileSystem.synchronizeFolder(FileSystem.parent(of: supersededPath))
    }
}
