import Support
import Telemetry
import Training

/// The log of a run as series for charts.
package struct RunLog: Sendable {
    /// The log's line for one step.
    package struct Step: Sendable {
        let step: Int
        let tokens: Double
        /// The seconds since the first step in the log, without the time between a kill and a
        /// resume.
        let seconds: Double
        let record: MetricsRecord
    }

    /// The last component of the run's path.
    package let name: String
    package private(set) var steps: [Step] = []
    /// The validation losses by step.
    package private(set) var evaluations: [(step: Int, loss: Double)] = []
    /// The diagnoses in the order in which they were made.
    package private(set) var diagnoses: [Diagnosis] = []

    /// Reads the log of a run.
    ///
    /// - Throws: `Failure` (missing input) if the folder holds no run; (bad data) if it has no
    ///   finished step; the failures of `MetricsLog.read`.
    package init(_ run: RunFolder) throws(Failure) {
        guard run.holdsRun else { throw .holdsNo("run", run.path, command: "train") }
        name = FileSystem.name(of: run.path)
        var seconds = 0.0
        for record in try MetricsLog.read(run.metrics) {
            guard let step = record.step else { continue }
            if let diagnosis = Diagnosis(record) {
                diagnoses.append(diagnosis)
            } else if let loss = record["validation_loss"] {
                evaluations.append((step, loss))
            } else if let tokens = record["tokens"] {
                seconds += record["step_seconds"] ?? 0
                steps.append(Step(step: step, tokens: tokens, seconds: seconds, record: record))
            }
        }
        guard !steps.isEmpty else {
            throw .file(
                .badData, run.path, "has no finished step yet",
                remedy: "wait for one, and try again")
        }
    }

    /// Returns the position of an evaluation on an axis, which is that of the step before it.
    func position(of step: Int, _ axis: (Step) -> Double) -> Double {
        // The steps of a log rise by one.
        let index = steps.firstIndex { $0.step >= step } ?? steps.count - 1
        return step == 0 ? 0 : axis(steps[index])
    }
}
