import Logging
import MPI
import Support
import Telemetry

/// The trace of a job: the events of every rank, with times on rank 0's clock, in one file that is
/// written at the end.
package final class Trace {
    package let recorder = TraceRecorder()
    /// The kinds of spans about the parts of the model's blocks; nil before there is a model.
    var blockKinds: BlockTraceKinds?
    private let path: String
    private let communicator: Communicator
    private let firstOffsets: [ClockOffset]
    private let start: Int64
    private var hasWarned = false
    private let logger = Logger(label: "lockstep")

    /// Begins a trace. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` on all ranks: (usage) if the path names no file; (I/O) if the file
    ///   exists or cannot be created.
    package init(path: String, communicator: Communicator) throws(Failure) {
        self.path = path
        self.communicator = communicator
        try communicator.agree { () throws(Failure) in
            if communicator.rank == 0 { try Self.requireFree(path) }
        }
        firstOffsets = try ClockOffset.measureAll(communicator)
        start = MonotonicClock.nanoseconds
    }

    /// Logs once that the trace is full.
    func warnIfFull(step: Int) {
        guard recorder.isFull, !hasWarned else { return }
        hasWarned = true
        guard communicator.rank == 0 else { return }
        logger.notice(
            """
            the trace is full with \(Format.count(recorder.spans.count)) events a rank and ends \
            about step \(step); training continues
            """)
    }

    /// Writes the events of all ranks into a file on rank 0. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (I/O) on all ranks if the file cannot be written; no file is left then.
    package func write() throws(Failure) {
        let lastOffsets = try ClockOffset.measureAll(communicator)
        let hosts = try communicator.gatherText(Communicator.hostName)
        try endTogether()
        recorder.sort()
        guard communicator.rank == 0 else {
            try sendSpans()
            return try communicator.agree { () throws(Failure) in }
        }
        // Every rank's spans must be received, even if the file cannot be written.
        var problem: Failure?
        var received = 0
        do throws(Failure) {
            try Self.requireFree(path)
            try FileSystem.makeFolders(FileSystem.parent(of: path))
            try AtomicFile.write(to: path) { (file) throws(Failure) in
                var problem: Failure?
                attempt(&problem) { () throws(Failure) in try file.write(ChromeTrace.opening) }
                for rank in 0..<communicator.size {
                    let mapping = ClockMapping(from: firstOffsets[rank], to: lastOffsets[rank])
                    attempt(&problem) { () throws(Failure) in
                        if rank > 0 { try file.write(ChromeTrace.separator) }
                        try file.write(head(rank, host: hosts[rank], mapping))
                    }
                    try forEachPiece(of: rank) { spans in
                        attempt(&problem) { () throws(Failure) in
                            try file.write(text(spans, rank: rank, mapping))
                        }
                    }
                    received = rank + 1
                }
                if let problem { throw problem }
                try file.write(ChromeTrace.closing)
            }
        } catch {
            problem = error
            for rank in max(1, received)..<max(1, communicator.size) {
                try forEachPiece(of: rank) { _ in }
            }
        }
        try communicator.agree { () throws(Failure) in if let problem { throw problem } }
    }

    /// If a rank's memory for spans was full, ends the spans of all ranks with the last step that
    /// all of them have.
    private func endTogether() throws(Failure) {
        let isStep = { (span: TraceRecorder.Span) in span.kind == TraceKind.step.rawValue }
        let last =
            recorder.isFull ? recorder.spans.last(where: isStep).map { Int64($0.index) } : .max
        let common = try communicator.allReduce(last ?? 0, .minimum)
        guard common < .max else { return }
        let end = recorder.spans.last { isStep($0) && $0.index <= common }?.end
        recorder.drop(from: end ?? .min)
    }

    // MARK: - The file

    /// Returns the lines that name a rank.
    private func head(_ rank: Int, host: String, _ mapping: ClockMapping) -> String {
        let clock =
            "clock \(microseconds(mapping.offset)) us from rank 0's, known to "
            + "\(microseconds(mapping.uncertainty)) us"
        return ChromeTrace.process(rank, name: "rank \(rank) on \(host)", labels: clock)
            .map(\.text).joined(separator: ChromeTrace.separator)
    }

    /// Returns the lines of some spans, each preceded by a separator.
    private func text(
        _ spans: ArraySlice<TraceRecorder.Span>, rank: Int, _ mapping: ClockMapping
    ) -> String {
        var text = ""
        for span in spans {
            let known = TraceKind(rawValue: span.kind)?.labels
            guard let labels = known ?? blockKinds?.labels(of: span.kind) else { continue }
            let from = mapping(span.start)
            let event = ChromeTrace.event(
                labels.name, category: labels.category, process: rank, start: from - start,
                duration: mapping(span.end) - from,
                detail: labels.index.map { (key: $0, value: Int(span.index)) })
            text += ChromeTrace.separator
            text += event.text
        }
        return text
    }

    /// Runs `body` unless `problem` is already set; sets it if `body` throws.
    private func attempt(_ problem: inout Failure?, _ body: () throws(Failure) -> Void) {
        guard problem == nil else { return }
        do throws(Failure) { try body() } catch { problem = error }
    }

    private func microseconds(_ nanoseconds: Int64) -> String {
        Format.fixed(Double(nanoseconds) / 1000, decimals: 1)
    }

    // MARK: - Messages

    /// The maximum number of spans in one message and one write, which limits the memory needed.
    private static let pieceCount = 1024

    private func sendSpans() throws(Failure) {
        let spans = recorder.spans
        try communicator.send([Int64(spans.count)], to: 0)
        for start in stride(from: 0, to: spans.count, by: Self.pieceCount) {
            let piece = spans[start..<min(spans.count, start + Self.pieceCount)]
            try communicator.send(Array(piece), to: 0)
        }
    }

    /// On rank 0, passes a rank's spans to `body` piece by piece as they arrive.
    private func forEachPiece(
        of rank: Int, _ body: (ArraySlice<TraceRecorder.Span>) -> Void
    ) throws(Failure) {
        let own = recorder.spans
        let count =
            rank == 0
            ? own.count : Int(try communicator.receive(1, of: Int64(0), from: rank)[0])
        let blank = TraceRecorder.Span(start: 0, end: 0, kind: -1, index: 0)
        for start in stride(from: 0, to: count, by: Self.pieceCount) {
            let end = min(count, start + Self.pieceCount)
            body(
                rank == 0
                    ? own[start..<end]
                    : try communicator.receive(end - start, of: blank, from: rank)[...])
        }
    }

    // MARK: - The path

    /// Checks that the file can be created later.
    ///
    /// - Throws: `Failure` (usage) if the path names no file; (I/O) if the file exists or cannot be
    ///   created.
    private static func requireFree(_ path: String) throws(Failure) {
        guard !path.isEmpty, !path.hasSuffix("/") else {
            throw Failure.option(
                "--trace", "\"\(path)\"", "names no file",
                remedy: "give it a name, such as trace.json")
        }
        for taken in [path, path + AtomicFolder.partialSuffix] where FileSystem.exists(taken) {
            throw .taken(
                taken, code: .inputOutput, remedy: "remove it, or give --trace another name")
        }
        try FileSystem.requireWritable(path)
    }
}
