import Support

/// The metrics log of a run: one line with a JSON object for each step, evaluation and diagnosis.
///
/// Each line is written by one write(2), so it survives if the process is killed. Lines that cannot
/// be written wait in memory for the next attempt, because training must not stop for them. Only
/// one rank keeps the log.
package final class MetricsLog {
    private var file: AppendedFile
    /// The lines that could not be written yet.
    private var waiting: [UInt8] = []
    /// The number of lines that resuming moved away, because the run repeats their steps.
    package let supersededLines: Int

    /// Creates the log of a new run.
    ///
    /// - Throws: `.inputOutput` if a log exists or the file cannot be created.
    package init(creating path: String) throws(Failure) {
        file = try AppendedFile(opening: path, new: true)
        supersededLines = 0
    }

    /// Opens the log of a run that resumes after a step.
    ///
    /// Lines of later steps, and lines that are not JSON, move to `metrics.superseded.jsonl` in the
    /// same folder. An incomplete last line is dropped. A missing log is created.
    ///
    /// - Parameter reading: called with each record that stays, in order.
    /// - Throws: `.inputOutput`; the log is then unchanged.
    package init(
        resuming path: String, after step: Int,
        reading: (MetricsRecord) -> Void = { _ in }
    ) throws(Failure) {
        supersededLines = try Self.supersede(path, after: step, reading)
        file = try AppendedFile(opening: path)
    }

    /// Removes the lines of later steps, and lines that are not JSON, from the copy of a log.
    ///
    /// - Throws: `.inputOutput`; the log is then unchanged.
    package static func removeLines(of path: String, after step: Int) throws(Failure) {
        var kept: [UInt8] = []
        for line in lines(of: try readBytes(path)) {
            guard let record = MetricsRecord(parsing: line), record.step ?? step <= step else {
                continue
            }
            kept += line + [UInt8(ascii: "\n")]
        }
        try AtomicFile.write(to: path) { [kept] (file) throws(Failure) in try file.write(kept) }
    }

    /// Appends a line, after those that wait.
    ///
    /// - Throws: `.inputOutput`; the line then waits, too.
    package func append(_ line: JSONObject) throws(Failure) {
        waiting += line.text.utf8
        waiting.append(UInt8(ascii: "\n"))
        try writeWaitingLines()
    }

    private func writeWaitingLines() throws(Failure) {
        guard !waiting.isEmpty else { return }
        try file.append(waiting)
        waiting.removeAll(keepingCapacity: waiting.count < Self.usualBytes)
    }

    /// More bytes than the lines of one step have.
    private static let usualBytes = 1 << 12

    /// Waits until all lines are on the disk. Call this before a checkpoint is saved.
    ///
    /// - Returns: the failure because of which lines still wait; nil if none does.
    /// - Throws: `.inputOutput` if the disk may have lost lines that were written.
    package func synchronize() throws(Failure) -> Failure? {
        do throws(Failure) { try writeWaitingLines() } catch { return error }
        try file.synchronize()
        return nil
    }

    /// Reads a log, without an incomplete last line.
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

    /// Returns the complete lines of a log. The last one may lack its line break if it is an
    /// object.
    private static func lines(of content: [UInt8]) -> [ArraySlice<UInt8>] {
        let newline = UInt8(ascii: "\n")
        var lines = content.split(separator: newline, omittingEmptySubsequences: false)
        if let last = lines.last, last.isEmpty || MetricsRecord(parsing: last) == nil {
            lines.removeLast()
        }
        return lines
    }

    /// Moves the lines of later steps to another file and reads the others; returns the number of
    /// moved lines.
    private static func supersede(
        _ path: String, after step: Int, _ reading: (MetricsRecord) -> Void
    ) throws(Failure) -> Int {
        guard let content = try readBytesIfPresent(path) else { return 0 }
        let newline = [UInt8(ascii: "\n")]
        // Most logs do not change, so lines are copied only after the first change.
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
        // The last line may lack its line break, or an incomplete line may follow it.
        if end != content.count, kept == nil {
            kept = Array(content[..<min(end, content.count)]) + (end > content.count ? newline : [])
        }
        if !superseded.isEmpty { try keepSuperseded(superseded, of: path) }
        if let kept {
            try AtomicFile.write(to: path) { (file) throws(Failure) in try file.write(kept) }
        }
        return count
    }

    /// Writes superseded lines to the disk before they are removed from the log.
    private static func keepSuperseded(_ lines: [UInt8], of path: String) throws(Failure) {
        let suffix = ".jsonl"
        let stem = path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path
        let supersededPath = stem + ".superseded" + suffix
        // An earlier resume may have written them and been killed before it changed the log.
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

extension MetricsLog {
    /// Appends a line to a file, which is created if it does not exist, and waits until it is on
    /// the disk.
    ///
    /// - Throws: `Failure` (I/O) if the file cannot be written.
    package static func append(_ line: JSONObject, to path: String) throws(Failure) {
        let log =
            FileSystem.exists(path)
            ? try MetricsLog(resuming: path, after: .max) : try MetricsLog(creating: path)
        try log.append(line)
        if let failure = try log.synchronize() { throw failure }
    }
}

/// A line of a metrics log.
package struct MetricsRecord: Sendable, Equatable {
    /// The fields of the line.
    package let fields: JSONObject

    /// The number in a field; nil if the field is missing or was not finite.
    package subscript(name: String) -> Double? { fields[name]?.number }

    /// The step that the line belongs to; nil if it belongs to none.
    package var step: Int? { self["step"].flatMap(Int.init(exactly:)) }

    package init(fields: JSONObject) { self.fields = fields }

    /// The line as a value, from which types can be read.
    package var json: JSONValue { .object(fields) }

    /// Parses one line; returns nil if it is not a JSON object.
    init?(parsing line: some Sequence<UInt8>) {
        guard let fields = try? JSONObject(parsing: line) else { return nil }
        self.fields = fields
    }
}
