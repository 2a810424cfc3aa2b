import Support
import Telemetry
import Training

/// What a run's log holds, as series for charts.
package struct RunLog: Sendable {
    /// One step's line.
    package struct Step: Sendable {
        let step: Int
        let tokens: Double
        /// Since the first step that the log holds, without the time between a kill and a resume.
        let seconds: Double
        let record: MetricsRecord
    }

    /// The last part of the run's path.
    package let name: String
    package let steps: [Step]
    /// Validation losses by step.
    package let evaluations: [(step: Int, loss: Double)]
    /// In the order in which they were made.
    package let diagnoses: [Diagnosis]

    /// - Throws: as `RunFolder.read` and `MetricsLog.read` do; a `.badData` failure where there is
    ///   no step yet.
    package init(_ run: RunFolder) throws(Failure) {
        guard run.holdsRun else {
            throw Failure(
                .missingInput,
                "\(run.path) holds no run: give the folder that `lockstep train` was given as --out."
            )
        }
        name = run.path.split(separator: "/").last.map(String.init) ?? run.path
        var steps: [Step] = []
        var evaluations: [(step: Int, loss: Double)] = []
        var diagnoses: [Diagnosis] = []
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
            throw Failure(
                .badData, "\(run.path) has no finished step yet: wait for one, and try again.")
        }
        self.steps = steps
        self.evaluations = evaluations
        self.diagnoses = diagnoses
    }

    /// Where an evaluation lies on an axis: at the step before it.
    func position(of step: Int, _ axis: (Step) -> Double) -> Double {
        // The steps of a log rise by one from the first on.
        let index = steps.firstIndex { $0.step >= step } ?? steps.count - 1
        return step == 0 ? 0 : axis(steps[index])
    }
}
