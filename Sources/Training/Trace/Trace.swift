import Checkpointing
import Failures
import Logging
import MPI
import Telemetry

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// The trace of a job: what every rank did, on rank 0's clock, in one file that appears at the end.
package final class Trace {
    package let recorder = TraceRecorder()
    private let path: String
    private let communicator: Communicator
    private let firstOffsets: [ClockOffset]
    private let start: Int64
    private var hasTold = false
    private let logger = Logger(label: "lockstep")

    /// Begins a trace; all ranks must come here.
    ///
    /// - Throws: `Failure` (I/O) on all ranks if the file exists or could not be made.
    package init(path: String, communicator: Communicator) throws(Failure) {
        self.path = path
        self.communicator = communicator
        try communicator.agree { () throws(Failure) in
            if communicator.rank == 0 { try Self.requireFree(path) }
        }
        firstOffsets = try ClockOffset.measureAll(communicator)
        start = MonotonicClock.nanoseconds
    }

    /// Says once that the trace goes no further.
    func tellIfFull(step: Int) {
        guard recorder.isFull, !hasTold else { return }
        hasTold = true
        guard communicator.rank == 0 else { return }
        logger.notice(
            """
            the trace is full with \(Format.count(recorder.spans.count)) events a rank and ends \
            before step \(step); training goes on
            """)
    }

    /// Writes the file on rank 0, with what all ranks noted; all ranks must come here.
    ///
    /// - Throws: `Failure` (I/O) on all ranks if it cannot be written; there is then no file.
    package func write() throws(Failure) {
        let lastOffsets = try ClockOffset.measureAll(communicator)
        let hosts = try communicator.allGatherBytes(Array(Communicator.hostName.utf8))
            .map { String(decoding: $0, as: UTF8.self) }
        let sorted = Self.sorted(recorder.spans)
        guard communicator.rank == 0 else {
            try sendSpans(sorted)
            return try communicator.agree { () throws(Failure) in }
        }
        // Every rank's spans must be received, whatever becomes of the file.
        var problem: Failure?
        var received = 0
        do throws(Failure) {
            try Self.requireFree(path)
            try FileSystem.makeFolders(Self.folder(of: path))
            try AtomicFile.write(to: path) { (file) throws(Failure) in
                try file.write(ChromeTrace.opening)
                for rank in 0..<communicator.size {
                    let spans = rank == 0 ? sorted : try receiveSpans(from: rank)
                    received = rank + 1
                    let mapping = ClockMapping(from: firstOffsets[rank], to: lastOffsets[rank])
                    if rank > 0 { try file.write(ChromeTrace.separator) }
                    try write(spans, rank: rank, host: hosts[rank], mapping, to: &file)
                }
                try file.write(ChromeTrace.closing)
            }
        } catch {
            problem = error
            for rank in max(1, received)..<max(1, communicator.size) {
                _ = try receiveSpans(from: rank)
            }
        }
        try communicator.agree { () throws(Failure) in if let problem { throw problem } }
    }

    /// In the order in which a viewer nests them: by start, the longer before the shorter.
    private static func sorted(_ spans: [TraceRecorder.Span]) -> [TraceRecorder.Span] {
        spans.sorted { ($0.start, $1.end) < ($1.start, $0.end) }
    }

    // MARK: - The file

    private func write(
        _ spans: [TraceRecorder.Span], rank: Int, host: String, _ mapping: ClockMapping,
        to file: inout OutputFile
    ) throws(Failure) {
        var text = ""
        let clock =
            "clock \(microseconds(mapping.offset)) us from rank 0's, known to "
            + "\(microseconds(mapping.uncertainty)) us"
        let heads = ChromeTrace.process(rank, name: "rank \(rank) on \(host)", labels: clock)
        text += heads.map(\.text).joined(separator: ChromeTrace.separator)
        for span in spans {
            guard let kind = TraceKind(rawValue: span.kind) else { continue }
            let from = mapping(span.start)
            let event = ChromeTrace.event(
                kind.name, category: kind.category, process: rank, start: from - start,
                duration: mapping(span.end) - from,
                detail: kind.indexName.map { (key: $0, value: Int(span.index)) })
            text += ChromeTrace.separator
            text += event.text
            if text.utf8.count > 1 << 20 {
                try file.write(text)
                text = ""
            }
        }
        try file.write(text)
    }

    private func microseconds(_ nanoseconds: Int64) -> String {
        Format.fixed(Double(nanoseconds) / 1000, decimals: 1)
    }

    // MARK: - Messages

    private func sendSpans(_ spans: [TraceRecorder.Span]) throws(Failure) {
        try send([Int64(spans.count)])
        try send(spans)
    }

    private func send<Element: BitwiseCopyable>(_ values: [Element]) throws(Failure) {
        let failure: Failure? = values.withUnsafeBytes { bytes in
            do throws(Failure) {
                try communicator.send(bytes, to: 0)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func receiveSpans(from rank: Int) throws(Failure) -> [TraceRecorder.Span] {
        let count = try receive(1, of: Int64(0), from: rank)[0]
        let blank = TraceRecorder.Span(start: 0, end: 0, kind: -1, index: 0)
        return try receive(Int(count), of: blank, from: rank)
    }

    private func receive<Element: BitwiseCopyable>(
        _ count: Int, of blank: Element, from rank: Int
    ) throws(Failure) -> [Element] {
        var values = [Element](repeating: blank, count: count)
        let failure: Failure? = values.withUnsafeMutableBytes { bytes in
            do throws(Failure) {
                try communicator.receive(into: bytes, from: rank)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
        return values
    }

    // MARK: - The path

    /// Checks that the file can be made later.
    ///
    /// - Throws: `Failure` (usage; I/O) that says why not.
    private static func requireFree(_ path: String) throws(Failure) {
        guard !path.isEmpty, !path.hasSuffix("/") else {
            throw Failure(
                .usage, "--trace \"\(path)\" names no file: give it a name, such as trace.json.")
        }
        for taken in [path, path + AtomicFolder.partialSuffix] where access(taken, F_OK) == 0 {
            throw Failure(
                .inputOutput,
                "\(taken) exists and is never overwritten: remove it, or give --trace another name."
            )
        }
        // Folders that are not there yet, such as a new run's, are made when the file is.
        var folder = Self.folder(of: path)
        while access(folder, F_OK) != 0, errno == ENOENT, folder.contains("/"), folder != "/" {
            folder = Self.folder(of: folder)
        }
        if access(folder, F_OK) != 0, errno == ENOENT { folder = "." }
        var status = stat()
        let isFolder = stat(folder, &status) != 0 || status.st_mode & S_IFMT == S_IFDIR
        guard isFolder, access(folder, W_OK | X_OK) == 0 else {
            throw Failure(
                .inputOutput,
                "\(path) cannot be made, since \(folder) "
                    + (isFolder
                        ? "cannot be written (\(String(cString: strerror(errno))))"
                        : "is no folder") + ": give --trace another name.")
        }
    }

    /// The folder in which a path lies.
    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
