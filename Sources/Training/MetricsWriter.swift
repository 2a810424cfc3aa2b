import Failures
import Logging
import Telemetry

/// Tells of a run: metrics.jsonl and the progress line, on rank 0; nothing on the others.
final class MetricsWriter {
    private let run: RunFolder
    private let plan: TrainingPlan
    private let isWriter: Bool
    private let mode: ProgressMode
    private let environment: [String: String]
    private var log: MetricsLog?
    private var progress: ProgressLine?
    private var validationLoss: Double?
    private var rate = RateEstimator(done: 0, at: 0)
    private let start = ContinuousClock.now
    private let logger = Logger(label: "lockstep")

    init(run: RunFolder, plan: TrainingPlan, isWriter: Bool, progress: ProgressMode) {
        self.run = run
        self.plan = plan
        self.isWriter = isWriter
        mode = progress
        environment = processEnvironment()
    }

    /// Starts a new run's log.
    func create() throws(Failure) {
        if isWriter { log = try MetricsLog(creating: run.metrics) }
    }

    /// Goes on with the log of a run that resumes after a step.
    func resume(after step: Int) throws(Failure) {
        guard isWriter else { return }
        let log = try MetricsLog(resuming: run.metrics, after: step)
        if log.supersededLines > 0 {
            logger.notice(
                "moved \(log.supersededLines) lines of later steps to metrics.superseded.jsonl")
        }
        self.log = log
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

    /// A progress line for an evaluation of so many micro-batches on this rank.
    func evaluationProgress(chunks: Int) -> ProgressLine? {
        guard isWriter else { return nil }
        return ProgressLine(
            "evaluating", total: chunks, unit: .things("micro-batches", showsRate: false),
            mode: mode, environment: environment)
    }

    func record(_ step: StepRecord) {
        guard isWriter else { return }
        let tokensPerSecond = Double(plan.tokensPerStep) / step.times.total
        var line: JSONObject = [
            "step": .integer(step.step), "loss": .number(step.loss),
            "learning_rate": .number(step.learningRate),
            "gradient_norm": .number(step.gradientNorm), "tokens": .integer(step.tokens),
            "tokens_per_second": .number(tokensPerSecond),
            "step_seconds": .number(step.times.total), "data_seconds": .number(step.times[.data]),
            "forward_seconds": .number(step.times[.forward]),
            "backward_seconds": .number(step.times[.backward]),
            "reduce_seconds": .number(step.times[.wait]),
            "exposed_reduce_seconds": .number(step.times.exposedReduce),
            "update_seconds": .number(step.times.update),
        ]
        if step.isSkipped {
            line["skipped"] = .bool(true)
            logger.warning(
                """
                step \(step.step) skipped, its loss is \(Self.text(step.loss)) and its gradient norm \
                \(Self.text(step.gradientNorm))
                """)
        }
        append(line)
        // Smoothed, because one step's rate says little of what the run does.
        rate.record(done: Double(step.tokens), at: seconds)
        progress?.update(
            done: step.step,
            details: ProgressStatus.trainingDetails(
                loss: step.loss, learningRate: step.learningRate,
                tokensPerSecond: rate.rate ?? tokensPerSecond)
                + (validationLoss.map { ["validation \(Format.fixed($0, decimals: 4))"] } ?? []))
    }

    func record(_ evaluation: Evaluation, step: Int) {
        validationLoss = evaluation.loss
        guard isWriter else { return }
        append([
            "step": .integer(step), "validation_loss": .number(evaluation.loss),
            "validation_targets": .integer(evaluation.targets),
        ])
    }

    /// Brings the log to the disk, so that a checkpoint never knows more than it.
    func synchronize() {
        do throws(Failure) { try log?.synchronize() } catch {
            logger.warning("metrics may be lost if the machine fails: \(error.sentence)")
        }
    }

    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// A number that may not be finite; the sign of a NaN means nothing.
    private static func text(_ number: Double) -> String {
        number.isNaN ? "not a number" : Format.significant(number, digits: 6)
    }

    private func append(_ line: JSONObject) {
        if let failure = log?.append(line) {
            logger.warning("metrics are being lost: \(failure.sentence)")
        }
    }
}
