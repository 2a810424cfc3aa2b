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
    private let job: Job
    private var log: MetricsLog?
    private var tensorBoard: TensorBoardWriter?
    /// Whether the last line could not be written.
    private var linesWait = false
    private var progress: ProgressLine?
    private var validationLoss: Double?
    private var noise = NoiseScaleWindow()
    private var diagnostician: Diagnostician
    private let warnsOfWrongRates: Bool
    private var rate = RateEstimator(done: 0, at: 0)
    private let start = ContinuousClock.now
    private let logger = Logger(label: "lockstep")

    /// Creates a writer of a run's metrics.jsonl.
    ///
    /// - Parameters:
    ///   - warnsOfWrongRates: whether skipped steps and diagnoses are also logged as warnings;
    ///     metrics.jsonl always has them.
    init(run: RunFolder, plan: TrainingPlan, job: Job, warnsOfWrongRates: Bool) {
        self.run = run
        self.plan = plan
        self.job = job
        self.warnsOfWrongRates = warnsOfWrongRates
        // The loss of a model that predicts all tokens with equal probability.
        let startingLoss = Glibc.log(Double(plan.recipe.model.vocabularySize))
        diagnostician = Diagnostician(startingLoss: startingLoss)
    }

    func create() throws(Failure) {
        guard job.isFirstRank else { return }
        log = try MetricsLog(creating: run.metrics)
        openEventFile(resumingAt: nil)
    }

    private func openEventFile(resumingAt step: Int?) {
        guard plan.recipe.telemetry.tensorboard else { return }
        tensorBoard = TensorBoardWriter(run, resumingAt: step)
    }

    /// Continues the log of a run that resumes after a step; returns the best evaluation up to it,
    /// and counts all evaluations for `patience`.
    ///
    /// - Parameter saved: the steps with a checkpoint; other evaluations cannot be the best.
    func resume(
        after step: Int, saved: Set<Int>, patience: inout Patience
    ) throws(Failure) -> BestEvaluation? {
        guard job.isFirstRank else { return nil }
        var best: BestEvaluation?
        var counted = patience
        let log = try MetricsLog(resuming: run.metrics, after: step) { record in
            noise.recall(record)
            // The user has already been warned of these diagnoses.
            diagnostician.add(record)
            counted.add(record)
            if let evaluation = BestEvaluation(record), saved.contains(evaluation.step) {
                best = evaluation.better(than: best)
            }
        }
        if log.supersededLines > 0 {
            logger.notice(
                """
                moved \(Format.counted(log.supersededLines, "line")) about steps after the checkpoint \
                from metrics.jsonl to metrics.superseded.jsonl
                """)
        }
        self.log = log
        patience = counted
        openEventFile(resumingAt: step + 1)
        return best
    }

    /// The size in bytes of the log that a resume reads.
    var bytesToRead: Int {
        job.isFirstRank ? FileSystem.fileSize(run.metrics) ?? 0 : 0
    }

    func begin(at step: Int) {
        guard job.isFirstRank else { return }
        rate = RateEstimator(done: Double(plan.tokens(after: step)), at: seconds)
        progress = job.progressLine(
            "training", done: step, total: plan.recipe.training.steps,
            unit: .things("steps", showsRate: false))
    }

    func end() { progress?.finish() }

    /// Records a step.
    ///
    /// - Parameter hosts: the names of the ranks' hosts; needed if the step has stragglers.
    func record(_ step: StepRecord, hosts: [String]) {
        guard job.isFirstRank else { return }
        if step.isSkipped, warnsOfWrongRates {
            logger.warning(
                """
                step \(step.step) skipped: its loss is \(Self.text(step.loss)) and its gradient norm is \
                \(Self.text(step.gradientNorm))
                """)
        }
        if let sample = step.noise { noise.add(variance: sample.variance, signal: sample.signal) }
        let scale = noise.estimate
        appendWithDiagnoses(MetricsFields.line(step, scale), step: step.step)
        if let warning = Straggler.warning(step.stragglers, hosts: hosts) {
            logger.warning("\(warning)")
        }
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
        guard job.isFirstRank else { return }
        appendWithDiagnoses(MetricsFields.line(evaluation, step: step), step: step)
    }

    func warnOfMissingCheckpoint(step: Int, _ defect: StateDefect) {
        guard job.isFirstRank, warnsOfWrongRates else { return }
        logger.warning(
            """
            no checkpoint at step \(step) because \(defect.reason); none is written until that \
            changes, and earlier ones are kept
            """)
    }

    /// Records values that only TensorBoard shows.
    func record(_ values: [SummaryValue], step: Int) { tensorBoard?.append(values, step: step) }

    /// Appends a line and the new diagnoses that it leads to, and warns of them.
    private func appendWithDiagnoses(_ line: JSONObject, step: Int) {
        append(line)
        record(MetricsFields.scalars(line), step: step)
        for diagnosis in diagnostician.add(MetricsRecord(fields: line)) {
            append(MetricsFields.line(diagnosis))
            record(
                [SummaryValue("diagnosis/text_summary", .text(diagnosis.sentence))],
                step: diagnosis.step)
            if warnsOfWrongRates { logger.warning("\(diagnosis.sentence)") }
        }
    }

    /// Writes the log to the disk, so that it is never behind a checkpoint.
    ///
    /// - Returns: the failure because of which lines wait in memory; nil if all are on the disk.
    /// - Throws: `.inputOutput` if the disk may have lost lines that were written.
    func synchronize() throws(Failure) -> Failure? {
        tensorBoard?.synchronize()
        return try RankActivity.during(.writingMetrics) { () throws(Failure) in
            try log?.synchronize()
        }
    }

    private static func details(_ scale: NoiseScale?) -> [String] {
        switch scale {
        case nil: []
        case .undetermined: ["noise scale undetermined"]
        case .determined(let sequences, _):
            ["noise scale \(Self.shortened(sequences))"]
        }
    }

    /// Returns a number with two significant digits, without an exponent up to a billion.
    private static func shortened(_ number: Double) -> String {
        let text = Format.significant(number, digits: 2)
        guard let rounded = Double(text), (100...1e9).contains(rounded) else { return text }
        return Format.count(Int(rounded))
    }

    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// Returns a number as text; the sign of a NaN is left out, because it has no meaning.
    private static func text(_ number: Double) -> String {
        number.isNaN ? "not a number" : Format.significant(number, digits: 6)
    }

    /// Appends a line; warns of the first one that must wait in memory.
    private func append(_ line: JSONObject) {
        do throws(Failure) {
            try log?.append(line)
            if linesWait { logger.warning("metrics are written again, and none was lost") }
            linesWait = false
        } catch {
            if !linesWait {
                logger.warning(
                    """
                    metrics wait in memory, and no checkpoint is written until they are on the disk: \
                    \(error.sentence)
                    """)
            }
            linesWait = true
        }
    }
}
