import Compute
import Optimizers
import Recipes
import TestSupport
import Testing

/// Tests of the stability of optimizers.
@Suite struct StabilityTests {
    private static var layout: ArenaLayout {
        var layout = ArenaLayout()
        layout.append("w", shape: [4, 4])
        return layout
    }

    /// Returns how far an optimizer is from the minimum of curvature / 2 x^2 after many steps,
    /// beginning at 1.
    private func distance(_ configuration: OptimizerConfiguration, curvature: Float) -> Float {
        let (parameters, gradients) = (
            Buffer<Float>(count: Self.layout.count), Buffer<Float>(count: Self.layout.count)
        )
        parameters.elements.update(repeating: 1)
        var optimizer = Optimizer(configuration: configuration, layout: Self.layout)
        for _ in 0..<400 {
            for index in 0..<parameters.count {
                gradients.base[index] = curvature * parameters.base[index]
            }
            optimizer.beginStep()
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: 0.01,
                range: 0..<parameters.count)
        }
        return abs(parameters.base[0])
    }

    @Test(
        "SGD converges just below its bound and diverges just above it",
        arguments: [
            OptimizerConfiguration(name: .sgd), OptimizerConfiguration(name: .sgd, momentum: 0.9),
            OptimizerConfiguration(name: .sgd, momentum: 0.9, dampening: 0.3),
            OptimizerConfiguration(name: .sgd, momentum: 0.9, nesterov: true),
        ])
    func descent(_ configuration: OptimizerConfiguration) {
        let optimizer = Optimizer(configuration: configuration, layout: Self.layout)
        let bound = Float(optimizer.stableProduct / 0.01)
        #expect(distance(configuration, curvature: 0.98 * bound) < 0.05)
        #expect(!(distance(configuration, curvature: 1.02 * bound) < 10))
    }

    @Test("Adam's bound is 38 at a beta1 of 0.9, as in the paper")
    func adamsBound() {
        let optimizer = Optimizer(
            configuration: OptimizerConfiguration(name: .adamw, beta1: 0.9), layout: Self.layout)
        #expect(abs(optimizer.stableProduct - 38) < 1e-12)
        // Adam with a fixed denominator, at rate 1.
        func distance(_ curvature: Double) -> Double {
            var (x, mean) = (1.0, 0.0)
            for _ in 0..<2000 {
                mean = 0.9 * mean + 0.1 * curvature * x
                x -= mean
            }
            return abs(x)
        }
        #expect(distance(37.5) < 0.1 && distance(38.5) > 10)
    }

    @Test("factors are those of the next step's direction")
    func factors() {
        // With a constant gradient g, both corrected moments are those of g.
        let configuration = OptimizerConfiguration(
            name: .adam, beta1: 0.9, beta2: 0.99, epsilon: 1e-3)
        let (parameters, gradients) = (
            Buffer<Float>(count: Self.layout.count), Buffer<Float>(count: Self.layout.count)
        )
        for index in 0..<16 { gradients.base[index] = 0.5 * Float(index) }
        var optimizer = Optimizer(configuration: configuration, layout: Self.layout)
        for _ in 0..<5 {
            optimizer.beginStep()
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: 0.1,
                range: 0..<parameters.count)
        }
        let factors = Buffer<Float>(count: Self.layout.count)
        optimizer.writeStepFactors(into: factors)
        let correction = 1 - 0.9 * 0.9 * 0.9 * 0.9 * 0.9
        for index in 0..<16 {
            let expected = 1 / (correction * (0.5 * Double(index) + 1e-3))
            #expect(abs(Double(factors.base[index]) / expected - 1) < 1e-5)
        }
    }

    @Test("the factors of tensors count")
    func tensorFactors() {
        let factors = Buffer<Float>(count: Self.layout.count)
        Optimizer(
            configuration: OptimizerConfiguration(name: .sgd), layout: Self.layout,
            factors: [TensorFactors(initial: 1, rate: 0.25, epsilon: 1)]
        ).writeStepFactors(into: factors)
        #expect(factors.elements.allSatisfy { $0 == 0.25 })
    }

    @Test("the parts of shards add up, and trust ratios count")
    func shardsAndTrust() {
        var layout = ArenaLayout()
        layout.append("w", shape: [8, 8])
        let descent = OptimizerConfiguration(name: .sgd)
        let parts = [[0..<16], [16..<64]].map { owned in
            let factors = Buffer<Float>(count: 64)
            Optimizer(configuration: descent, layout: layout, owned: owned)
                .writeStepFactors(into: factors)
            return Array(factors.elements)
        }
        #expect(parts[0] == Array(repeating: 1, count: 16) + Array(repeating: 0, count: 48))
        #expect(zip(parts[0], parts[1]).allSatisfy { $0 + $1 == 1 })

        let (parameters, gradients) = (random(layout, key: 1), random(layout, key: 2))
        var optimizer = Optimizer(
            configuration: OptimizerConfiguration(name: .lars, trustCoefficient: 0.01),
            layout: layout)
        optimizer.beginStep(
            parameters: parameters, gradients: gradients, team: ThreadTeam(threads: 1))
        let factors = Buffer<Float>(count: 64)
        optimizer.writeStepFactors(into: factors)
        func norm(_ values: Buffer<Float>) -> Double {
            values.elements.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        }
        let expected = 0.01 * norm(parameters) / norm(gradients)
        #expect(factors.elements.allSatisfy { abs(Double($0) / expected - 1) < 1e-6 })
    }
}
