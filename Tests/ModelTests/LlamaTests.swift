import Compute
import Foundation
import Model
import Recipes
import Support
import TestSupport
import Testing

/// Tests of LLaMA's block that need no golden files.
@Suite struct LlamaTests {
    @Test("tensors have the names and shapes of Hugging Face's checkpoints")
    func tensorsAreThoseOfHuggingFace() {
        let layout = GPTLayout(llama(layers: 1, width: 24, heads: 4, kvHeads: 2, hidden: 40))
        #expect(
            layout.arena.tensors.map { "\($0.name) \($0.shape)" } == [
                "model.embed_tokens.weight [17, 24]",
                "model.layers.0.input_layernorm.weight [24]",
                "model.layers.0.self_attn.q_proj.weight [24, 24]",
                "model.layers.0.self_attn.k_proj.weight [12, 24]",
                "model.layers.0.self_attn.v_proj.weight [12, 24]",
                "model.layers.0.self_attn.o_proj.weight [24, 24]",
                "model.layers.0.post_attention_layernorm.weight [24]",
                "model.layers.0.mlp.gate_proj.weight [40, 24]",
                "model.layers.0.mlp.up_proj.weight [40, 24]",
                "model.layers.0.mlp.down_proj.weight [24, 40]",
                "model.norm.weight [24]",
                "lm_head.weight [17, 24]",
            ])
        #expect(GPTLayout(llama(tiesHead: true)).arena["lm_head.weight"] == nil)
    }

    /// Llama 2 7B, Llama 3.1 8B and Llama 3.2 1B, as their checkpoints' headers count them.
    @Test(
        "the number of parameters is that of published models",
        arguments: [
            (32, 4096, 32, 32, 11_008, 32_000, false, 6_738_415_616),
            (32, 4096, 32, 8, 14_336, 128_256, false, 8_030_261_248),
            (16, 2048, 32, 8, 8192, 128_256, true, 1_235_814_400),
        ])
    func parametersArePublished(
        layers: Int, width: Int, heads: Int, kvHeads: Int, hidden: Int, vocabulary: Int,
        tiesHead: Bool, count: Int
    ) {
        let shape = llama(
            layers: layers, width: width, heads: heads, kvHeads: kvHeads, hidden: hidden,
            vocabulary: vocabulary, tiesHead: tiesHead)
        #expect(shape.parameterCount == count)
        // A token embedding that is not the head is looked up, not multiplied.
        let multiplied = count - (tiesHead ? 0 : vocabulary * width)
        let attention = 12 * layers * width * 100
        #expect(
            shape.flopsPerToken(sequenceLength: 100) == Double(6 * multiplied + attention))
    }

    @Test("the memory of a generator includes the tables of rotary positions")
    func generatorCountsRotaryTables() {
        func bytes(heads: Int) -> Int {
            let shape = llama(width: 64, heads: heads, context: 256)
            let values = Parameters(parameters(GPTLayout(shape)))
            return Generator(shape, parameters: values, engine: ComputeEngine()).bytes
        }
        // Nothing else depends on the number of heads: a cosine and a sine for each pair of a head's channels.
        #expect(bytes(heads: 1) - bytes(heads: 2) == 256 * (32 - 16) * 2 * 4)
    }

    @Test("the initialization has GPT-2's deviations")
    func initialization() {
        let layout = GPTLayout(llama(layers: 8, width: 96, heads: 3, vocabulary: 500))
        let values = parameters(layout)
        for tensor in layout.arena.tensors {
            let x = values.values(tensor)
            if tensor.shape.count == 1 {
                #expect(x.allSatisfy { $0 == 1 })
                continue
            }
            let scaled = ["o_proj.weight", "down_proj.weight"].contains {
                tensor.name.hasSuffix($0)
            }
            let expected = scaled ? 0.02 / 4 : 0.02
            let deviation = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count)).squareRoot()
            #expect(abs(deviation / expected - 1) < 5 / Double(x.count).squareRoot())
        }
    }

    @Test(
        "logits do not depend on later tokens and depend on earlier ones",
        arguments: [(9, 4), (130, 70)])
    func causality(length: Int, position: Int) {
        let shape = llama(context: length)
        let model = GPT(shape, microBatch: 1, training: false, engine: ComputeEngine())
        let parameters = parameters(model.layout)
        let inputs = tokens(length, below: 17, seed: 5)
        func logits() -> Matrix {
            let batch = TokenBatch(inputs: inputs.base, targets: inputs.base)
            model.forward(batch, parameters: Parameters(parameters), dropout: nil)
            let values = Buffer<Float>(count: length * shape.paddedVocabularySize)
            kept.append(values)
            let logits = Matrix(values.base, rows: length, columns: shape.paddedVocabularySize)
            model.logits(parameters: Parameters(parameters), into: logits)
            return logits
        }
        var kept: [Buffer<Float>] = []
        let before = logits()
        inputs.base[position] = (inputs.base[position] + 1) % 17
        let after = logits()
        for t in 0..<length {
            let isSame = (0..<17).allSatisfy { before.row(t)[$0] == after.row(t)[$0] }
            #expect(isSame == (t < position), "position \(t)")
        }
        withExtendedLifetime(kept) {}
    }

    @Test(
        "the backward pass finishes the whole arena from its end",
        arguments: [(true, 24), (false, 24), (false, 18)])
    func backwardFinishesTheWholeArenaFromItsEnd(tiesHead: Bool, width: Int) {
        let shape = llama(width: width, heads: 3, kvHeads: 1, hidden: 23, tiesHead: tiesHead)
        expectFinishedArena(shape)
    }

    /// Widths of 18 leave gaps between the weights of queries, keys and values; widths of 24 and 32
    /// do not.
    @Test("gradients of micro-batches add up", arguments: [(18, 23), (24, 40), (32, 48)])
    func microBatchesAddUp(width: Int, hidden: Int) {
        let shape = llama(width: width, heads: 1, hidden: hidden)
        let whole = GPT(shape, microBatch: 4, training: true, engine: ComputeEngine())
        let half = GPT(shape, microBatch: 2, training: true, engine: ComputeEngine())
        let parameters = parameters(whole.layout)
        let expected = Buffer<Float>(count: parameters.count)
        let sums = Buffer<Float>(count: parameters.count)
        let loss = MicroBatches(1, for: whole).run(parameters: parameters, gradients: expected)
        let losses = MicroBatches(2, for: half).run(parameters: parameters, gradients: sums)
        #expect(abs(loss[0] - losses.reduce(0, +)) < 1e-9 * loss[0])
        for tensor in whole.layout.arena.tensors {
            #expect(
                relativeError(sums.values(tensor), expected.values(tensor)) < 1e-5, "\(tensor.name)"
            )
        }
    }

    @Test(
        "recomputation gives the same bits", arguments: Precision.allCases,
        [(1, 1), (3, 1), (3, 3)])
    func recomputationGivesTheSameBits(precision: Precision, shape: (layers: Int, kvHeads: Int)) {
        let shape = llama(layers: shape.layers, kvHeads: shape.kvHeads, context: 70)
        func run(recomputes: Bool, threads: Int) -> ([Double], [UInt32]) {
            let model = GPT(
                shape, microBatch: 2, training: true, precision: precision,
                recomputes: recomputes, engine: ComputeEngine(threads: threads))
            let gradients = Buffer<Float>(count: model.layout.arena.count)
            gradients.elements.update(repeating: .nan)  // The old content must not matter.
            let losses = MicroBatches(3, for: model).run(
                parameters: parameters(model.layout), gradients: gradients)
            let bits = model.layout.arena.tensors.flatMap { tensor in
                gradients.elements[tensor.range].map(\.bitPattern)
            }
            return (losses, bits)
        }
        let (losses, bits) = run(recomputes: false, threads: 1)
        #expect(bits.count == shape.parameterCount)
        #expect(bits.allSatisfy { Float(bitPattern: $0).isFinite })
        for (recomputes, threads) in [(true, 1), (true, 2), (false, 3)] {
            let (otherLosses, otherBits) = run(recomputes: recomputes, threads: threads)
            #expect(otherLosses == losses)
            #expect(otherBits == bits, "\(threads) threads, recomputes: \(recomputes)")
        }
    }

    /// A block keeps only its input, (N, C), and not the outputs of two norms with a number per
    /// row, queries, keys and values, attention with a number per head, the stream and 3 F channels.
    @Test("recomputation saves the computed amount of memory", arguments: [1, 2, 5])
    func memoryShrinksAsComputed(layers: Int) {
        let shape = llama(
            layers: layers, width: 48, heads: 4, kvHeads: 2, hidden: 80, context: 16)
        let bytes = [false, true].map { recomputes in
            GPT(
                shape, microBatch: 2, training: true, recomputes: recomputes,
                engine: ComputeEngine()
            ).activationBytes
        }
        let perRow = 2 * (48 + 1) + (48 + 2 * 24) + 48 + 4 + 48 + 3 * 80
        #expect(bytes[0] - bytes[1] == 4 * (layers - 1) * 32 * perRow)
    }

    @Test(
        "the memory plan counts the scratch memory that a step takes",
        arguments: Precision.allCases, [1, 2])
    func scratchMemoryIsPlanned(precision: Precision, threads: Int) {
        let engine = ComputeEngine(threads: threads)
        let model = GPT(
            llama(context: 70), microBatch: 2, training: true, precision: precision,
            engine: engine)
        let values = parameters(model.layout)
        let planned = model.scratchBytes(parameters: Parameters(values, precision: precision))
        #expect(engine.scratchBytes == 0)
        _ = MicroBatches(3, for: model).run(
            parameters: values, gradients: Buffer(count: values.count))
        #expect(engine.scratchBytes <= planned)
        #expect(threads > 1 || engine.scratchBytes == planned)
    }

    @Test(
        "generation with a cache equals the full forward pass",
        arguments: [(true, 3), (false, 1)])
    func generationWithACacheEqualsTheForwardPass(tiesHead: Bool, kvHeads: Int) {
        let shape = llama(kvHeads: kvHeads, context: 12, tiesHead: tiesHead)
        let errors = generationErrors(shape, .fp32, against: .fp32)
        #expect(errors.allSatisfy { $0 < 1e-5 }, "\(errors)")
    }

    @Test("generation rounds the values that the full forward pass rounds")
    func generationRoundsLikeTheForwardPass() {
        let shape = llama(kvHeads: 1, context: 12)
        let rounded = generationErrors(shape, .bf16, against: .bf16)
        let exact = generationErrors(shape, .fp32, against: .bf16)
        #expect(rounded.allSatisfy { $0 < 0.02 }, "\(rounded)")
        #expect(
            rounded.reduce(0, +) < 0.5 * exact.reduce(0, +), "\(rounded) against \(exact)")
    }

    /// The values are those of `LlamaConfig(rope_parameters=...)` in Transformers 5.23.0.
    @Test("rotary frequencies are those of LLaMA and, scaled, of Llama 3.1")
    func rotaryFrequencies() {
        var shape = llama(width: 128, heads: 1)
        #expect(shape.rotaryFrequencies.count == 64)
        #expect(shape.rotaryFrequencies[0] == 1)
        #expect(abs(shape.rotaryFrequencies[32] - 0.01) < 1e-15)
        shape.ropeTheta = 500_000
        let unscaled = shape.rotaryFrequencies
        shape.ropeScaling = RopeScaling()
        let scaled = shape.rotaryFrequencies
        // Waves of up to 2048 tokens stay, and those of more than 8192 are 8 times longer.
        for (before, after) in zip(unscaled, scaled) {
            let wave = 2 * Double.pi / before
            if wave <= 2048 {
                #expect(after == before)
            } else if wave >= 8192 {
                #expect(abs(after * 8 / before - 1) < 1e-12)
            } else {
                #expect(after < before && after > before / 8)
            }
        }
        #expect(zip(unscaled, scaled).contains { $0 != $1 })
    }

    @Test("the configuration for Transformers describes the shape")
    func huggingFaceEntries() throws {
        var shape = llama(layers: 3, width: 48, heads: 4, kvHeads: 2, hidden: 80, context: 16)
        shape.ropeScaling = RopeScaling()
        let text = shape.huggingFaceConfiguration(endOfText: nil)
        let entries = try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(entries["model_type"] as? String == "llama")
        #expect(entries["num_key_value_heads"] as? Int == 2)
        #expect(entries["intermediate_size"] as? Int == 80)
        #expect(entries["tie_word_embeddings"] as? Bool == false)
        let scaling = try #require(entries["rope_scaling"] as? [String: Any])
        #expect(scaling["rope_type"] as? String == "llama3")
        #expect(scaling["original_max_position_embeddings"] as? Int == 8192)
    }
}

/// Returns a small LLaMA's shape.
private func llama(
    layers: Int = 2, width: Int = 24, heads: Int = 3, kvHeads: Int? = nil, hidden: Int? = 40,
    context: Int = 9, vocabulary: Int = 17, tiesHead: Bool = false
) -> GPTConfiguration {
    var shape = configuration(
        layers: layers, width: width, heads: heads, context: context, vocabulary: vocabulary,
        tiesHead: tiesHead)
    shape.architecture = "llama"
    shape.kvHeads = kvHeads
    shape.hiddenWidth = hidden
    return shape
}
