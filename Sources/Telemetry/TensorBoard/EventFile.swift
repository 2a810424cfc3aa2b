import Glibc
import Support

/// A TensorBoard event file, which is created with its first event.
///
/// Each event is written by one write(2). Events that cannot be written wait in memory for the next
/// attempt, up to a limit.
package final class EventFile {
    private let folder: String
    private let host: String
    private let firstStep: Int?
    private var file: AppendedFile?
    /// The records that could not be written yet.
    private var waiting: [UInt8] = []
    /// The number of events that were lost because too many waited.
    package private(set) var lostEvents = 0

    /// The maximum number of bytes that wait.
    private static let waitingLimit = 16 << 20

    /// Creates a file that does not exist yet.
    ///
    /// - Parameters:
    ///   - folder: the folder for the file, which is created if it does not exist.
    ///   - host: the name of this host.
    ///   - firstStep: the first step of a resumed run, from which TensorBoard discards the events of
    ///     earlier files; nil for a new run.
    package init(in folder: String, host: String, resumingAt firstStep: Int?) {
        self.folder = folder
        self.host = host
        self.firstStep = firstStep
    }

    /// Appends an event with some values, after those that wait.
    ///
    /// - Throws: `.inputOutput`; the event then waits, too, or is lost.
    package func append(_ values: [SummaryValue], step: Int) throws(Failure) {
        let record = Self.record(step: step, .values(values))
        if waiting.count + record.count > Self.waitingLimit, !waiting.isEmpty {
            lostEvents += 1
        } else {
            waiting += record
        }
        try writeWaitingRecords()
    }

    /// Creates the file if it does not exist, and writes the events that wait.
    ///
    /// - Throws: `.inputOutput`; the events then continue to wait.
    package func writeWaitingRecords() throws(Failure) {
        if file == nil { file = try create() }
        guard !waiting.isEmpty else { return }
        try file?.append(waiting)
        waiting.removeAll(keepingCapacity: waiting.count < Self.usualBytes)
    }

    /// Waits until all events are on the disk.
    ///
    /// - Throws: `.inputOutput`.
    package func synchronize() throws(Failure) {
        try writeWaitingRecords()
        try file?.synchronize()
    }

    /// The size in bytes below which the memory of written events is kept for the next ones.
    private static let usualBytes = 1 << 12

    private func create() throws(Failure) -> AppendedFile {
        try FileSystem.makeFolders(folder)
        let path = "\(folder)/\(try newName())"
        var file = try AppendedFile(opening: path, new: true)
        var opening = Self.record(step: 0, .version)
        if let firstStep { opening += Self.record(step: firstStep, .start) }
        do throws(Failure) { try file.append(opening) } catch {
            FileSystem.removeIfPossible(path)
            throw error
        }
        try FileSystem.synchronizeFolder(folder)
        return file
    }

    /// Returns a name that follows those of the folder's event files in the order of bytes, in which
    /// TensorBoard reads them, even if the clock was set back.
    private func newName() throws(Failure) -> String {
        let newest = try FileSystem.names(in: folder).compactMap(Self.seconds(inName:)).max() ?? 0
        let seconds = max(Int(WallClock.seconds), newest + 1)
        // TensorBoard expects ten digits, which last until the year 2286.
        let digits = String(seconds)
        let padded = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
        let place = host.replacing("/", with: "_")
        return "\(Self.prefix)\(padded).\(place).\(getpid()).0"
    }

    private static let prefix = "events.out.tfevents."

    /// Returns the seconds in the name of an event file; nil if the name is another file's.
    private static func seconds(inName name: String) -> Int? {
        guard name.hasPrefix(prefix) else { return nil }
        let digits = name.dropFirst(prefix.count).prefix { $0 != "." }
        return digits.count <= 10 ? Int(digits) : nil
    }

    private static func record(step: Int, _ content: TensorBoardEvent.Content) -> [UInt8] {
        TensorBoardEvent(time: WallClock.seconds, step: step, content: content).record
    }
}
