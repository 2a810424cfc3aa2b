import Compute
import Recipes

/// An update rule with its state, for an arena of parameters and one of gradients.
///
/// A training step calls `beginStep` once and then `update` on ranges that together cover the
/// arena. `beginStep` passes over the arena only for rules that need norms of whole tensors or
/// orthogonalize matrices, which `directions` then does. After that, every element's update depends
/// only on that element, so the bits do not depend on the ranges, their order or their threads.
///
/// State is fp32, in the layout of the arena or, if the optimizer owns a shard of it, of the shard.
/// Scalars are computed in double and rounded once. The order of operations is that of PyTorch's
/// single-tensor implementations.
public struct Optimizer: Sendable {
    /// A piece of state that a checkpoint keeps, by PyTorch's name for it.
    public struct State: Sendable {
        /// `momentum_buffer`, `exp_avg` or `exp_avg_sq`.
        public let name: String
        /// One value for each element of the shard, in its order; zero before the first step.
        public let buffer: Buffer<Float>
        /// Whether the matrices that the rule orthogonalizes have this state. If not, their
        /// elements of the buffer have no meaning between steps.
        var hasMatrices = true
    }

    /// A run of the arena whose elements have the same factors and all decay or all do not. If the
    /// rule has trust ratios, a run is one tensor.
    struct Run: Sendable {
        var range: Range<Int>
        let decays: Bool
        /// Whether the rule scales its step by the tensor's norm.
        let adapts: Bool
        let factors: TensorFactors
        /// The factor of the direction of a matrix that the rule orthogonalizes; nil for others.
        var directionScale: Double?
    }

    private(set) var configuration: OptimizerConfiguration
    /// The tensors that decay, for the log.
    package let decayedTensors: [NamedTensor]
    /// The number of steps begun in the run; Adam's bias correction depends on it.
    public private(set) var step = 0

    /// The part of the arena that this optimizer updates; by default the whole arena.
    package let shard: ArenaShard

    let rule: any UpdateRule
    let runs: [Run]
    let ranges: [Range<Int>]
    let count: Int
    /// The factor of each run, or nil if the rule does not use norms.
    let trust: TrustRatios?
    /// The directions of the matrices that the rule orthogonalizes; nil if there are none.
    ///
    /// After `beginStep` and before the first `update`, all matrices must be orthogonalized.
    package let directions: MatrixDirections?
    private let tensors: [NamedTensor]

    /// Creates an optimizer with zero state.
    ///
    /// - Parameters:
    ///   - configuration: the recipe's configuration after validation and scaling.
    ///   - owned: the parts of the arena to update, in ascending order, with ends on multiples of
    ///     `ArenaLayout.alignment`; nil for the whole arena.
    ///   - factors: the factors of each tensor of the layout; nil for 1.
    ///   - matrices: the matrices that a rule may orthogonalize, in the order of the layout.
    package init(
        configuration: OptimizerConfiguration, layout: ArenaLayout, owned: [Range<Int>]? = nil,
        factors: [TensorFactors]? = nil, matrices: [LayerMatrix] = []
    ) {
        let shard = ArenaShard(owned ?? [0..<layout.count])
        self.shard = shard
        self.configuration = configuration
        decayedTensors = configuration.decayedTensors(in: layout)
        count = layout.count
        tensors = layout.tensors
        let matrices = configuration.name.orthogonalizes ? matrices : []
        runs = Self.runs(
            layout, configuration, factors ?? layout.tensors.map { _ in .one }, matrices)
        ranges = runs.map(\.range)
        let adapts = configuration.name.hasTrustRatios
        precondition(
            !adapts || shard.count == layout.count, "trust ratios need norms of whole tensors")
        trust = adapts ? TrustRatios(runs: runs.count, elements: layout.count) : nil
        rule = updateRule(for: configuration, count: shard.count)
        directions = rule.directions.map { MatrixDirections(matrices: matrices, shard: $0) }
    }

    /// The weight decay, which may change with the batch if it is decoupled.
    package var weightDecay: Double {
        get { configuration.weightDecay }
        set { configuration.weightDecay = newValue }
    }

    /// The state that a checkpoint keeps in addition to `step`. Loading a checkpoint writes into these
    /// buffers.
    public var states: [State] { rule.states }

    /// Returns the tensors that have a state, in the layout's order.
    package func tensors(of state: State) -> [NamedTensor] {
        guard !state.hasMatrices, let directions else { return tensors }
        let matrices = Set(directions.matrices.map(\.tensor.offset))
        return tensors.filter { !matrices.contains($0.offset) }
    }

    /// Continues after the step of a checkpoint whose states have been loaded.
    public mutating func resume(after step: Int) {
        precondition(step >= 0, "a step cannot be \(step)")
        self.step = step
    }

