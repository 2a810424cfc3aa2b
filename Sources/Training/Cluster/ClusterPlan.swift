import Collectives
import MPI
import Model
import Recipes
import Statistics
import Support

/// The expected speed, memory and cost of a recipe's training on clusters of several sizes.
///
/// The documentation page PlanACluster states the model.
package struct ClusterPlan: Sendable {
    /// The training to plan.
    package struct Request: Sendable {
        package var recipe: Recipe
        package var step: MeasuredStep
        package var network: NetworkProfile
        package var ranksPerHost: Int
        package var mostRanks: Int
        /// The number of sequences of a rank, so that the global batch grows with the ranks; nil
        /// for the recipe's global batch.
        package var sequencesPerRank: Int?
        /// The number of tokens of the training, at the recipe's global batch; nil for the
        /// recipe's.
        package var tokens: Double?
        /// The critical batch or the noise scale in sequences, nil if unknown.
        package var criticalBatch: Double?
        /// Whether the exchange is also executed in virtual time.
        package var executes: Bool

        package init(
            recipe: Recipe, step: MeasuredStep, network: NetworkProfile, ranksPerHost: Int,
            mostRanks: Int, sequencesPerRank: Int?, tokens: Double?, criticalBatch: Double?,
            executes: Bool
        ) {
            self.recipe = recipe
            self.step = step
            self.network = network
            self.ranksPerHost = ranksPerHost
            self.mostRanks = mostRanks
            self.sequencesPerRank = sequencesPerRank
            self.tokens = tokens
            self.criticalBatch = criticalBatch
            self.executes = executes
        }
    }

    /// The expectations for a number of ranks.
    package struct Row: Sendable {
        package let ranks: Int
        package let hosts: Int
        package let globalBatch: Int
        /// The seconds of a step, and the parts of it that a lone rank does not have.
        package let stepSeconds: Double
        package let exposedSeconds: Double
        package let stragglerSeconds: Double
        /// The seconds of a step whose exchange is executed in virtual time; nil if it is not.
        package let executedSeconds: Double?
        package let tokensPerSecond: Double
        /// The speed of a rank relative to that of a lone rank.
        package let efficiency: Double
        package let rankBytes: Int
        /// The tokens for the loss that the recipe's batch reaches with all tokens.
        package let tokens: Double
        package let coreHours: Double
        /// The peak rate by each rule; nil if the rule does not reach the batch.
        package let rates: [Double?]

        package var hours: Double { tokens / tokensPerSecond / 3600 }
    }

    package let request: Request
    /// The rules whose rates the plan states: those that need no further number, and the recipe's.
    package private(set) var rules: [ScalingConfiguration.Rule] = []
    package private(set) var rows: [Row] = []
    /// The reason why no more ranks are planned; nil if all are.
    package private(set) var limit: Failure?
    /// The memory of a measured rank beyond the least that its layout needs.
    private let bytesBeyondLeast: Double

    /// The largest number of ranks whose exchange is executed.
    private static let mostExecutedRanks = 1024

    /// Plans all numbers of ranks.
    ///
    /// - Throws: `Failure` (bad data) if another model or optimizer was measured; (configuration) if
    ///   not even one rank can train the recipe.
    package init(_ request: Request) throws(Failure) {
        var request = request
        let step = request.step
        try request.recipe.requireOneBatch()
        try Self.match(&request.recipe, step)
        self.request = request
        let measured = try TrainingPlan(
            step.recipe, ranks: step.ranks, sequenceLength: step.sequenceLength)
        bytesBeyondLeast = max(
            0, Double(step.rankBytes) - measured.leastBytes(ofRank: 0, size: step.ranks))
        let batch = request.recipe.scaling.baseBatch ?? request.recipe.training.globalBatch
        rules = ScalingConfiguration.Rule.allCases.filter { rate($0, globalBatch: batch) != nil }
        for ranks in Self.counts(request) {
            do throws(Failure) { rows.append(try row(ranks: ranks)) } catch {
                if rows.isEmpty { throw error }
                limit = error
                break
            }
        }
    }

    /// Returns the numbers of ranks: doubled within a host, then whole hosts, doubled.
    private static func counts(_ request: Request) -> [Int] {
        let perHost = request.ranksPerHost
        var counts = Array(sequence(first: 1) { $0 * 2 }.prefix { $0 < perHost })
        counts += sequence(first: perHost) { $0 * 2 }.prefix { $0 <= request.mostRanks }
        return counts.filter { $0 <= request.mostRanks }
    }

    /// The keys outside `[model]` that decide how long a step takes on one host.
    private static let keysOfAStep = [
        "[training] precision", "[training] recompute", "[optimizer] name", "[optimizer] sharded",
    ]

    /// Checks that the measured recipe's steps are those of `recipe`, which gets the measured
    /// vocabulary if it leaves the vocabulary to the tokenizer.
    private static func match(_ recipe: inout Recipe, _ step: MeasuredStep) throws(Failure) {
        if recipe.model.vocabularySize == 0 {
            recipe.model.vocabularySize = step.recipe.model.vocabularySize
        }
        let difference = step.recipe.differences(from: recipe).first {
            $0.key.hasPrefix("[model] ") || keysOfAStep.contains($0.key)
        }
        guard let difference else { return }
        throw .key(
            difference.key, difference.otherValue,
            "differs from the measured step, which has \(difference.value)",
            remedy: "measure a step of this recipe with `lockstep bench step RECIPE --json`",
            code: .badData)
    }

    /// The row at which doubling the ranks adds less than half of what it costs, and the next one.
    package var lastWorthwhile: (row: Row, next: Row, gain: Double)? {
        for (row, next) in zip(rows, rows.dropFirst()) {
            let gain = row.hours / next.hours - 1
            let cost = Double(next.ranks) / Double(row.ranks) - 1
            if gain < cost / 2 { return (row, next, gain) }
        }
        return nil
    }

    /// The number of ranks beyond which the batch exceeds the critical batch; nil if the batch does
    /// not grow with the ranks.
    package var criticalRanks: Int? {
        guard let critical = request.criticalBatch, let sequences = request.sequencesPerRank else {
            return nil
        }
        return Int(min(0x1p62, critical / Double(sequences)))
    }
}

