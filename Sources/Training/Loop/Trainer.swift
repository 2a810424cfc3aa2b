import Collectives
import Compute
import MPI
import Model
import Recipes
import Support

/// The way a run ended.
package enum TrainingOutcome: Sendable {
    /// All steps were taken; `best` is the step of the best checkpoint, if one is kept.
    case finished(Evaluation, best: Int?)
    /// The validation loss no longer fell; the run's state is in a checkpoint.
    case stoppedEarly(EarlyStop)
    /// A signal requested a stop; the run's state is in a checkpoint, from which it can be resumed.
    case checkpointed(step: Int)
}

/// The training loop: steps over a dataset and, between them, evaluations, checkpoints, telemetry
/// and signals.
package final class Trainer {
    let plan: TrainingPlan
    let communicator: Communicator
    let runner: StepRunner
    let checkpoints: CheckpointKeeper
    private let job: Job
    private let data: TrainingData
    private let loader: SampleLoader
    let evaluator: Evaluator
    private let metrics: MetricsWriter
    /// The recorder of histograms and texts; nil if the recipe requests none.
    private let telemetry: ModelTelemetry?
    private let trace: Trace?
    /// The size in bytes of the copy of the state from which rank 0 writes checkpoints in the
    /// background; 0 if they are written between steps.
    private let copyBytes: Int
    /// The reason that checkpoints are written between steps although the recipe requests
    /// otherwise; nil if there is none.
    package let copyNotice: String?
    /// The reason that the last due checkpoint was not written; nil if it was.
    private var defect: StateDefect?
    /// The evaluations since the loss was lowest.
    private var patience: Patience

    /// Allocates everything a run needs; `start` or `resume` then fills the state.
    ///
    /// - Parameter warnsOfWrongRates: whether skipped steps and diagnoses are logged as warnings;
    ///   metrics.jsonl always has them.
    package init(
        _ input: TrainingInput, run: RunFolder, job: Job, engine: ComputeEngine,
        trace: Trace? = nil, warnsOfWrongRates: Bool = true
    ) throws(Failure) {
        plan = input.plan
        data = input.data
        patience = Patience(limit: plan.recipe.training.patience)
        self.job = job
        communicator = job.communicator
        self.trace = trace
        runner = try StepRunner(
            plan: plan, communicator: communicator, engine: engine, trace: trace)
        loader = input.makeLoader()
        evaluator = Evaluator(
            data: data, microBatch: plan.lanes.microBatch,
            windowLimit: plan.recipe.evaluation.windows, communicator: communicator)
        metrics = MetricsWriter(
            run: run, plan: plan, job: job, warnsOfWrongRates: warnsOfWrongRates)
        telemetry = try ModelTelemetry(
            input, layout: runner.model.layout, state: runner.state, shards: runner.shards,
            communicator: communicator, engine: engine)
        let needed = plan.copyBytes(elements: runner.model.layout.arena.count)
        let planned = try runner.memory(
            batchBytes: loader.bytes + evaluator.bytes, metricsBytes: metrics.bytesToRead,
            telemetryBytes: telemetry?.bytes ?? 0)
        copyNotice = TrainingPlan.copyNotice(
            copyBytes: needed, besides: planned.hostBytes,
            machineBytes: Int(try communicator.broadcast([Int64(machineMemoryBytes)])[0]))
        copyBytes = copyNotice == nil ? needed : 0
        checkpoints = try CheckpointKeeper(
            run: run, plan: plan, data: data, layout: runner.model.layout, shards: runner.shards,
            communicator: communicator, writesInBackground: copyBytes > 0)
    }

    /// Whether the run must end because too many consecutive steps had no finite loss or gradient.
    package var hasDiverged: Bool { state.nonFinite.isHopeless }

    /// Frees shared memory; no method may be called afterward. Collective: every rank must call
    /// this.
    package func free() throws(Failure) { try runner.free() }

    var model: GPT { runner.model }
    var state: TrainingState { runner.state }

    /// Returns the memory that ranks will have resident. Collective: every rank must call this.
    package func memory() throws(Failure) -> MemoryPlan {
        try runner.memory(
            batchBytes: loader.bytes + evaluator.bytes, metricsBytes: metrics.bytesToRead,
            copyBytes: communicator.rank == 0 ? copyBytes : 0,
            telemetryBytes: telemetry?.bytes ?? 0)
    }

    /// Starts a new run, whose parameters rank 0 initializes. Collective: every rank must call this.
    ///
    /// - Parameters:
    ///   - initial: the trained model to start from, on rank 0; nil for new parameters.
    ///   - savesStart: whether a checkpoint is written before the first step, the same on all ranks.
    package func start(
        from initial: InitialModel? = nil, savesStart: Bool = false
    ) throws(Failure) {
        try runner.initialize(from: initial)
        try checkpoints.compareParameters(of: state)
        try communicator.agree { () throws(Failure) in try metrics.create() }
        if savesStart { try checkpoints.save(state, isRequired: true, best: nil) }
    }

    /// Resumes from the newest whole checkpoint, and returns its step, or nil if none was ever
    /// written and the run starts again. Collective: every rank must call this.
    ///
    /// - Parameters:
    ///   - initial: the trained model to start from if no checkpoint was written, on rank 0; nil for
    ///     new parameters.
    ///   - savesStart: whether a run that starts again from that model writes a checkpoint before
    ///     its first step, the same on all ranks.
    package func resume(
        orStartFrom initial: InitialModel? = nil, savesStart: Bool = false
    ) throws(Failure) -> Int? {
        let isLoaded = try checkpoints.load(into: state)
        if !isLoaded { try runner.initialize(from: initial) }
        try checkpoints.compareParameters(of: state)
        let steps = plan.recipe.training.steps
        try communicator.agree { () throws(Failure) in
            guard state.step > steps else { return }
            throw .key(
                "[training] steps", steps,
                "is less than the \(state.step) steps that the run has taken",
                remedy: "resume with \(state.step) or more")
        }
        // A run that starts over also repeats the evaluation before its first step.
        let last = isLoaded && state.step > 0 ? state.step : -1
        let found = try communicator.agree { () throws(Failure) in
            try metrics.resume(
                after: last, saved: communicator.rank == 0 ? try checkpoints.steps() : [],
                patience: &patience)
        }
        // Only the first rank has read the log.
        patience = try patience.shared(over: communicator)
        if plan.recipe.checkpoint.best {
            let step = try communicator.broadcast([Int64(found?.step ?? -1)])[0]
            let loss = try communicator.broadcast([found?.loss ?? 0])[0]
            checkpoints.best = step < 0 ? nil : BestEvaluation(step: Int(step), loss: loss)
        }
        guard !isLoaded else { return state.step }
        if savesStart, try communicator.isTrueOnAnyRank(initial != nil) {
            try checkpoints.save(state, isRequired: true, best: nil)
        }
        return nil
    }

    /// Trains to the last step, until the validation loss no longer falls, or to the first good state
    /// after a stop was requested.
    ///
    /// - Throws: `Failure` (configuration) if too many consecutive steps were skipped.
    package func run() throws(Failure) -> TrainingOutcome {
        let steps = plan.recipe.training.steps
        metrics.begin(at: state.step)
        defer {
            checkpoints.waitForThread()
            metrics.end()
        }
        var evaluation: Evaluation?
        var isStopping = false
        if state.step == 0, plan.recipe.evaluation.at.first == 0 { evaluation = try evaluate() }
        while state.step < steps, !patience.isExhausted {
            let requests = try takeStep()
            let isLast = state.step == steps
            isStopping = isStopping || requests.contains(.stop)
            var best: BestEvaluation?
            if isLast || isEvaluationDue {
                let measured = try evaluate()
                evaluation = measured
                best = newBest(measured)
            }
            let ends = isLast || patience.isExhausted
            if isDue(plan.recipe.checkpoint.compareEvery) {
                try checkpoints.compareParameters(of: state)
            }
            let isDue =
                isDue(plan.recipe.checkpoint.every) || requests.contains(.checkpoint)
            if ends || best != nil || isStopping || isDue {
                try checkpoint(isRequired: ends || isStopping, best: best)
            }
            // While the state has a defect, no checkpoint is saved, so the run cannot stop yet.
            if isStopping, !ends, defect == nil { return .checkpointed(step: state.step) }
        }
        // If no step was taken, an earlier start has already logged the evaluation.
        let last: Evaluation
        if let evaluation {
            last = evaluation
        } else {
            last = try evaluator.run(model, parameters: state.evaluated)
        }
        guard state.step < steps else { return .finished(last, best: checkpoints.best?.step) }
        return .stoppedEarly(
            EarlyStop(
                evaluation: last, step: state.step, steps: steps,
                evaluations: patience.evaluationsSinceBest,
                lowest: patience.best.map { ($0.step, $0.loss) },
                bestCheckpoint: checkpoints.best?.step))
    }

    /// Returns the evaluation after the last step if it has the lowest loss and the recipe requests
    /// the best checkpoint.
    private func newBest(_ evaluation: Evaluation) -> BestEvaluation? {
        guard plan.recipe.checkpoint.best, evaluation.loss.isFinite else { return nil }
        let new = BestEvaluation(step: state.step, loss: evaluation.loss)
        return new.better(than: checkpoints.expectedBest) == new ? new : nil
    }

    /// Checks that a run that took all its steps, or stopped early, ended with finite numbers.
    /// Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (configuration) on all ranks if the loss or the last state is not
    ///   finite.
    func requireGoodEnd(_ evaluation: Evaluation) throws(Failure) {
        let step = state.step
        let problem: String
        let remedy: String
        if !evaluation.loss.isFinite {
            problem =
                "its validation loss is not a number, because the learning rate is too large (the "
                + "peak is \(plan.rate.peakLearningRate))"
            remedy =
                "lower [optimizer] learning_rate by a factor of 3 to 10 and start a new run"
        } else if let defect {
            problem = "has no checkpoint of the last one because \(defect.reason)"
            remedy = "resume it with --set training.steps=\(step + 1)"
        } else {
            return
        }
        let good = try goodCheckpointText()
        try communicator.agree { () throws(Failure) -> Void in
            let end = step < plan.recipe.training.steps ? "stopped early after" : "took all"
            throw .about(
                .configuration, "the run", "\(end) \(step) steps, but \(problem)",
                remedy: "\(remedy) (\(good))")
        }
    }

    /// Returns a clause that names the newest good checkpoint. Collective: every rank must call
    /// this.
    private func goodCheckpointText() throws(Failure) -> String {
        try checkpoints.newestGoodStep().map { "the newest good checkpoint is that of step \($0)" }
            ?? "the run has no good checkpoint"
    }

    /// Takes one optimizer step on all ranks; returns the requests of all ranks.
    private func takeStep() throws(Failure) -> RankRequests {
        let (record, requests) = try runner.take(
            requests: requestsOfThisRank, observe: telemetry?.observer(ofStep: state.step + 1)
        ) { sample, sequence in
            loader.load(firstSample: sample, order: data.order, firstSequence: sequence)
        }
        // All ranks have the same stragglers, which are rare.
        let hosts =
            record.stragglers.isEmpty ? [] : try communicator.gatherText(Communicator.hostName)
        metrics.record(record, hosts: hosts)
        if let telemetry {
            metrics.record(try telemetry.values(after: state), step: state.step)
        }
        trace?.warnIfFull(step: state.step)
        if requests.contains(.checkpointWritten) { try checkpoints.finishPending() }
        try stopIfHopeless(loss: record.loss)
        return requests
    }

    private func requestsOfThisRank() -> RankRequests {
        var requests: RankRequests = StopSignals.takeCheckpointRequest() ? .checkpoint : []
        if StopSignals.stopRequested { requests.formUnion([.checkpoint, .stop]) }
        if checkpoints.hasNews { requests.insert(.checkpointWritten) }
        return requests
    }

    private func stopIfHopeless(loss: Double) throws(Failure) {
        guard state.nonFinite.isHopeless else { return }
        let failure = state.nonFinite.failure(
            loss: loss, step: state.step, peakLearningRate: plan.rate.peakLearningRate,
            goodCheckpoint: try goodCheckpointText())
        // All ranks see the same loss and norm, so they throw the same failure, reported once.
        try communicator.agree { () throws(Failure) -> Void in throw failure }
    }

    /// Saves the state, unless it has a defect or the log lacks lines that a resume would need.
    private func checkpoint(isRequired: Bool, best: BestEvaluation?) throws(Failure) {
        guard try logIsComplete(isRequired: isRequired) else { return }
        RankPlace.enter(.checkpoint, step: state.step)
        try note(.checkpoint) { () throws(Failure) in
            try checkpoints.finishPending()
            let before = defect
            defect = try StateDefect.agreed(on: state, loss: lossAhead(), over: communicator)
            guard let defect else {
                return try checkpoints.save(state, isRequired: isRequired, best: best)
            }
            if before == nil { metrics.warnOfMissingCheckpoint(step: state.step, defect) }
        }
    }

    /// Brings the log to the disk and returns whether it has all lines. Collective: every rank must
    /// call this.
    ///
    /// - Throws: `Failure` (I/O) on all ranks if it lacks lines and `isRequired`, or if the disk may
    ///   have lost lines.
    private func logIsComplete(isRequired: Bool) throws(Failure) -> Bool {
        let failure = try communicator.agree { () throws(Failure) -> Failure? in
            let failure = try metrics.synchronize()
            if isRequired, let failure { throw failure }
            return failure
        }
        return try !communicator.isTrueOnAnyRank(failure != nil)
    }

    /// Returns the loss of the parameters on the first micro-batch of the next step.
    private func lossAhead() -> Double {
        let batch = loader.load(
            firstSample: plan.samples(after: state.step), order: data.order, firstSequence: 0)
        model.forward(batch, parameters: state.parameters, dropout: nil)
        return model.loss(batch, parameters: state.parameters)
    }

    private func evaluate() throws(Failure) -> Evaluation {
        RankPlace.enter(.evaluation, step: state.step)
        let evaluation = try note(.evaluation) { () throws(Failure) in
            try evaluator.run(model, parameters: state.evaluated, showingProgressOf: job)
        }
        metrics.record(evaluation, step: state.step)
        patience.add(loss: evaluation.loss, step: state.step)
        return evaluation
    }

    /// Runs `body`, and records it in the trace if there is one.
    private func note<Value>(
        _ kind: TraceKind, _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let start = MonotonicClock.nanoseconds
        let value = try body()
        trace?.recorder.record(
            kind.rawValue, index: state.step, from: start, to: MonotonicClock.nanoseconds)
        return value
    }

    private var isEvaluationDue: Bool {
        isDue(plan.recipe.evaluation.every) || plan.recipe.evaluation.at.contains(state.step)
    }

    private func isDue(_ every: Int) -> Bool { every > 0 && state.step % every == 0 }
}
