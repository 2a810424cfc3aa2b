import Compute
import MPI
import Model
import Recipes
import Support
import Telemetry

/// The histograms of weights and gradients, and the samples that the model generates, for
/// TensorBoard.
///
/// Rank 0 records them. The other ranks only count the gradients that rank 0 does not have.
final class ModelTelemetry {
    private let configuration: TelemetryConfiguration
    private let layout: ArenaLayout
    private let communicator: Communicator
    private let engine: ComputeEngine
    /// The ranges of the arena whose gradients this rank has, if the ranks have different ones.
    private let shard: [Range<Int>]?
    /// The counts of each thread; empty without histograms.
    private let counts: [ValueCounts]
    /// The generator of texts; nil on the other ranks, or if none are requested.
    private let sampler: TextSampler?
    /// The histograms of the gradients of the step that is being taken.
    private var gradients: [SummaryValue] = []

    /// Allocates the memory for histograms and texts; nil if the recipe requests neither.
    ///
    /// - Throws: `Failure` (configuration), the same on all ranks, if texts are requested but the
    ///   data have no tokenizer.
    init?(
        _ input: TrainingInput, layout: GPTLayout, state: TrainingState, shards: [[Range<Int>]],
        communicator: Communicator, engine: ComputeEngine
    ) throws(Failure) {
        let recipe = input.plan.recipe
        configuration = recipe.telemetry
        guard configuration.histogramEvery > 0 || configuration.sampleEvery > 0 else { return nil }
        self.layout = layout.arena
        self.communicator = communicator
        self.engine = engine
        shard =
            recipe.optimizer.sharded && communicator.size > 1 ? shards[communicator.rank] : nil
        counts =
            configuration.histogramEvery > 0
            ? (0..<engine.team.threadCount).map { _ in ValueCounts() } : []
        sampler =
            configuration.sampleEvery > 0
            ? try communicator.onFirstRank { () throws(Failure) in
                try TextSampler(input, parameters: state.evaluated, engine: engine)
            } : nil
    }

    /// The size of the memory in bytes.
    var bytes: Int {
        counts.reduce(0) { $0 + $1.numbers.bytes.count } + (sampler?.bytes ?? 0)
    }

    /// Returns a function that records the gradients of a step; nil if the step needs none.
    func observer(ofStep step: Int) -> ((Buffer<Float>) throws(Failure) -> Void)? {
        guard isDue(configuration.histogramEvery, step) else { return nil }
        return { (buffer) throws(Failure) in
            RankPlace.enter(.telemetry, step: step)
            self.gradients = try self.histograms(of: buffer, prefix: "gradients", in: self.shard)
            RankPlace.enter(.update, step: step)
        }
    }

    /// Returns the values to record after a step. Collective: every rank must call this.
    func values(after state: TrainingState) throws(Failure) -> [SummaryValue] {
        let step = state.step
        var values = gradients
        gradients = []
        RankPlace.enter(.telemetry, step: step)
        if isDue(configuration.histogramEvery, step) {
            values += try histograms(of: state.parameters.values, prefix: "weights", in: nil)
        }
        if isDue(configuration.sampleEvery, step), let text = sampler?.text() {
            values.append(SummaryValue("sample/text_summary", .text(text)))
        }
        return values
    }

    private func isDue(_ every: Int, _ step: Int) -> Bool { every > 0 && step % every == 0 }

    /// Returns a histogram of each tensor on rank 0.
    ///
    /// - Parameter ranges: the ranges that this rank has if the ranks have different ones; this is
    ///   then collective. Nil if rank 0 has all.
    private func histograms(
        of arena: Buffer<Float>, prefix: String, in ranges: [Range<Int>]?
    ) throws(Failure) -> [SummaryValue] {
        var summaries: [SummaryValue] = []
        guard ranges != nil || communicator.rank == 0 else { return [] }
        for tensor in layout.tensors {
            let counts = count(tensor.range, of: arena, in: ranges)
            if ranges != nil { try add(counts) }
            guard communicator.rank == 0, let summary = counts.summary else { continue }
            summaries.append(SummaryValue("\(prefix)/\(tensor.name)", .histogram(summary)))
        }
        return summaries
    }

    /// Counts a tensor's values, or those in some ranges, on all threads.
    private func count(
        _ tensor: Range<Int>, of arena: Buffer<Float>, in ranges: [Range<Int>]?
    ) -> ValueCounts {
        for counts in counts { counts.removeAll() }
        forEachOverlap(of: tensor, with: ranges ?? [tensor]) { _, elements in
            engine.team.forEach(SumOfSquares.blockCount(elements.count)) { block, thread in
                let part = SumOfSquares.range(ofBlock: block, count: elements.count)
                counts[thread].add(
                    UnsafeBufferPointer(
                        start: arena.base + elements.lowerBound + part.lowerBound,
                        count: part.count))
            }
        }
        for other in counts.dropFirst() { counts[0].add(other) }
        return counts[0]
    }

    /// Adds the counts of all ranks. Collective: every rank must call this.
    private func add(_ counts: ValueCounts) throws(Failure) {
        let own = Array(counts.numbers.elements)
        let all = try communicator.allReduce(own, .sum)
        all.withUnsafeBufferPointer { _ = counts.numbers.elements.update(fromContentsOf: $0) }
        let limits = try communicator.allReduce([counts.minimum, -counts.maximum], .minimum)
        (counts.minimum, counts.maximum) = (limits[0], -limits[1])
    }
}

extension ValueCounts {
    /// The counts as a histogram for TensorBoard; nil if there are no values.
    fileprivate var summary: HistogramSummary? {
        let bins = bins
        guard !bins.isEmpty else { return nil }
        var edges: [(limit: Double, count: Int)] = []
        for bin in bins {
            // A bin of the file begins where the one before it ends.
            if let last = edges.last, last.limit < bin.limits.lowerBound {
                edges.append((bin.limits.lowerBound, 0))
            }
            edges.append((bin.limits.upperBound, bin.count))
        }
        return HistogramSummary(
            minimum: Double(minimum), maximum: Double(maximum), sum: sum,
            sumOfSquares: sumOfSquares, bins: edges)
    }
}

/// A generator of texts by a run's current parameters: those that `lockstep sample` would generate
/// from a checkpoint.
private final class TextSampler {
    private let generator: Generator
    private let generation: TextGeneration

    /// The maximum number of tokens in a text.
    private static let tokens = 128

    init(
        _ input: TrainingInput, parameters: Parameters, engine: ComputeEngine
    ) throws(Failure) {
        let telemetry = input.plan.recipe.telemetry
        guard let tokenizer = input.data.tokenizer else {
            throw .key(
                "[telemetry] sample_every", telemetry.sampleEvery,
                "needs a tokenizer, but \(input.data.path) has no tokenizer.json",
                remedy: "set it to 0")
        }
        generation = try TextGeneration(prompt: "", tokenizer: tokenizer, sampling: .usual)
        generator = Generator(input.plan.recipe.model, parameters: parameters, engine: engine)
    }

    /// The size of the memory in bytes.
    var bytes: Int { generator.bytes }

    /// Returns a text as a code block of Markdown; nil if a logit is not finite.
    func text() -> String? {
        generator.restart()
        var bytes: [UInt8] = []
        let isWhole = try? generation.run(generator, tokens: Self.tokens) { bytes += $0 }
        guard isWhole == true else { return nil }
        // A string would not be split at the line break of a CR LF.
        return bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { "    " + String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
    }
}
