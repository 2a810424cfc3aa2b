import Compute
import Foundation
import Model
import Recipes
import Support
import Testing

@Suite struct GPTTests {
    @Test("each architecture of recipes has a block", arguments: GPTConfiguration.architectures)
    func eachArchitectureHasABlock(name: String) {
        var shape = configuration()
        shape.architecture = name
        #expect(GPTLayout(shape).blocks.count == shape.layers)
    }

    @Test("the initial loss is the logarithm of the vocabulary size")
    func initialLossIsTheLogarithmOfTheVocabulary() {
        let shape = configuration(layers: 4, width: 64, heads: 4, context: 32, vocabulary: 65)
        let model = GPT(shape, microBatch: 4, training: false, engine: ComputeEngine())
        let inputs = tokens(128, below: 65, seed: 1)
        let targets = tokens(128, below: 65, seed: 2)
        let batch = TokenBatch(inputs: inputs.base, targets: targets.base)
        let parameters = parameters(model.layout)
        model.forward(batch, parameters: Parameters(parameters), dropout: nil)
        let loss = model.loss(batch, parameters: Parameters(parameters)) / 128
        #expect(abs(loss - log(65)) < 0.03 * log(65))
    }

    @Test("the initialization has GPT-2's deviations and depends on the seed")
    func initializationHasGPT2sDeviationsAndDependsOnTheSeed() {
        let layout = GPTLayout(configuration(layers: 8, width: 96, heads: 3, vocabulary: 500))
        let values = parameters(layout)
        for tensor in layout.arena.tensors {
            let x = values.values(tensor)
            if tensor.shape.count == 1 {
                #expect(x.allSatisfy { $0 == (tensor.name.hasSuffix(".weight") ? 1 : 0) })
                continue
            }
            let scaled = tensor.name.hasSuffix("c_proj.weight")
            let expected = scaled ? 0.02 / 4 : 0.02
            let deviation = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count)).squareRoot()
            #expect(abs(deviation / expected - 1) < 5 / Double(x.count).squareRoot())
        }
        let again = parameters(layout)
        let other = parameters(layout, seed: 4)
        #expect(values.elements.elementsEqual(again.elements))
        #expect(!values.elements.elementsEqual(other.elements))
    }

    @Test(
        "logits do not depend on later tokens and depend on earlier ones",
        arguments: [(9, 4), (130, 70)])
    func causality(length: Int, position: Int) throws {
        let shape = configuration(context: length)
        let model = GPT(shape, microBatch: 1, training: true, engine: ComputeEngine())
        let inputs = tokens(length, below: 17, seed: 5)
        let targets = Buffer<Int32>(count: length)
        targets.elements.update(repeating: ignoredTarget)
        targets.base[position] = 3
        let batch = TokenBatch(inputs: inputs.base, targets: targets.base)
        let parameters = parameters(model.layout)
        let gradients = Buffer<Float>(count: parameters.count)
        model.forward(batch, parameters: Parameters(parameters), dropout: nil)
        _ = model.backward(
            batch, parameters: Parameters(parameters), gradients: gradients, gradientScale: 1,
            accumulates: false, dropout: nil
        ) { _ in }
        let rows = gradients.matrix(try #require(model.layout.positionEmbedding))
        for t in 0..<length {
            let norm = (0..<24).reduce(Float(0)) { $0 + abs(rows.row(t)[$1]) }
            if t <= position { #expect(norm > 0, "position \(t)") }
            if t > position { #expect(norm == 0, "position \(t)") }
        }
    }

    @Test("gradients of micro-batches add up")
    func microBatchesAddUp() {
        let shape = configuration()
        let whole = GPT(shape, microBatch: 4, training: true, engine: ComputeEngine())
        let half = GPT(shape, microBatch: 2, training: true, engine: ComputeEngine())
        let inputs = tokens(36, below: 17, seed: 6)
        let targets = tokens(36, below: 17, seed: 7)
        let parameters = parameters(whole.layout)
        let run = { (model: GPT, start: Int, gradients: Buffer<Float>, accumulates: Bool) in
            let batch = TokenBatch(
                inputs: inputs.base + start * 9, targets: targets.base + start * 9)
            model.forward(batch, parameters: Parameters(parameters), dropout: nil)
            return model.backward(
                batch, parameters: Parameters(parameters), gradients: gradients,
                gradientScale: 1 / 36,
                accumulates: accumulates, dropout: nil
            ) { _ in }
        }
        let expected = Buffer<Float>(count: parameters.count)
        let loss = run(whole, 0, expected, false)
        let sums = Buffer<Float>(count: parameters.count)
        let lossInParts = run(half, 0, sums, false) + run(half, 2, sums, true)
        #expect(abs(loss - lossInParts) < 1e-9 * loss)
        for tensor in whole.layout.arena.tensors {
            #expect(relativeError(sums.values(tensor), expected.values(tensor)) < 1e-5)
        }
    }

    @Test("the backward pass finishes the whole arena from its end", arguments: [true, false])
    func backwardFinishesTheWholeArenaFromItsEnd(tiesHead: Bool) {
        expectFinishedArena(configuration(tiesHead: tiesHead))
    }

    /// The check is a directional derivative of the loss under the same mask.
    @Test(
        "gradients with dropout are those of the loss under the same mask",
        arguments: [true, false])
    func dropoutGradients(tiesHead: Bool) {
        let model = GPT(
            configuration(dropout: 0.2, tiesHead: tiesHead), microBatch: 2, training: true,
            engine: ComputeEngine())
        #expect((model.layout.arena["lm_head.weight"] == nil) == tiesHead)
        let inputs = tokens(18, below: 17, seed: 9)
        let targets = tokens(18, below: 17, seed: 10)
        let batch = TokenBatch(inputs: inputs.base, targets: targets.base, firstSequence: 5)
        let key = DropoutKey(probability: 0.2, seed: 1, step: 3)
        let parameters = parameters(model.layout)
        for index in 0..<parameters.count { parameters.base[index] *= 5 }
        let gradients = Buffer<Float>(count: parameters.count)
        gradients.elements.update(repeating: .nan)  // The old content must not matter.
        model.forward(batch, parameters: Parameters(parameters), dropout: key)
        let loss = model.backward(
            batch, parameters: Parameters(parameters), gradients: gradients, gradientScale: 1,
            accumulates: false, dropout: key
        ) { _ in }
        model.forward(batch, parameters: Parameters(parameters), dropout: nil)
        #expect(abs(model.loss(batch, parameters: Parameters(parameters)) - loss) > 1e-3)

        for tensor in model.layout.arena.tensors {
            let gradient = gradients.values(tensor)
            let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
            // The slope along the gradient is its norm.
            let h = 0.01 / norm
            let losses = [h, -h].map { h in
                let moved = Buffer<Float>(count: parameters.count)
                moved.base.update(from: parameters.base, count: parameters.count)
                for (index, slope) in gradient.enumerated() {
                    moved.base[tensor.offset + index] += Float(h * slope / norm)
                }
                model.forward(batch, parameters: Parameters(moved), dropout: key)
                return model.loss(batch, parameters: Parameters(moved))
            }
            let slope = (losses[0] - losses[1]) / (2 * h)
            #expect(abs(slope / norm - 1) < 0.02, "\(tensor.name): \(slope) against \(norm)")
        }
    }

    @Test("generation with a cache equals the full forward pass", arguments: [true, false])
    func generationWithACacheEqualsTheForwardPass(tiesHead: Bool) {
        let shape = configuration(context: 12, tiesHead: tiesHead)
        let errors = generationErrors(shape, .fp32, against: .fp32)
        #expect(errors.allSatisfy { $0 < 1e-5 }, "\(errors)")
    }

    /// Sampling in bf16 computes the same as evaluation, except for the order of sums and the rounding
    /// of the attention probabilities.
    @Test("generation rounds the values that the full forward pass rounds")
    func generationRoundsLikeTheForwardPass() {
        let shape = configuration(context: 12)
        let rounded = generationErrors(shape, .bf16, against: .bf16)
        let exact = generationErrors(shape, .fp32, against: .bf16)
        #expect(rounded.allSatisfy { $0 < 0.02 }, "\(rounded)")
        #expect(
            rounded.reduce(0, +) < 0.5 * exact.reduce(0, +), "\(rounded) against \(exact)")
    }

    @Test("every architecture that a recipe can name has a block and an arena")
    func architecturesHaveBlocks() {
        for name in GPTConfiguration.architectures {
            var shape = configuration(layers: 3)
            shape.architecture = name
            let layout = GPTLayout(shape)
            #expect(layout.blocks.count == 3)
            let ends = layout.blocks.flatMap { $0.parts.map(\.range.upperBound) }
            #expect(ends == ends.sorted() && ends.last == layout.finalNormRange.lowerBound)
        }
    }

    @Test("floating-point operations follow the formula")
    func flopsFollowTheFormula() {
        var shape = configuration(layers: 12, width: 768, heads: 12, context: 1024)
        shape.vocabularySize = 50_304
        let n = Double(shape.parameterCount - 1024 * 768)
        #expect(shape.parameterCount == 124_475_904)
        #expect(shape.flopsPerToken(sequenceLength: 256) == 6 * n + 12 * 12 * 768 * 256)
    }

    @Test(
        "impossible shapes are refused with the name of the key",
        arguments: [
            ("layers", 0), ("heads", 0), ("heads", 5), ("width", -1), ("context_length", 0),
            ("vocabulary_size", -2),
        ])
    func impossibleShapesAreRefusedByName(key: String, value: Int) {
        var shape = configuration()
        switch key {
        case "layers": shape.layers = value
        case "heads": shape.heads = value
        case "width": shape.width = value
        case "context_length": shape.contextLength = value
        default: shape.vocabularySize = value
        }
        let failure = #expect(throws: Failure.self) { try shape.validate() }
        #expect(failure?.code == .configuration)
        #expect(failure?.sentence.contains(key) == true)
        #expect(failure?.sentence.contains("\(value)") == true)
    }
}