// MARK: - The model

extension ClusterPlan {
    private func trainingPlan(ranks: Int) throws(Failure) -> TrainingPlan {
        var recipe = request.recipe
        if let sequences = request.sequencesPerRank {
            recipe.training.globalBatch = sequences * ranks
            if recipe.reduction.lanes > 0 || recipe.training.microBatch > 0 {
                recipe.reduction.lanes = ranks
            }
            if recipe.training.microBatch > 0, sequences % recipe.training.microBatch != 0 {
                recipe.training.microBatch = 0
            }
        }
        return try TrainingPlan(recipe, ranks: ranks)
    }

    private func row(ranks: Int) throws(Failure) -> Row {
        let (recipe, step) = (request.recipe, request.step)
        let plan = try trainingPlan(ranks: ranks)
        let hosts = (ranks + request.ranksPerHost - 1) / request.ranksPerHost
        let costs = request.network.costs(hosts: hosts)
        let lanes = (plan.lanes.laneCount + ranks - 1) / ranks
        let sequences = lanes * plan.lanes.sequencesPerLane
        let work = work(sequences: sequences, plan)
        let backward = step.backward * work
        let lastBackward = backward * Double(plan.lanes.microBatch) / Double(sequences)
        let traffic = ExchangeTraffic(
            elementCount: GPTLayout(recipe.model).arena.count, tree: plan.lanes.tree,
            hosts: hosts, ranksPerHost: ranks / hosts,
            bucketBytes: Int(recipe.reduction.bucketMebibytes * 0x1p20),
            wire: recipe.reduction.wire, scatters: recipe.optimizer.sharded)
        let ready = readyTimes(traffic.partition.buckets, backward: lastBackward)
        let exchange = traffic.exposedSeconds(
            ready: ready, backward: lastBackward, costs: costs)
        // The lanes' losses and norms are gathered in messages that double with each round.
        let rounds = hosts == 1 ? 0 : Double(Int.bitWidth - (hosts - 1).leadingZeroBitCount)
        // A lone rank adds its lanes but communicates with none.
        let isAlone = ranks == 1 && step.ranks > 1
        let reduction = isAlone ? 0 : step.reduction * Double(lanes) / Double(step.lanes)
        let exposed =
            (step.ranks > 1 ? reduction : 0) + exchange + traffic.gatherSeconds(costs: costs)
            + rounds * (costs.latency + 2 * costs.messageSeconds)
        let stragglers =
            step.deviation * work * max(0, Self.slowest(of: ranks) - Self.slowest(of: step.ranks))
        let shard = recipe.optimizer.sharded ? Double(step.ranks) / Double(ranks) : 1
        let seconds =
            step.forward * work + backward + step.update * shard + step.other
            + (step.ranks > 1 ? 0 : reduction) + exposed + stragglers
        var executed: Double?
        if request.executes, ranks <= Self.mostExecutedRanks {
            executed =
                seconds - exchange
                + traffic.executedSeconds(ready: ready, backward: lastBackward, costs: costs)
        }
        let speed = Double(plan.tokensPerStep) / seconds
        let first = rows.first?.tokensPerSecond ?? speed
        let tokens = tokens(globalBatch: plan.lanes.globalBatch)
        return Row(
            ranks: ranks, hosts: hosts, globalBatch: plan.lanes.globalBatch, stepSeconds: seconds,
            exposedSeconds: exposed, stragglerSeconds: stragglers, executedSeconds: executed,
            tokensPerSecond: speed, efficiency: speed / first / Double(ranks),
            rankBytes: rankBytes(plan, ranks: ranks, hosts: hosts, traffic), tokens: tokens,
            coreHours: tokens / speed / 3600 * Double(ranks * step.threads),
            rates: rules.map { rate($0, globalBatch: plan.lanes.globalBatch) })
    }

