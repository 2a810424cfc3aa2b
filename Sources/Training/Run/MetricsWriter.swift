import Glibc
import Logging
import MPI
import Recipes
import Support
import Telemetry

/// The object that writes metrics.jsonl and shows the progress line on rank 0. On the other ranks
/// it does nothing.
final class MetricsWriter {
    private let run: RunFolder
    private let plan: TrainingPlan
    private let isWriter: Bool
    private let mode: ProgressMode
    private let environment: [String: String]
    private var log: MetricsLog?
    private var progress: ProgressLine?
    private var validationLoss: Double?
    private var noise = NoiseScaleWindow()
    private var diagnostician: Diagnostician
    private let warnsOfWrongRates: Bool
    private var rate = RateEstimator(done: 0, at: 0)
    private let start = ContinuousClock.now
    private let logger = Logger(label: "lockstep")

    /// - Parameter warnsOfWrongRates: whether skipped steps and diagnoses are also logged as
    ///   warnings; metrics.jsonl always has them.
    init(
        run: RunFolder, plan: TrainingPlan, isWriter: Bool, progress: ProgressMode,
        warnsOfWrongRates: Bool
    ) {
        self.run = run
        self.plan = plan
        self.isWriter = isWriter
        mode = progress
        self.warnsOfWrongRates = warnsOfWrongRates
        environment = processEnvironment()
        diagnostician = Diagnostician(startingLoss: Self.startingLoss(plan))
    }

    /// Starts a new run's log.
    func create() throws(Failure) {
        if isWriter { log = try MetricsLog(creating: run.metrics) }
    }

    /// Continues the log of a run that resumes after a step; returns the best evaluation up to it.
    ///
    /// - Parameter saved: the steps with a checkpoint; other evaluations are not considered.
    func resume(after step: Int, saved: Set<Int>) throws(Failure) -> BestEvaluation? {
        guard isWriter else { return nil }
        var best: BestEvaluation?
        noise = NoiseScaleWindow()
        diagnostician = Diagnostician(startingLoss: Self.startingLoss(plan))
        let log = try MetricsLog(resuming: run.metrics, after: step) { record in
            noise.recall(record)
            diagnostician.recall(record)
            if let evaluation = BestEvaluation(record), saved.contains(evaluation.step) {
                best = evaluation.better(than: best)
            }
        }
        if log.supersededLines > 0 {
            logger.notice(
                "moved \(log.supersededLines) lines of later steps to metrics.superseded.jsonl")
        }
        self.log = log
        return best
    }

    /// The size in bytes of the log that a resume reads.
    var bytesToRead: Int {
        var status = stat()
        return isWriter && stat(run.metrics, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Starts the progress line.
    func begin(at step: Int) {
        guard isWriter else { return }
        rate = RateEstimator(done: Double(step * plan.tokensPerStep), at: seconds)
        progress = ProgressLine(
            "training", done: step, total: plan.recipe.training.steps,
            unit: .things("steps", showsRate: false), mode: mode, environment: environment)
    }

    func end() { progress?.finish() }

    /// Returns a progress line for an evaluation of this rank's micro-batches.
    func evaluationProgress(chunks: Int) -> ProgressLine? {
        guard isWriter else { return nil }
        return ProgressLine(
            "evaluating", total: chunks, unit: .things("micro-batches", showsRate: false),
            mode: mode, environment: environment)
    }

    func record(_ step: StepRecord) {
        guard isWriter else { return }
        if step.isSkipped, warnsOfWrongRates {
            logger.warning(
                """
                step \(step.step) skipped: its loss is \(Self.text(step.loss)) and its gradient norm is \
                \(Self.text(step.gradientNorm))
                """)
        }
        if let sample = step.noise {
            noise.add(variance: sample.variance, signal: sample.signal)
        }
        let scale = noise.estimate
        append(MetricsFields.line(step, scale))
        record(
            diagnostician.add(
                ObservedStep(
                    step: step.step, loss: step.loss, learningRate: step.learningRate,
                    gradientNorm: step.gradientNorm, isSkipped: step.isSkipped)))
        // The rate is smoothed, because it varies from step to step.
        rate.record(done: Double(step.tokens), at: seconds)
        progress?.update(
            done: step.step,
            details: ProgressStatus.trainingDetails(
                loss: step.loss, learningRate: step.learningRate,
                tokensPerSecond: rate.rate ?? Double(step.tokensInStep) / step.times.total)
                + Self.details(scale)
                + (validationLoss.map { ["validation \(Format.fixed($0, decimals: 4))"] } ?? []))
    }

    func record(_ evaluation: Evaluation, step: Int) {
        validationLoss = evaluation.loss
        guard isWriter else { return }
        append(MetricsFields.line(evaluation, step: step))
        record(
            diagnostician.add(ObservedEvaluation(step: step, validationLoss: evaluation.loss)))
    }

    /// Warns that a state was not saved.
    func warnOfMissingCheckpoint(step: Int, _ defect: StateDefect) {
        guard isWriter, warnsOfWrongRates else { return }
        logger.warning(
            """
            no checkpoint at step \(step) because \(defect.reason); none is written until that \
            changes, and earlier ones are kept
            """)
    }

    /// Appends diagnoses to metrics.jsonl, and warns of them.
    private func record(_ diagnoses: [Diagnosis]) {
        for diagnosis in diagnoses {
            append(MetricsFields.line(diagnosis))
            if warnsOfWrongRates { logger.warning("\(diagnosis.sentence)") }
        }
    }

    /// Writes the log to the disk, so that it is never behind a checkpoint.
    func synchronize() {
        do throws(Failure) {
            try RankActivity.during(.writingMetrics) { () throws(Failure) in
                try log?.synchronize()
            }
        } catch {
            logger.warning("metrics may be lost if the machine fails: \(error.sentence)")
        }
    }

    /// Returns the loss of a model that predicts all tokens with equal probability.
    private static func startingLoss(_ plan: TrainingPlan) -> Double {
        naturalLogarithm(Double(plan.recipe.model.vocabularySize))
    }

    private static func details(_ scale: NoiseScale?) -> [String] {
        switch scale {
        case nil: []
        case .undetermined: ["noise scale undetermined"]
        case .determined(let sequences, _):
            ["noise scale \(Format.significant(sequences, digits: 2))"]
        }
    }

    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// Returns a number as text; the sign of a NaN is left out, because it has no meaning.
    private static func text(_ number: Double) -> String {
        number.isNaN ? "not a number" : Format.significant(number, digits: 6)
    }

    private func append(_ line: JSONObject) {
        if let failure = log?.append(line) {
            logger.warning("metrics are being lost: \(failure.sentence)")
        }
    }
}

// Calls Glibc's `log`, whose name a property of `MetricsWriter` shadows.
private func naturalLogarithm(_ number: Double) -> Double { log(number) }
