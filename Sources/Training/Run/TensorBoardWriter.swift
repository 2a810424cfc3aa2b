import Logging
import MPI
import Support
import Telemetry

/// The object that writes a run's event file for TensorBoard on rank 0. No failure ends the run.
final class TensorBoardWriter {
    private let file: EventFile
    private let logger = Logger(label: "lockstep")
    /// Whether the last event could not be written.
    private var eventsWait = false
    private var hasWarned = false

    /// Creates the writer of a run's next event file.
    ///
    /// - Parameter firstStep: the first step of a resumed run; nil for a new run.
    init(_ run: RunFolder, resumingAt firstStep: Int?) {
        file = EventFile(
            in: run.tensorBoard, host: Communicator.hostName, resumingAt: firstStep)
        attempt { (file) throws(Failure) in try file.writeWaitingRecords() }
    }

    /// Records values of a step.
    func append(_ values: [SummaryValue], step: Int) {
        guard !values.isEmpty else { return }
        attempt { (file) throws(Failure) in try file.append(values, step: step) }
    }

    /// Brings the file to the disk.
    func synchronize() {
        attempt { (file) throws(Failure) in try file.synchronize() }
    }

    /// Writes to the file; warns of the first failure, and of the end of the failures.
    private func attempt(_ write: (EventFile) throws(Failure) -> Void) {
        do throws(Failure) {
            try RankActivity.during(.writingMetrics) { () throws(Failure) in try write(file) }
            if eventsWait {
                let lost =
                    file.lostEvents == 0
                    ? "none was lost" : "\(Format.count(file.lostEvents)) were lost"
                logger.notice("TensorBoard's events are written again, and \(lost)")
            }
            eventsWait = false
        } catch {
            eventsWait = true
            if !hasWarned {
                logger.warning(
                    """
                    TensorBoard's events wait in memory, and training continues: \(error.sentence)
                    """)
            }
            hasWarned = true
        }
    }
}
