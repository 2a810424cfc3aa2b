import Checkpoints
import Compute
import Foundation
import Model
import Optimizers
import Recipes
import TestSupport
import Testing

/// Compares thirty steps of model, clipping, schedule and AdamW together with PyTorch in double
/// precision.
@Suite struct TorchTrajectoryTests {
    /// In bf16 the comparison is rough, because each step's rounding enters the next step's
    /// parameters.
    @Test(
        "losses and norms equal those of PyTorch",
        arguments: [(Precision.fp32, 2e-6), (.bf16, 1e-3)])
    func lossesAndNormsFollowPyTorch(precision: Precision, rounding: Double) throws {
        try compare("trajectory", .standard, precision: precision, rounding: rounding)
    }

    @Test(
        "muP and CompleteP equal their published forms in PyTorch",
        arguments: [Parametrization.mup, .completep])
    func parametrizationsFollowPyTorch(parametrization: Parametrization) throws {
        try compare(parametrization.rawValue, parametrization, precision: .fp32, rounding: 2e-6)
    }

    private func compare(
        _ name: String, _ parametrization: Parametrization, precision: Precision, rounding: Double
    ) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().path
        let file = try SafetensorsFile(opening: "\(folder)/Golden/\(name).safetensors")
        func number(_ key: String) throws -> Double {
            try #require(file.metadata[key].flatMap { Double($0) })
        }
        var shape = GPTConfiguration()
        shape.layers = try Int(number("layers"))
        shape.heads = try Int(number("heads"))
        shape.width = try Int(number("width"))
        shape.contextLength = try Int(number("context_length"))
        shape.vocabularySize = try Int(number("vocabulary_size"))
        shape.parametrization = parametrization
        shape.baseWidth = file.metadata["base_width"].flatMap { Int($0) }
        shape.baseLayers = file.metadata["base_layers"].flatMap { Int($0) }
        try shape.validate()
        let (steps, batch, length) = try (
            Int(number("steps")), Int(number("batch")), shape.contextLength
        )
        var tokens = [Float](repeating: 0, count: steps * batch * (length + 1))
        try file.copy("tokens", shape: [steps, batch, length + 1], into: &tokens)
        var losses = [Float](repeating: 0, count: steps)
        try file.copy("losses", shape: [steps], into: &losses)
        // The published forms have other gradients, so their norms differ.
        var norms: [Float]?
        if parametrization == .standard {
            var values = losses
            try file.copy("norms", shape: [steps], into: &values)
            norms = values
        }

        let model = GPT(
            shape, microBatch: batch, training: true, precision: precision, engine: ComputeEngine())
        let layout = model.layout.arena
        let values = Buffer<Float>(count: layout.count)
        let gradients = Buffer<Float>(count: layout.count)
        for tensor in layout.tensors {
            try file.copy(
                tensor.name, shape: tensor.shape, into: values.base + tensor.offset)
        }
        let parameters = Parameters(values, precision: precision)
        var configuration = try OptimizerConfiguration(
            learningRate: number("learning_rate"), weightDecay: number("weight_decay"),
            clipNorm: number("clip_norm"))
        if parametrization != .standard { configuration.epsilon = try number("epsilon") }
        var optimizer = Optimizer(
            configuration: configuration, layout: layout, factors: model.layout.factors)
        let rate = try ScalingConfiguration().resolve(
            configuration, globalBatch: batch)
        let schedule = try ScheduleConfiguration(
            warmup: .nanogpt, warmupSteps: Int(number("warmup_steps")),
            minimumLearningRate: number("minimum_learning_rate")
        ).resolve(rate, trainingSteps: steps)

        for step in 0..<steps {
            var inputs: [Int32] = []
            var targets: [Int32] = []
            for row in 0..<batch {
                let start = (step * batch + row) * (length + 1)
                inputs += tokens[start..<start + length].map { Int32($0) }
                targets += tokens[start + 1...start + length].map { Int32($0) }
            }
            let loss = try inputs.withUnsafeBufferPointer { inputs in
                try targets.withUnsafeBufferPointer { targets in
                    let batch = try TokenBatch(
                        inputs: #require(inputs.baseAddress),
                        targets: #require(targets.baseAddress))
                    model.forward(batch, parameters: parameters, dropout: nil)
                    return model.backward(
                        batch, parameters: parameters, gradients: gradients,
                        gradientScale: 1 / Float(inputs.count), accumulates: false, dropout: nil
                    ) { _ in }
                }
            }
            let norm = SumOfSquares.of(gradients).squareRoot()
            // Rounding grows with the steps; a wrong term would show at once.
            let tolerance = rounding * Double(1 + step)
            let expected = Double(losses[step])
            #expect(
                abs(loss / Double(inputs.count) - expected) < tolerance * expected,
                "loss of step \(step)")
            if let norms {
                #expect(
                    abs(norm - Double(norms[step])) < 5 * tolerance * norm, "norm of step \(step)")
            }
            optimizer.beginStep(
                parameters: values, gradients: gradients, team: ThreadTeam(threads: 1))
            optimizer.update(
                parameters: values, gradients: gradients,
                learningRate: schedule.learningRate(at: step),
                gradientScale: clippingCoefficient(norm: norm, clipNorm: configuration.clipNorm),
                range: 0..<layout.count)
            parameters.round(0..<layout.count)
        }
        #expect(losses[steps - 1] < 0.8 * losses[0], "there was something to learn")
    }
}