    /// Counts a step and, if the rule has trust ratios, computes them from the norms of whole
    /// tensors. Do not call it for a step that is skipped.
    ///
    /// The team passes over the arena, and LAMB's moments or the momentum of Muon's matrices advance
    /// to this step. The arguments are those of the updates that follow.
    package mutating func beginStep(
        parameters: Buffer<Float>, gradients: Buffer<Float>, gradientScale: Float = 1,
        team: ThreadTeam
    ) {
        step += 1
        let optimizer = self
        if directions != nil {
            team.forEach(SumOfSquares.blockCount(count)) { block, _ in
                optimizer.advance(
                    SumOfSquares.range(ofBlock: block, count: optimizer.count),
                    parameters: parameters, gradients: gradients, gradientScale: gradientScale)
            }
        }
        guard let trust else { return }
        team.forEach(SumOfSquares.blockCount(count)) { block, _ in
            optimizer.measure(
                block, parameters: parameters, gradients: gradients, gradientScale: gradientScale,
                into: trust)
        }
        for (index, run) in runs.enumerated() where run.adapts {
            let scalars = scalars(run, gradientScale: gradientScale)
            trust.settle(index, over: run.range) {
                rule.trustRatio(parameterNorm: $0, comparedNorm: $1, scalars)
            }
        }
    }

    /// Updates the parameters of a range and their state from the range's gradients.
    ///
    /// - Parameters:
    ///   - parameters: the whole arena.
    ///   - gradients: the whole arena of the same layout, which stays unchanged.
    ///   - learningRate: this step's rate.
    ///   - gradientScale: the factor for every gradient, which is the clipping coefficient.
    ///   - range: a range of the arena, both ends multiples of `ArenaLayout.alignment`; elements
    ///     outside the shard stay unchanged.
    package func update(
        parameters: Buffer<Float>, gradients: Buffer<Float>, learningRate: Double,
        gradientScale: Float = 1, range: Range<Int>
    ) {
        precondition(step > 0, "a step must begin before its update")
        precondition(
            parameters.count == count && gradients.count == count,
            "parameters and gradients do not have the layout's \(count) elements")
        precondition(
            range.lowerBound >= 0 && range.upperBound <= count
                && (range.lowerBound | range.upperBound) % ArenaLayout.alignment == 0,
            "range \(range) is not an aligned part of an arena of \(count) elements")
        forEachPart(of: range, parameters: parameters, gradients: gradients) { index, part in
            var scalars = scalars(
                runs[index], learningRate: learningRate, gradientScale: gradientScale)
            scalars.trust = trust?[index] ?? 1
            rule.update(part, scalars)
        }
    }

    /// Advances the momentum of the shard's matrices in a range of the arena.
    private func advance(
        _ range: Range<Int>, parameters: Buffer<Float>, gradients: Buffer<Float>,
        gradientScale: Float
    ) {
        forEachPart(of: range, parameters: parameters, gradients: gradients) { index, part in
            guard runs[index].directionScale != nil else { return }
            rule.advance(part, scalars(runs[index], gradientScale: gradientScale))
        }
    }

    /// Calls `body` with each part of a range that lies in the shard and in one run, and the run's
    /// index.
    @inline(__always)
    private func forEachPart(
        of range: Range<Int>, parameters: Buffer<Float>, gradients: Buffer<Float>,
        _ body: (_ index: Int, _ part: ArenaPart) -> Void
    ) {
        shard.forEachPiece(of: range) { owned, start in
            forEachOverlap(of: owned, with: ranges) { index, part in
                let place = start + part.lowerBound - owned.lowerBound
                body(
                    index,
                    ArenaPart(
                        parameters: parameters.vector(part), gradients: gradients.vector(part),
                        state: place..<place + part.count))
            }
        }
    }

    /// Computes a block's part of the pass before the updates: LAMB's moments and sums of squares.
    private func measure(
        _ block: Int, parameters: Buffer<Float>, gradients: Buffer<Float>, gradientScale: Float,
        into trust: TrustRatios
    ) {
        forEachOverlap(of: SumOfSquares.range(ofBlock: block, count: count), with: ranges) {
            index, part in
            let sums = rule.measure(
                ArenaPart(
                    parameters: parameters.vector(part), gradients: gradients.vector(part),
                    state: part), scalars(runs[index], gradientScale: gradientScale))
            trust.note(sums, ofRun: index, inBlock: block)
        }
    }

    /// Returns the scalars of this step for a run.
    func scalars(
        _ run: Run, learningRate: Double = 1, gradientScale: Float
    ) -> StepScalars {
        StepScalars(
            step: step, learningRate: learningRate * run.factors.rate,
            gradientScale: gradientScale,
            weightDecay: run.decays ? configuration.weightDecay / run.factors.rate : 0,
            epsilonFactor: run.factors.epsilon, directionScale: run.directionScale)
    }

    /// Returns the arena's runs in order; each tensor includes its gap and padding.
    private static func runs(
        _ layout: ArenaLayout, _ configuration: OptimizerConfiguration,
        _ factors: [TensorFactors], _ matrices: [LayerMatrix]
    ) -> [Run] {
        let scales = Dictionary(
            uniqueKeysWithValues: matrices.map { ($0.tensor.offset, $0.directionScale) })
        var runs: [Run] = []
        for (index, (tensor, factors)) in zip(layout.tensors, factors).enumerated() {
            let isLast = index + 1 == layout.tensors.count
            let end = isLast ? layout.count : layout.tensors[index + 1].offset
            let decays = configuration.decays(tensor)
            let scale = scales[tensor.offset]
            if let last = runs.last, last.decays == decays, last.factors == factors,
                last.directionScale == scale, !configuration.name.hasTrustRatios
            {
                runs[runs.count - 1].range = last.range.lowerBound..<end
            } else {
                runs.append(
                    Run(
                        range: tensor.offset..<end, decays: decays,
                        adapts: configuration.adapts(tensor), factors: factors,
                        directionScale: scale))
            }
        }
        return runs
    }
}
