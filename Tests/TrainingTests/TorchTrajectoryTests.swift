import Checkpoints
import Compute
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
        let trajectory = try Trajectory(name, parametrization)
        let configuration = try trajectory.optimizer()
        let schedule = try trajectory.schedule(configuration)
        let model = GPT(
            trajectory.shape, microBatch: trajectory.batch, training: true, precision: precision,
            engine: ComputeEngine())
        let layout = model.layout.arena
        let values = Buffer<Float>(count: layout.count)
        let gradients = Buffer<Float>(count: layout.count)
        // The file has other tensors too.
        for tensor in layout.tensors {
            try trajectory.file.copy(
                tensor.name, shape: tensor.shape, into: values.base + tensor.offset)
        }
        let parameters = Parameters(values, precision: precision)
        var optimizer = Optimizer(
            configuration: configuration, layout: layout, factors: model.layout.factors)

        for step in 0..<trajectory.steps {
            let sequences = trajectory.sequences(of: step)
            let loss = try meanLoss(
                of: sequences, model: model, parameters: parameters, gradients: gradients)
            let norm = SumOfSquares.of(gradients).squareRoot()
            // Rounding grows with the steps; a wrong term would show at once.
            let tolerance = rounding * Double(1 + step)
            let expected = Double(trajectory.losses[step])
            #expect(abs(loss - expected) < tolerance * expected, "loss of step \(step)")
            if let expected = trajectory.norms?[step] {
                #expect(abs(norm - Double(expected)) < 5 * tolerance * norm, "norm of step \(step)")
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
        let (first, last) = (trajectory.losses[0], trajectory.losses[trajectory.steps - 1])
        #expect(last < 0.8 * first, "there was something to learn")
    }

    /// Computes the gradient of the mean loss of sequences, and returns the loss.
    private func meanLoss(
        of sequences: (inputs: [Int32], targets: [Int32]), model: GPT, parameters: Parameters,
        gradients: Buffer<Float>
    ) throws -> Double {
        try sequences.inputs.withUnsafeBufferPointer { inputs in
            try sequences.targets.withUnsafeBufferPointer { targets in
                let batch = try TokenBatch(
                    inputs: #require(inputs.baseAddress), targets: #require(targets.baseAddress))
                model.forward(batch, parameters: parameters, dropout: nil)
                let loss = model.backward(
                    batch, parameters: parameters, gradients: gradients,
                    gradientScale: 1 / Float(inputs.count), accumulates: false, dropout: nil
                ) { _ in }
                return loss / Double(inputs.count)
            }
        }
    }
}

/// A golden file of steps in PyTorch: the model, its settings, its tokens and its results.
private struct Trajectory: ~Copyable {
    let file: SafetensorsFile
    let shape: GPTConfiguration
    let steps: Int
    /// The number of sequences in a step.
    let batch: Int
    /// The tokens (steps, batch, contextLength + 1) of all sequences.
    private let tokens: [Float]
    let losses: [Float]
    /// The gradients' norms, or nil for the published forms, which have other gradients.
    let norms: [Float]?

    init(_ name: String, _ parametrization: Parametrization) throws {
        let file = try SafetensorsFile(opening: goldenPath("\(name).safetensors"))
        let metadata = file.metadata
        func number(_ key: String) throws -> Int {
            try #require(metadata[key].flatMap { Int($0) })
        }
        var shape = GPTConfiguration()
        shape.layers = try number("layers")
        shape.heads = try number("heads")
        shape.width = try number("width")
        shape.contextLength = try number("context_length")
        shape.vocabularySize = try number("vocabulary_size")
        shape.parametrization = parametrization
        shape.baseWidth = metadata["base_width"].flatMap { Int($0) }
        shape.baseLayers = metadata["base_layers"].flatMap { Int($0) }
        try shape.validate()
        let (steps, batch) = try (number("steps"), number("batch"))
        var tokens = [Float](repeating: 0, count: steps * batch * (shape.contextLength + 1))
        try file.copy("tokens", shape: [steps, batch, shape.contextLength + 1], into: &tokens)
        var losses = [Float](repeating: 0, count: steps)
        try file.copy("losses", shape: [steps], into: &losses)
        var norms: [Float]?
        if parametrization == .standard {
            var values = losses
            try file.copy("norms", shape: [steps], into: &values)
            norms = values
        }
        self.shape = shape
        self.steps = steps
        self.batch = batch
        self.tokens = tokens
        self.losses = losses
        self.norms = norms
        self.file = file
    }

    private func number(_ key: String) throws -> Double {
        let value = file.metadata[key].flatMap { Double($0) }
        return try #require(value, "\(key)")
    }

    func optimizer() throws -> OptimizerConfiguration {
        var configuration = try OptimizerConfiguration(
            learningRate: number("learning_rate"), weightDecay: number("weight_decay"),
            clipNorm: number("clip_norm"))
        if shape.parametrization != .standard { configuration.epsilon = try number("epsilon") }
        return configuration
    }

    func schedule(_ configuration: OptimizerConfiguration) throws -> Schedule {
        let rate = try ScalingConfiguration().resolve(configuration, globalBatch: batch)
        return try ScheduleConfiguration(
            warmup: .nanogpt, warmupSteps: Int(number("warmup_steps")),
            minimumLearningRate: number("minimum_learning_rate")
        ).resolve(rate, trainingSteps: steps)
    }

    /// Returns the inputs and targets (batch, contextLength) of a step.
    func sequences(of step: Int) -> (inputs: [Int32], targets: [Int32]) {
        let length = shape.contextLength
        var inputs: [Int32] = []
        var targets: [Int32] = []
        for row in 0..<batch {
            let start = (step * batch + row) * (length + 1)
            inputs += tokens[start..<start + length].map { Int32($0) }
            targets += tokens[start + 1...start + length].map { Int32($0) }
        }
        return (inputs, targets)
    }
}