    /// Returns the arithmetic of a rank's sequences relative to that of the measured step.
    private func work(sequences: Int, _ plan: TrainingPlan) -> Double {
        func operations(tokens: Int, of sequenceLength: Int) -> Double {
            Double(tokens)
                * request.recipe.model.flopsPerToken(sequenceLength: sequenceLength)
        }
        return operations(tokens: sequences * plan.sequenceLength, of: plan.sequenceLength)
            / operations(tokens: request.step.tokens, of: request.step.sequenceLength)
    }

    /// Returns the times at which buckets are ready, from the start of a backward pass: the head
    /// comes first, then the blocks at an even pace, and the embeddings are complete at the end.
    private func readyTimes(_ buckets: [Range<Int>], backward: Double) -> [Double] {
        let model = request.recipe.model
        let layout = GPTLayout(model)
        let embeddings = layout.embeddingRange.upperBound
        let head = 6 * Double(model.paddedVocabularySize * model.width)
        let blocks = model.flopsPerToken(sequenceLength: request.recipe.model.contextLength) - head
        let headShare = head / (head + max(0, blocks) * 2 / 3)
        return buckets.map { bucket in
            guard bucket.lowerBound >= embeddings else { return backward }
            let done =
                Double(layout.arena.count - bucket.lowerBound)
                / Double(layout.arena.count - embeddings)
            return backward * (headShare + (1 - headShare) * done)
        }
    }

    /// Returns the expected largest of some independent standard normal numbers (Blom 1958).
    private static func slowest(of count: Int) -> Double {
        StudentT.quantile(
            (Double(count) - 0.375) / (Double(count) + 0.25), degreesOfFreedom: 1000)
    }

    /// Returns the tokens with which a batch reaches the loss that the recipe's batch reaches with
    /// the requested tokens: proportional to 1 + B / critical batch (McCandlish et al. 2018).
    private func tokens(globalBatch: Int) -> Double {
        let training = request.recipe.training
        let tokens =
            request.tokens
            ?? Double(training.steps * training.globalBatch * request.recipe.model.contextLength)
        guard let critical = request.criticalBatch else { return tokens }
        return tokens * (critical + Double(globalBatch))
            / (critical + Double(training.globalBatch))
    }

    /// Returns a rule's peak rate; nil if the rule does not reach the batch or needs a number that is
    /// unknown.
    private func rate(_ rule: ScalingConfiguration.Rule, globalBatch: Int) -> Double? {
        var scaling = request.recipe.scaling
        if rule != scaling.rule {
            scaling = ScalingConfiguration()
            scaling.rule = rule
            scaling.baseBatch = request.recipe.scaling.baseBatch
            if rule == .noiseScale || rule == .surge { scaling.noiseScale = request.criticalBatch }
        }
        return try? scaling.resolve(request.recipe.optimizer, globalBatch: globalBatch)
            .peakLearningRate
    }

    /// Returns the memory of a rank: the least, the messages' memory, and what the measured step
    /// needed above its least.
    private func rankBytes(
        _ plan: TrainingPlan, ranks: Int, hosts: Int, _ traffic: ExchangeTraffic
    ) -> Int {
        let bytes = plan.leastBytes(ofRank: 0, size: ranks) + bytesBeyondLeast
        return Int(min(0x1p62, bytes)) + traffic.slotBytes
            + (hosts - 1) * MPIEnvironment.eagerBytes
    }
}
