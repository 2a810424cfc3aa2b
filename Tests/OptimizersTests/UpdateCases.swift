import Compute
import Optimizers
import Recipes
import TestSupport

extension Optimizer {
    /// Counts a step of a rule without trust ratios, which reads no gradients.
    mutating func beginStep() {
        let none = Buffer<Float>(count: 0)
        beginStep(parameters: none, gradients: none, team: ThreadTeam(threads: 1))
    }
}

/// A tensor of a golden file.
struct TensorShape: Decodable {
    let name: String
    let shape: [Int]
}

/// The content of `updates.json` and `trust_ratios.json`: steps of several rules on the same
/// gradients.
struct UpdateCases: Decodable {
    struct Case: Decodable {
        let title: String
        let name: String
        let decay: String
        let weightDecay: Double
        let momentum: Double
        let dampening: Double
        let nesterov: Bool
        let betas: [Double]
        let epsilon: Double
        /// The trust coefficient of LARS; nil if the file has no such rule.
        let trustCoefficient: Double?
        /// The factor of the gradients; nil stands for 1.
        let gradientScale: Float?
        let parameters: [String: NamedValues]
        let state: [String: NamedValues]

        func configuration() throws -> OptimizerConfiguration {
            var configuration = OptimizerConfiguration(
                name: try .init(name, key: "name"), momentum: momentum, nesterov: nesterov,
                dampening: dampening, beta1: betas[0], beta2: betas[1], epsilon: epsilon,
                weightDecay: weightDecay, decay: try .init(decay, key: "decay"))
            if let trustCoefficient { configuration.trustCoefficient = trustCoefficient }
            return configuration
        }
    }

    let shapes: [TensorShape]
    let learningRates: [Double]
    let initial: NamedValues
    let gradients: [NamedValues]
    let cases: [Case]
}

/// Returns the values of the tensor "large" as the scripts that make golden files compute them.
func large(_ salt: Int) -> [Float] {
    (0..<131 * 257).map { Float(($0 * 7919 + salt * 104_729) % 65_536) / 32_768 - 1 }
}

/// Returns the values of a tensor that its golden file holds: of "large" every 997th, of others all.
func compared(_ tensor: NamedTensor, of arena: Buffer<Float>) -> [Float] {
    let values = Array(arena.elements[tensor.range])
    guard tensor.name == "large" else { return values }
    return stride(from: 0, to: values.count, by: 997).map { values[$0] }
}

/// Returns an arena's values: numbers from -1 to 1 in its tensors and zero in its padding.
func random(_ layout: ArenaLayout, key: UInt64) -> Buffer<Float> {
    let generator = CounterRandom(key: key)
    let buffer = Buffer<Float>(count: layout.count)
    for tensor in layout.tensors {
        for index in tensor.range {
            buffer.elements[index] = Float(generator.uniform(UInt64(index)) * 2 - 1)
        }
    }
    return buffer
}
