import Checkpoints
import Compute
import Foundation
import Model
import Optimizers
import Recipes
import Support
import TestSupport
import Testing

/// Returns a buffer with given values.
private func buffer(_ values: [Double]) -> Buffer<Float> {
    let buffer = Buffer<Float>(count: values.count)
    for (index, value) in values.enumerated() { buffer.base[index] = Float(value) }
    return buffer
}

/// Tests of the largest eigenvalue by products.
@Suite struct LargestEigenvalueTests {
    /// Returns I - 2 u u' applied to a vector, for a fixed unit vector u.
    private func reflected(_ vector: [Double]) -> [Double] {
        let raw = vector.indices.map { sin(Double($0 + 1)) }
        let length = raw.reduce(0) { $0 + $1 * $1 }
        let product = zip(raw, vector).reduce(0) { $0 + $1.0 * $1.1 }
        return zip(raw, vector).map { $1 - 2 * product / length * $0 }
    }

    /// Returns the largest eigenvalue of a matrix with given eigenvalues.
    private func largest(_ eigenvalues: [Double], tolerance: Double = 0.01) -> Double {
        largestEigenvalue(
            start: buffer(eigenvalues.indices.map { cos(Double(3 * $0)) }), tolerance: tolerance
        ) { vector, image in
            let turned = reflected(vector.elements.map(Double.init))
            let result = reflected(zip(turned, eigenvalues).map { $0 * $1 })
            for (index, value) in result.enumerated() { image.base[index] = Float(value) }
        }
    }

    @Test("planted eigenvalues are found")
    func planted() {
        #expect(abs(largest([3, 1, 2, -1]) - 3) < 1e-5)
        // An equally large negative one, a cluster, and one value that dwarfs the others.
        #expect(abs(largest([-50, 7, 3, 2, 1, 0]) - 7) < 1e-3)
        #expect(abs(largest((0..<300).map { 5 - Double($0) / 100 } + [9]) - 9) < 0.01)
        #expect(abs(largest([1e6] + [Double](repeating: 1, count: 99)) / 1e6 - 1) < 1e-6)
        #expect(abs(largest([-1, -2, -3]) + 1) < 1e-5)
    }

    @Test("a smaller tolerance gives a better result")
    func tolerance() {
        let eigenvalues = (0..<200).map { 4 - 0.01 * Double($0) }
        #expect(abs(largest(eigenvalues, tolerance: 1e-4) - 4) < 1e-3)
    }

    @Test("values that are not finite give no number")
    func notFinite() {
        #expect(largest([1, .nan, 2]).isNaN)
        #expect(largest([1, .infinity, 2]).isNaN)
        #expect(largestEigenvalue(start: buffer([0, 0])) { _, _ in }.isNaN)
    }
}

/// Tests of the sharpness.
@Suite struct SharpnessTests {
    /// The gradient of a quadratic loss is exact to rounding: its Hessian is diagonal here, and the
    /// preconditioner turns 4, 1 and 9 into 8, 10 and 0.9.
    @Test("a quadratic loss has the sharpness of its preconditioned Hessian")
    func quadratic() {
        let hessian: [Float] = [4, 1, 9]
        let found = sharpness(at: buffer([0.3, -0.2, 0.1]), factors: buffer([2, 10, 0.1])) {
            for index in 0..<3 { $1.base[index] = hessian[index] * $0.base[index] }
        }
        #expect(abs(found - 10) < 0.01)
    }

    /// The gradient of a loss of -cos(kx) / k^2 is sin(kx) / k, which has many periods within the
    /// usual distance of two gradients.
    @Test("the Hessian may change within a short distance")
    func shortPeriod() {
        let k = 1e4
        let found = sharpness(at: buffer([0.5 / k]), factors: buffer([1])) {
            $1.base[0] = Float(sin(k * Double($0.base[0])) / k)
        }
        #expect(abs(found - cos(0.5)) < 0.01)
    }

    /// The golden file has the eigenvalues of the exact Hessian in fp64. Differences of gradients
    /// in fp32 have a relative error of about 1e-4, and Lanczos' method ends within 1 %.
    @Test("a small GPT has the sharpness of PyTorch's exact Hessian", arguments: ["plain", "adam"])
    func golden(matrix: String) throws {
        let file = try SafetensorsFile(opening: goldenPath("sharpness.safetensors"))
        let number = { (key: String) in file.metadata[key].flatMap { Int($0) } ?? 0 }
        var configuration = GPTConfiguration()
        configuration.layers = number("layers")
        configuration.heads = number("heads")
        configuration.width = number("width")
        configuration.contextLength = number("context_length")
        configuration.vocabularySize = number("vocabulary_size")
        let layout = GPTLayout(configuration).arena
        let (parameters, factors) = (
            Buffer<Float>(count: layout.count), Buffer<Float>(count: layout.count)
        )
        factors.elements.update(repeating: 1)
        for tensor in layout.tensors {
            try file.copy(
                tensor.name, shape: tensor.shape, into: parameters.base + tensor.offset)
            if matrix == "adam" {
                try file.copy(
                    "scale.\(tensor.name)", shape: tensor.shape,
                    into: factors.base + tensor.offset)
            }
        }
        let (batch, tokens) = (number("batch"), number("batch") * configuration.contextLength)
        func read(_ name: String) throws -> Buffer<Int32> {
            var values = [Float](repeating: 0, count: tokens)
            try file.copy(name, shape: [batch, configuration.contextLength], into: &values)
            let buffer = Buffer<Int32>(count: tokens)
            for (index, value) in values.enumerated() { buffer.base[index] = Int32(value) }
            return buffer
        }
        let (inputs, targets) = (try read("tokens"), try read("targets"))
        let model = GPT(
            configuration, microBatch: batch, training: true, engine: ComputeEngine(threads: 1))
        let found = sharpness(at: parameters, factors: factors) { parameters, gradients in
            let parameters = Parameters(parameters, precision: .fp32)
            let batch = TokenBatch(inputs: inputs.base, targets: targets.base)
            model.forward(batch, parameters: parameters, dropout: nil)
            _ = model.backward(
                batch, parameters: parameters, gradients: gradients,
                gradientScale: 1 / Float(tokens), accumulates: false, dropout: nil
            ) { _ in }
        }
        var eigenvalues = [Float](repeating: 0, count: number("parameters"))
        try file.copy(matrix, shape: [eigenvalues.count], into: &eigenvalues)
        let expected = Double(eigenvalues[eigenvalues.count - 1])
        #expect(abs(found / expected - 1) < 2e-3, "\(found), not \(expected)")
    }
}
