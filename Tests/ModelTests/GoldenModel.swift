import Checkpoints
import Compute
import Model
import Recipes
import Support
import TestSupport

/// A golden file written by Tests/Golden/make_model_goldens.py or make_llama_goldens.py, and the
/// model that it describes.
final class GoldenModel {
    let configuration: GPTConfiguration
    let layout: GPTLayout
    let batch: Int
    let inputs: [Int32]
    let targets: [Int32]
    let parameters: Buffer<Float>
    let gradients: Buffer<Float>
    let logits: [Double]
    let loss: Double

    init(_ name: String) throws(Failure) {
        let file = try SafetensorsFile(opening: goldenPath("\(name).safetensors"))
        let number = { (key: String) in file.metadata[key].flatMap { Int($0) } ?? 0 }
        var configuration = GPTConfiguration()
        configuration.layers = number("layers")
        configuration.heads = number("heads")
        configuration.width = number("width")
        configuration.contextLength = number("context_length")
        configuration.vocabularySize = number("vocabulary_size")
        if let architecture = file.metadata["architecture"] {
            configuration.architecture = architecture
            configuration.kvHeads = number("kv_heads")
            configuration.hiddenWidth = number("hidden_width")
            configuration.tiesHead = number("tied_head") == 1
            configuration.ropeTheta = file.metadata["rope_theta"].flatMap { Double($0) }
            configuration.normEpsilon = file.metadata["norm_epsilon"].flatMap { Double($0) }
            configuration.ropeScaling = Self.scaling(file.metadata)
        } else {
            configuration.bias = number("bias") == 1
        }
        try configuration.validate()
        self.configuration = configuration
        layout = GPTLayout(configuration)
        batch = number("batch")
        parameters = Buffer(count: layout.arena.count)
        gradients = Buffer(count: layout.arena.count)
        for tensor in layout.arena.tensors {
            try file.copy(
                tensor.name, shape: tensor.shape, into: parameters.base + tensor.offset)
            try file.copy(
                "gradient.\(tensor.name)", shape: tensor.shape,
                into: gradients.base + tensor.offset)
        }
        func read(_ name: String, _ shape: [Int]) throws(Failure) -> [Float] {
            var values = [Float](repeating: 0, count: shape.reduce(1, *))
            try file.copy(name, shape: shape, into: &values)
            return values
        }
        let shape = [batch, configuration.contextLength]
        inputs = try read("tokens", shape).map { Int32($0) }
        targets = try read("targets", shape).map { Int32($0) }
        logits = try read("logits", shape + [configuration.vocabularySize]).map(Double.init)
        loss = Double(try read("loss", [])[0])
    }

    private static func scaling(_ metadata: [String: String]) -> RopeScaling? {
        let number = { (key: String) in metadata[key].flatMap { Double($0) } }
        guard let factor = number("rope_factor"), let low = number("rope_low_frequency"),
            let high = number("rope_high_frequency"), let context = number("rope_original_context")
        else { return nil }
        var scaling = RopeScaling()
        scaling.factor = factor
        scaling.lowFrequency = low
        scaling.highFrequency = high
        scaling.originalContext = Int(context)
        return scaling
    }

    var targetCount: Int { targets.count { $0 >= 0 } }

    func model(threads: Int = 1, training: Bool = true, precision: Precision = .fp32) -> GPT {
        GPT(
            configuration, microBatch: batch, training: training, precision: precision,
            engine: ComputeEngine(threads: threads))
    }

    /// Runs forward and backward; returns the loss and gradients of the mean over targets.
    func run(
        threads: Int = 1, precision: Precision = .fp32
    ) -> (loss: Double, gradients: Buffer<Float>) {
        let model = model(threads: threads, precision: precision)
        let parameters = Parameters(parameters, precision: precision)
        let gradients = Buffer<Float>(count: layout.arena.count)
        gradients.elements.update(repeating: .nan)  // The old content must not matter.
        let loss = inputs.withUnsafeBufferPointer { inputs in
            targets.withUnsafeBufferPointer { targets in
                guard let i = inputs.baseAddress, let t = targets.baseAddress else { return 0.0 }
                let batch = TokenBatch(inputs: i, targets: t)
                model.forward(batch, parameters: parameters, dropout: nil)
                return model.backward(
                    batch, parameters: parameters, gradients: gradients,
                    gradientScale: 1 / Float(targetCount), accumulates: false, dropout: nil
                ) { _ in }
            }
        }
        return (loss / Double(targetCount), gradients)
    }
}

extension Buffer<Float> {
    func values(_ tensor: NamedTensor) -> [Double] { elements[tensor.range].map(Double.init) }
}

/// Returns |x - y| / |y| in the Euclidean norm.
func relativeError(_ x: [Double], _ y: [Double]) -> Double {
    precondition(x.count == y.count)
    let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let norm = y.reduce(0) { $0 + $1 * $1 }
    return (difference / max(norm, 1e-300)).squareRoot()
}
