import Collectives
import Failures
import Kernels
import MPI
import Model
import Optimizers
import Telemetry
import Tensors

/// How a run ended.
package enum TrainingOutcome: Sendable {
    /// All steps are done.
    case finished(Evaluation)
    /// Somebody asked it to stop; its state is in a checkpoint and it can be resumed.
    case checkpointed(step: Int)
}

/// The training loop: the one place that wires data, model, reduction, optimizer, checkpoints and
/// telemetry together.
package final class Trainer {
    let plan: TrainingPlan
    let communicator: Communicator
    let model: GPT
    let state: TrainingState
    let checkpoints: CheckpointKeeper
    private let engine: ComputeEngine
    private let data: TrainingData
    private let loader: SampleLoader
    private let evaluator: Evaluator
    private let reducer: GradientReducer
    private let exchange: LaneExchange<LaneLoss>
    private let metrics: MetricsWriter
    private let lanes: Range<Int>

    /// Allocates everything a run needs; `state` is filled by `start` or from a checkpoint.
    package init(
        plan: TrainingPlan, data: TrainingData, run: RunFolder, communicator: Communicator,
        engine: ComputeEngine, progress: ProgressMode
    ) throws(Failure) {
        self.plan = plan
        self.data = data
        self.communicator = communicator
        self.engine = engine
        let recipe = plan.recipe
        model = GPT(
            recipe.model, microBatch: plan.lanes.microBatch, training: true, engine: engine)
        loader = SampleLoader(
            dataset: data.training, contextLength: recipe.model.contextLength,
            microBatch: plan.lanes.microBatch)
        evaluator = Evaluator(
            data: data, microBatch: plan.lanes.microBatch, windowLimit: recipe.evaluation.windows,
            communicator: communicator)
        let reducer = try GradientReducer(
            communicator: communicator, tree: plan.lanes.tree,
            elementCount: model.layout.arena.count, team: engine.team,
            bucketBytes: Int(recipe.reduction.bucketMebibytes * 1_048_576),
            wire: recipe.reduction.wire, isSharded: recipe.optimizer.sharded)
        self.reducer = reducer
        let shards = (0..<communicator.size).map { reducer.ownedRanges(ofRank: $0) }
        state = TrainingState(
            plan: plan, layout: model.layout,
            parameters: reducer.parameters ?? Buffer(count: model.layout.arena.count),
            owned: shards[communicator.rank])
        exchange = LaneExchange(communicator: communicator, tree: plan.lanes.tree)
        lanes = plan.lanes.tree.lanes(ofRank: communicator.rank, size: communicator.size)
        metrics = MetricsWriter(
            run: run, plan: plan, isWriter: communicator.rank == 0, progress: progress)
        checkpoints = try CheckpointKeeper(
            run: run, plan: plan, data: data, layout: model.layout, shards: shards,
            communicator: communicator)
    }

    /// Why ranks of a host share no memory though they could; nil where they do.
    package var reductionNotice: String? { reducer.notice }

    /// What each rank allocates, by what for, in bytes.
    package var memory: [(name: String, bytes: Int)] {
        [
            ("parameters", state.parameters.bytes.count), ("gradients", reducer.bytes),
            ("moments", state.optimizer.states.reduce(0) { $0 + $1.buffer.bytes.count }),
            ("activations", model.activationBytes),
        ]
    }

    /// Targets that each evaluation predicts.
    package var validationTargets: Int { evaluator.targetCount }

    /// Names of the tensors that weight decay shrinks.
    package var decayedTensors: [String] { state.optimizer.decayedTensors.map(\.name) }

    /// Starts from new parameters: rank 0 makes them, the others receive them.
    package func start() throws(Failure) {
        try initialize()
        try checkpoints.compareParameters(of: state)
        try communicator.agree { () throws(Failure) in try metrics.create() }
    }

    private func initialize() throws(Failure) {
        if communicator.rank == 0 {
            model.layout.initialize(state.parameters, seed: plan.recipe.training.seed)
        }
        try communicator.broadcast(state.parameters.bytes)
    }

    /// Goes on from the newest checkpoint that is whole, or from the start where none was ever
    /// written; returns the step.
    package func resume() throws(Failure) -> Int {
        if try !checkpoints.load(into: state) { try initialize() }
        try checkpoints.compareParameters(of: state)
        let steps = plan.recipe.training.steps
        try communicator.agree { () throws(Failure) in
            guard state.step > steps else { return }
            throw Failure(
                .configuration,
                "[training] steps = \(steps) is less than the \(state.step) steps that the run has "
                    + "taken: resume with \(state.step) or more.")
        }
        try communicator.agree { () throws(Failure) in try metrics.resume(after: state.step) }
        return state.step
    }

    /// Trains to the last step, or to the end of the step in which a stop was requested.
    package func run() throws(Failure) -> TrainingOutcome {
        let steps = plan.recipe.training.steps
        metrics.begin(at: state.step)
        defer { metrics.end() }
        var evaluation: Evaluation?
        while state.step < steps {
            let requests = try step()
            let isLast = state.step == steps
            if isLast || isDue(plan.recipe.evaluation.every) { evaluation = try evaluate() }
            if isLast || !requests.isEmpty || isDue(plan.recipe.checkpoint.every) {
                metrics.synchronize()
                try checkpoints.save(state, isRequired: isLast || requests.contains(.stop))
            }
            if requests.contains(.stop) && !isLast { return .checkpointed(step: state.step) }
        }
        if let evaluation { return .finished(evaluation) }
        // All steps were done before, and the log has their evaluation.
        return .finished(try evaluator.run(model, parameters: state.parameters))
    }

    /// One optimizer step on all ranks; returns what any of them was asked for.
    private func step() throws(Failure) -> RankRequests {
        var clock = StepClock()
        let dropout = dropoutKey
        var losses: [LaneLoss] = []
        reducer.beginStep()
        for lane in lanes {
            losses.append(trainLane(lane, dropout: dropout, clock: &clock))
        }
        let gradients = try clock.measure(\.reduce) { () throws(Failure) in try reducer.finish() }
        var requests: RankRequests = StopSignals.takeCheckpointRequest() ? .checkpoint : []
        if StopSignals.stopRequested { requests.formUnion([.checkpoint, .stop]) }
        let totals = try clock.measure(\.reduce) { () throws(Failure) in
            try exchange.exchange(losses, requests: requests)
        }
        let loss = totals.sum.sum / totals.sum.targets
        let learningRate = plan.learningRate(after: state.step)
        let gradientNorm = reducer.sumOfSquares.squareRoot()
        let isSkipped = !(loss.isFinite && gradientNorm.isFinite)
        if isSkipped {
            state.nonFinite.skip()
        } else {
            state.nonFinite.passed()
            try clock.measure(\.update) { () throws(Failure) in
                try update(gradients, norm: gradientNorm, learningRate: learningRate)
            }
        }
        state.step += 1
        metrics.record(
            StepRecord(
                step: state.step, loss: loss, learningRate: learningRate,
                gradientNorm: gradientNorm, tokens: state.step * plan.tokensPerStep,
                isSkipped: isSkipped, times: clock.finish()))
        try stopIfHopeless(loss: loss)
        return totals.anyRequest
    }

    /// Forward and backward over one lane's micro-batches, in their order.
    private func trainLane(
        _ lane: Int, dropout: DropoutKey?, clock: inout StepClock
    ) -> LaneLoss {
        let sequences = plan.lanes.sequences(ofLane: lane)
        let gradients = reducer.beginLane(lane)
        var loss = 0.0
        for microBatch in 0..<plan.lanes.microBatchesPerLane {
            let first = sequences.lowerBound + microBatch * plan.lanes.microBatch
            let batch = clock.measure(\.data) {
                loader.load(
                    firstSample: state.step * plan.lanes.globalBatch + first, order: data.order,
                    firstSequence: first)
            }
            clock.measure(\.forward) {
                model.forward(batch, parameters: state.parameters, dropout: dropout)
            }
            let isLast = microBatch == plan.lanes.microBatchesPerLane - 1
            loss += clock.measure(\.backward) {
                model.backward(
                    batch, parameters: state.parameters, gradients: gradients,
                    gradientScale: 1 / Float(plan.tokensPerStep), accumulates: microBatch > 0,
                    dropout: dropout
                ) { range in
                    if isLast { reducer.finished(range) }
                    reducer.progress()
                }
            }
        }
        reducer.endLane()
        return LaneLoss(
            sum: loss, targets: Double(sequences.count * plan.recipe.model.contextLength))
    }

    /// Ends the run where too many steps in a row left the parameters as they were.
    private func stopIfHopeless(loss: Double) throws(Failure) {
        guard
            let failure = state.nonFinite.failure(
                loss: loss, step: state.step, peakLearningRate: plan.rate.peakLearningRate)
        else { return }
        // All ranks see the same loss and norm, and agree that this is one failure, told once.
        try communicator.agree { () throws(Failure) in throw failure }
    }

    /// Clips and takes the optimizer's step: on every rank the same, or each its own part of it.
    private func update(
        _ gradients: Buffer<Float>, norm: Double, learningRate: Double
    ) throws(Failure) {
        let scale = clippingCoefficient(
            norm: norm, clipNorm: plan.recipe.optimizer.clipNorm)
        state.optimizer.beginStep()
        let optimizer = state.optimizer
        let parameters = state.parameters
        let updateRange = { (range: Range<Int>) in
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: learningRate,
                gradientScale: scale, range: range)
        }
        if plan.recipe.optimizer.sharded {
            try reducer.updateParameters(updateRange)
        } else {
            engine.team.forEach(SumOfSquares.blockCount(gradients.count)) { block, _ in
                updateRange(SumOfSquares.range(ofBlock: block, count: gradients.count))
            }
        }
    }

    private func evaluate() throws(Failure) -> Evaluation {
        let progress = metrics.evaluationProgress(chunks: evaluator.chunksOfThisRank)
        defer { progress?.finish() }
        let evaluation = try evaluator.run(model, parameters: state.parameters) { done in
            progress?.update(done: done)
        }
        metrics.record(evaluation, step: state.step)
        return evaluation
    }

    private func isDue(_ every: Int) -> Bool { every > 0 && state.step % every == 0 }

    private var dropoutKey: DropoutKey? {
        guard plan.recipe.model.dropout > 0 else { return nil }
        return DropoutKey(
            probability: plan.recipe.model.dropout, seed: plan.recipe.training.seed,
            step: state.step)
    }
}

/// What a lane tells the others of a step: its loss summed over its targets, and their number.
struct LaneLoss: LaneStatistics {
    var sum: Double
    var targets: Double

    static func + (left: LaneLoss, right: LaneLoss) -> LaneLoss {
        LaneLoss(sum: left.sum + right.sum, targets: left.targets + right.targets)
    }
}
