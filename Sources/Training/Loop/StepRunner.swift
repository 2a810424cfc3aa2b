import Collectives
import Compute
import MPI
import Model
import Optimizers
import Recipes
import Support

/// The results of one step.
package struct StepRecord: Sendable {
    /// The number of steps taken since the run began, this one included.
    package let step: Int
    /// The mean cross-entropy over the global batch, in nats per token.
    package let loss: Double
    package let learningRate: Double
    /// The norm of the gradient before clipping.
    package let gradientNorm: Double
    /// The gradient's noise, estimated from the lanes' gradients; nil with one lane.
    package let noise: GradientNoise?
    /// The number of tokens in all steps since the run began, this one included.
    package let tokens: Int
    /// The number of tokens in this step over all ranks.
    package let tokensInStep: Int
    /// The number of sequences in this step over all ranks; nil unless the batch has a schedule.
    package let batch: Int?
    /// Whether the step left the parameters unchanged because its loss or gradient was not finite.
    package let isSkipped: Bool
    package let times: StepTimes
    /// The slowest rank; nil if there is one rank.
    package let slowest: SlowestRank?
    /// The ranks that have been slow for many steps, each in one record only.
    package let stragglers: [Straggler]
}

/// The object that takes optimizer steps on all ranks, with the model, the reduction and the
/// optimizer. It holds all memory that a step needs, so steps after the first allocate nothing
/// unless lanes move.
package final class StepRunner {
    /// A function that returns the micro-batch whose first sequence is number `firstSample` in the
    /// run's order and number `firstSequence` in the global batch. The micro-batch is valid until
    /// the next call.
    package typealias Batches = (_ firstSample: Int, _ firstSequence: Int) -> TokenBatch

    package let model: GPT
    package let state: TrainingState
    /// The ranges of the arena that each rank updates, by rank.
    let shards: [[Range<Int>]]
    let plan: TrainingPlan
    let communicator: Communicator
    private let engine: ComputeEngine
    private let reducer: GradientReducer
    private let exchange: LaneExchange<LaneStep>
    /// The exchange of matrices between the ranks of a sharded optimizer that orthogonalizes them;
    /// nil without one.
    private let matrixExchange: MatrixExchange?
    /// The statistics of the rank's lanes, in lane order.
    private var laneSteps: [LaneStep] = []
    /// The choice of the division of the lanes; nil for the equal division.
    private var balancer: LaneBalancer?
    private var comparison: RankComparison
    /// The seconds of the last step's update.
    private var updateSeconds = 0.0
    private let tracer: StepTracer?
    private let traceBytes: Int
    /// The bytes of memory per byte of the log while a resume reads it: the file and the positions
    /// of its lines.
    private static let logMemory = 1.2
    /// The memory that was resident before this object allocated any.
    private let program: ResidentMemory

    /// Allocates everything a step needs; `state` is filled by `initialize` or from a checkpoint.
    ///
    /// - Parameter trace: the trace that records the steps; nil for none.
    package init(
        plan: TrainingPlan, communicator: Communicator, engine: ComputeEngine,
        trace: Trace? = nil
    ) throws(Failure) {
        program = .now
        self.plan = plan
        self.communicator = communicator
        self.engine = engine
        let recipe = plan.recipe
        model = GPT(
            recipe.model, sequenceLength: plan.sequenceLength, microBatch: plan.lanes.microBatch,
            training: true, precision: recipe.training.precision,
            recomputes: recipe.training.recompute, engine: engine)
        traceBytes = trace?.recorder.bytes ?? 0
        tracer = trace.map { [model] in StepTracer($0, layout: model.layout) }
        let layout = model.layout.arena
        if recipe.reduction.balance == .auto {
            let choice = LaneBalancer(tree: plan.lanes.tree, ranks: communicator.size)
            balancer = choice.canMove ? choice : nil
        }
        let reducer = try GradientReducer(
            communicator: communicator, tree: plan.lanes.tree, elementCount: layout.count,
            team: engine.team, bucketBytes: Int(recipe.reduction.bucketMebibytes * 1_048_576),
            wire: recipe.reduction.wire, isSharded: recipe.optimizer.sharded,
            roundsParameters: recipe.training.precision == .bf16, movesLanes: balancer != nil)
        self.reducer = reducer
        shards = (0..<communicator.size).map { reducer.ownedRanges(ofRank: $0) }
        state = TrainingState(
            plan: plan, layout: model.layout,
            memory: reducer.parameters
                ?? HostParameters(
                    elementCount: layout.count, isRounded: recipe.training.precision == .bf16,
                    communicator: communicator),
            owned: shards[communicator.rank])
        exchange = LaneExchange(communicator: communicator, tree: plan.lanes.tree)
        matrixExchange =
            recipe.optimizer.sharded && state.optimizer.directions != nil
            ? try MatrixExchange(
                model.layout.matrices, shards: shards, communicator: communicator,
                yields: engine.team.yields) : nil
        laneSteps.reserveCapacity(reducer.division.laneLimit)
        comparison = RankComparison(ranks: communicator.size)
    }

    /// The reason that ranks of a host exchange messages instead of sharing memory, with the
    /// remedy; nil if there is none.
    package var reductionNotice: String? { reducer.notice }

    /// Returns the memory that ranks have resident after a step. Collective: every rank must call
    /// this.
    ///
    /// - Parameters:
    ///   - batchBytes: the memory of the batches.
    ///   - metricsBytes: the size of the log that a resume reads.
    ///   - copyBytes: the size of this rank's copy of the state, from which it writes checkpoints.
    ///   - telemetryBytes: the memory for histograms and texts.
    package func memory(
        batchBytes: Int, metricsBytes: Int = 0, copyBytes: Int = 0, telemetryBytes: Int = 0
    ) throws(Failure) -> MemoryPlan {
        let peerBytes = reducer.peerBytes
        // The log is read before the first step touches this memory.
        let untouched = reducer.bytes + model.activationBytes
        let log = max(0, Int(Double(metricsBytes) * Self.logMemory) - untouched)
        let own: [MemoryPlan.Part] = [
            .init("program", program.bytes),
            .init("parameters", state.parameters.bytes),
            .init("gradients", reducer.bytes),
            .init("other ranks' pages", peerBytes),
            .init("average", state.average?.parameters.bytes ?? 0),
            .init("messages", reducer.messageBytes),
            .init("lanes", plan.laneBytes(size: communicator.size)),
            .init("moments", state.optimizer.states.reduce(0) { $0 + $1.buffer.bytes.count }),
            .init(
                "directions",
                (state.optimizer.directions?.bytes ?? 0) + (matrixExchange?.bytes ?? 0)),
            .init("activations", model.activationBytes),
            .init(
                "scratch",
                model.scratchBytes(parameters: state.parameters) {
                    state.optimizer.directions?.record(on: $0)
                }),
            .init("batches", batchBytes),
            .init("checkpoint copy", copyBytes),
            .init("telemetry", telemetryBytes),
            .init("trace", traceBytes),
            .init("log", log),
        ]
        return try MemoryPlan(
            own: own, program: program, peerBytes: peerBytes + state.sharedParameterBytes,
            communicator: communicator)
    }

    /// Frees shared memory; no method may be called afterward. Collective: every rank must call
    /// this.
    package func free() throws(Failure) { try reducer.free() }

    /// Initializes the parameters on rank 0 and sends them to the other ranks. Collective: every
    /// rank must call this.
    ///
    /// - Parameter initial: the trained model to start from, on rank 0; nil for new parameters.
    /// - Throws: `Failure`, the same on all ranks, if that model cannot be read.
    package func initialize(from initial: InitialModel? = nil) throws(Failure) {
        try communicator.agree { () throws(Failure) in
            guard communicator.rank == 0 else { return }
            model.layout.initialize(state.parameters.values, seed: plan.recipe.training.seed)
            try initial?.load(into: state.parameters.values, model.layout)
        }
        try state.sendParameters()
        state.average?.add(state.parameters, step: 1, engine: engine)
    }

    /// Takes a step. Collective: every rank must call this.
    ///
    /// - Parameters:
    ///   - learningRate: the step's rate, the same on all ranks; nil for the rate of the schedule.
    ///   - requests: returns the requests of this rank; called late in the step.
    ///   - observe: receives the gradients of a step that is not skipped, before clipping: all of
    ///     them, or with a sharded optimizer the ranges of the rank's own shard. Nil for none.
    ///   - batches: returns the step's micro-batches.
    /// - Returns: the step's results and the requests of all ranks.
    /// - Throws: `Failure` if MPI reports an error.
    package func take(
        learningRate: Double? = nil, requests: () -> RankRequests = { [] },
        observe: ((Buffer<Float>) throws(Failure) -> Void)? = nil, batches: Batches
    ) throws(Failure) -> (record: StepRecord, requests: RankRequests) {
        tracer?.beginStep()
        var clock = StepClock(tracer: tracer)
        let step = state.step + 1
        let stage = plan.stage(after: state.step)
        RankPlace.enter(.passes, step: step)
        trainLanes(stage, batches, clock: &clock)
        RankPlace.enter(.reduction, step: step)
        let gradients = try clock.measure(.wait) { () throws(Failure) in
            try RankActivity.during(.waiting) { () throws(Failure) in try reducer.finish() }
        }
        noteBuckets()
        RankPlace.enter(.losses, step: step)
        let asked = requests()
        let ownLoad = load(clock.times)
        let totals = try clock.measure(.wait) { () throws(Failure) in
            try exchange.exchange(
                laneSteps, in: reducer.division, requests: asked, load: ownLoad)
        }
        RankPlace.enter(.update, step: step)
        let loss = totals.sum.loss / totals.sum.targets
        let learningRate = learningRate ?? plan.learningRate(after: state.step)
        let gradientNorm = reducer.sumOfSquares.squareRoot()
        let isSkipped = !(loss.isFinite && gradientNorm.isFinite)
        if isSkipped {
            state.nonFinite.skip()
        } else {
            state.nonFinite.passed()
            try observe?(gradients)
            try clock.measure(.update) { () throws(Failure) in
                let clipping = clippingCoefficient(
                    norm: gradientNorm, clipNorm: plan.recipe.optimizer.clipNorm)
                // The value changes only with the batch.
                state.optimizer.weightDecay = stage.rate.optimizer.weightDecay
                try update(gradients, scale: clipping, learningRate: learningRate)
            }
        }
        state.step = step
        clock.measure(.update) {
            state.average?.add(state.parameters, step: state.step, engine: engine)
        }
        tracer?.endStep(state.step)
        comparison.record(totals.loads, reducer.division)
        if balancer?.record(totals.loads) == true, let division = balancer?.division {
            reducer.divide(division)
        }
        updateSeconds = clock.times[.update]
        let record = StepRecord(
            step: state.step, loss: loss, learningRate: learningRate, gradientNorm: gradientNorm,
            noise: GradientNoise(
                partSquares: totals.sum.squares, sumSquares: reducer.sumOfSquares,
                lanes: stage.lanes.laneCount, sequencesPerLane: stage.lanes.sequencesPerLane),
            tokens: plan.tokens(after: state.step),
            tokensInStep: stage.lanes.globalBatch * plan.sequenceLength,
            batch: plan.stages.count > 1 ? stage.lanes.globalBatch : nil,
            isSkipped: isSkipped, times: clock.finish(), slowest: comparison.slowest,
            stragglers: comparison.stragglers)
        return (record, totals.anyRequest)
    }

    /// Trains the rank's lanes in order. The reduction of a bucket starts as soon as backward of
    /// the last lane has finished it.
    private func trainLanes(
        _ stage: BatchStage, _ batches: Batches, clock: inout StepClock
    ) {
        let dropout = dropoutKey
        laneSteps.removeAll(keepingCapacity: true)
        clock.measure(.progress) { reducer.beginStep() }
        let own = reducer.division[communicator.rank]
        for _ in own { laneSteps.append(LaneStep(loss: 0, targets: 0, squares: 0)) }
        for lane in reducer.lanes {
            laneSteps[lane - own.lowerBound] = trainLane(
                lane, of: stage, batches, dropout: dropout, clock: &clock)
        }
    }

    /// Returns this rank's load, with the last step's update, because this step's comes later. The
    /// update of a sharded optimizer is left out, because it waits for other ranks.
    private func load(_ times: StepTimes) -> RankLoad {
        RankLoad(
            lanes: times[.data] + times[.forward] + times[.backward],
            other: times[.progress] + (plan.recipe.optimizer.sharded ? 0 : updateSeconds),
            waiting: times[.wait])
    }

    /// The division of the lanes among the ranks.
    package var division: LaneDivision { reducer.division }

    /// Runs forward and backward over one lane's micro-batches, in order.
    private func trainLane(
        _ lane: Int, of stage: BatchStage, _ batches: Batches, dropout: DropoutKey?,
        clock: inout StepClock
    ) -> LaneStep {
        let lanes = stage.lanes
        let firstSample = plan.samples(after: state.step)
        let sequences = lanes.sequences(ofLane: lane)
        let gradients = clock.measure(.progress) { reducer.beginLane(lane) }
        var loss = 0.0
        for microBatch in 0..<lanes.microBatchesPerLane {
            let first = sequences.lowerBound + microBatch * lanes.microBatch
            let batch = clock.measure(.data) { batches(firstSample + first, first) }
            clock.measure(.forward) {
                tracer?.beginForward()
                model.forward(batch, parameters: state.parameters, dropout: dropout) { part in
                    tracer?.forwardFinished(part)
                }
            }
            let isLast = microBatch == lanes.microBatchesPerLane - 1
            loss += clock.measureBackward { reducing in
                model.backward(
                    batch, parameters: state.parameters, gradients: gradients,
                    gradientScale: 1 / Float(lanes.globalBatch * plan.sequenceLength),
                    accumulates: microBatch > 0,
                    dropout: dropout,
                    betweenTiles: {
                        // A large product may take longer than sending several buckets.
                        if reducer.isUnderWay { reducing(nil) { reducer.progress() } }
                    },
                    recomputed: { layer in tracer?.recomputed(layer: layer) }
                ) { range in
                    reducing(range) {
                        if isLast { reducer.finished(range) }
                        reducer.progress()
                        noteBuckets()
                    }
                }
            }
        }
        guard let squares = clock.measure(.progress, { reducer.endLane() }) else {
            preconditionFailure("the reducer must measure lanes during training")
        }
        return LaneStep(
            loss: loss, targets: Double(sequences.count * plan.sequenceLength), squares: squares)
    }

    private func noteBuckets() {
        tracer?.buckets(started: reducer.startedBuckets, finished: reducer.finishedBuckets)
    }

    /// Updates the parameters or, if the optimizer is sharded, only the rank's own shard of them.
    ///
    /// - Parameter scale: the factor that multiplies the gradients.
    private func update(
        _ gradients: Buffer<Float>, scale: Float, learningRate: Double
    ) throws(Failure) {
        state.optimizer.beginStep(
            parameters: state.parameters.values, gradients: gradients, gradientScale: scale,
            team: engine.team)
        try orthogonalize()
        let optimizer = state.optimizer
        let parameters = state.parameters
        // A function, because a closure in a variable would be allocated on the heap.
        let checks = state.checks
        func updateRange(_ range: Range<Int>) {
            checks?.check(range)
            optimizer.update(
                parameters: parameters.values, gradients: gradients, learningRate: learningRate,
                gradientScale: scale, range: range)
            checks?.note(range)
            parameters.round(range)
        }
        if plan.recipe.optimizer.sharded {
            try RankActivity.during(.waiting) { () throws(Failure) in
                try reducer.updateParameters(updateRange, arrived: { parameters.round($0) })
            }
        } else {
            engine.team.forEach(SumOfSquares.blockCount(gradients.count)) { block, _ in
                let range = SumOfSquares.range(ofBlock: block, count: gradients.count)
                updateRange(range)
            }
        }
    }

    /// Orthogonalizes the directions of the optimizer's matrices. With a sharded optimizer, each
    /// rank gathers some of the matrices, and returns the results to their owners.
    private func orthogonalize() throws(Failure) {
        guard let directions = state.optimizer.directions else { return }
        guard let matrixExchange else { return directions.orthogonalize(engine: engine) }
        try matrixExchange.gather(from: directions.shard)
        for (index, base) in matrixExchange.own {
            directions.orthogonalize(index, at: base, engine: engine)
        }
        try matrixExchange.scatter(into: directions.shard)
    }

    private var dropoutKey: DropoutKey? {
        guard plan.recipe.model.dropout > 0 else { return nil }
        return DropoutKey(
            probability: plan.recipe.model.dropout, seed: plan.recipe.training.seed,
            step: state.step)
    }
}

/// The statistics of a lane in one step.
struct LaneStep: LaneStatistics {
    /// The loss, summed over the lane's targets.
    var loss: Double
    var targets: Double
    /// The sum of squares of the lane's part of the gradient.
    var squares: Double

    static func + (left: LaneStep, right: LaneStep) -> LaneStep {
        LaneStep(
            loss: left.loss + right.loss, targets: left.targets + right.targets,
            squares: left.squares + right.squares)
    }
}
