import Compute
import Optimizers
import Recipes
import TestSupport
import Testing

/// Tests of optimizers.
@Suite struct OptimizerTests {
    private static let configurations = [
        OptimizerConfiguration(name: .sgd, weightDecay: 0.1),
        OptimizerConfiguration(name: .sgd, momentum: 0.9, dampening: 0.2, weightDecay: 0.1),
        OptimizerConfiguration(name: .sgd, momentum: 0.9, nesterov: true),
        OptimizerConfiguration(name: .adam, weightDecay: 0.1),
        OptimizerConfiguration(name: .adamw),
    ]

    /// Alternating matrices and vectors, so that decay changes within any long range.
    private static var layout: ArenaLayout {
        var layout = ArenaLayout()
        layout.append("wte.weight", shape: [13, 24], padding: 3 * 24)
        for layer in 0..<3 {
            layout.append("h.\(layer).ln_1.weight", shape: [24])
            layout.append("h.\(layer).ln_1.bias", shape: [24])
            layout.append("h.\(layer).attn.c_attn.weight", shape: [24, 72])
            layout.append("h.\(layer).attn.c_attn.bias", shape: [72])
        }
        return layout
    }

    /// Returns parameters and state after three steps whose updates are divided at `cuts`.
    private static func train(
        _ configuration: OptimizerConfiguration, cuts: [Int], reversed: Bool = false,
        scale: Float = 0.7
    ) -> [[UInt32]] {
        let layout = layout
        let parameters = random(layout, key: 1)
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        let ends = [0] + cuts + [layout.count]
        let ranges = zip(ends, ends.dropFirst()).map { $0..<$1 }
        for step in 0..<3 {
            let gradients = random(layout, key: UInt64(step + 10))
            optimizer.beginStep()
            for range in reversed ? ranges.reversed() : ranges {
                optimizer.update(
                    parameters: parameters, gradients: gradients, learningRate: 0.01,
                    gradientScale: scale, range: range)
            }
        }
        return ([parameters] + optimizer.states.map(\.buffer)).map { buffer in
            buffer.elements.map(\.bitPattern)
        }
    }

    @Test("bits do not depend on the division of the arena", arguments: configurations)
    func cuts(_ configuration: OptimizerConfiguration) {
        let count = Self.layout.count
        let whole = Self.train(configuration, cuts: [])
        #expect(whole[0] != random(Self.layout, key: 1).elements.map(\.bitPattern))
        #expect(Self.train(configuration, cuts: [16]) == whole)
        #expect(Self.train(configuration, cuts: [count - 16, count]) == whole)
        #expect(Self.train(configuration, cuts: [320, 320, 480, 1008]) == whole)
        let finest = Array(stride(from: 16, to: count, by: 16))
        #expect(Self.train(configuration, cuts: finest) == whole)
        #expect(Self.train(configuration, cuts: finest, reversed: true) == whole)
    }

    @Test("threads that share an arena by ranges give the same bits", arguments: configurations)
    func threads(_ configuration: OptimizerConfiguration) async {
        let layout = Self.layout
        let parameters = random(layout, key: 1)
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        for step in 0..<3 {
            let gradients = random(layout, key: UInt64(step + 10))
            optimizer.beginStep()
            let current = optimizer
            await withTaskGroup(of: Void.self) { group in
                for start in stride(from: 0, to: layout.count, by: 256) {
                    group.addTask {
                        current.update(
                            parameters: parameters, gradients: gradients,
                            learningRate: 0.01, gradientScale: 0.7,
                            range: start..<min(start + 256, layout.count))
                    }
                }
            }
        }
        let whole = Self.train(configuration, cuts: [])
        #expect(parameters.elements.map(\.bitPattern) == whole[0])
        for (state, expected) in zip(optimizer.states, whole.dropFirst()) {
            #expect(state.buffer.elements.map(\.bitPattern) == expected)
        }
    }

    @Test("an update changes nothing outside its range", arguments: configurations)
    func outside(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let before = random(layout, key: 1)
        let parameters = random(layout, key: 1)
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        optimizer.beginStep()
        let range = 288..<1040
        optimizer.update(
            parameters: parameters, gradients: random(layout, key: 2),
            learningRate: 0.01, range: range)
        for index in 0..<layout.count where !range.contains(index) {
            #expect(parameters.elements[index] == before.elements[index])
            #expect(optimizer.states.allSatisfy { $0.buffer.elements[index] == 0 })
        }
        for index in [288, 1039] {
            #expect(parameters.elements[index] != before.elements[index])
        }
    }

    @Test("a run resumes from its state and step", arguments: configurations)
    func resuming(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        var first = Optimizer(configuration: configuration, layout: layout)
        let parameters = random(layout, key: 1)
        for step in 0..<2 {
            first.beginStep()
            first.update(
                parameters: parameters,
                gradients: random(layout, key: UInt64(step + 10)), learningRate: 0.01,
                gradientScale: 0.7, range: 0..<layout.count)
        }
        var second = Optimizer(configuration: configuration, layout: layout)
        for (from, to) in zip(first.states, second.states) {
            #expect(from.name == to.name)
            _ = to.buffer.elements.update(from: from.buffer.elements)
        }
        second.resume(after: first.step)
        second.beginStep()
        #expect(second.step == 3)
        second.update(
            parameters: parameters, gradients: random(layout, key: 12),
            learningRate: 0.01, gradientScale: 0.7, range: 0..<layout.count)
        #expect(
            parameters.elements.map(\.bitPattern) == Self.train(configuration, cuts: [])[0])
    }

    @Test("shards together equal the whole in bits and memory", arguments: configurations)
    func shards(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let count = layout.count
        // There are two owners, and the parts of one have gaps between them.
        let owned = [[0..<32, 336..<1008, count - 16..<count], [32..<336, 1008..<count - 16]]
        let parameters = random(layout, key: 1)
        var optimizers = owned.map {
            Optimizer(configuration: configuration, layout: layout, owned: $0)
        }
        for step in 0..<3 {
            let gradients = random(layout, key: UInt64(step + 10))
            for index in optimizers.indices {
                optimizers[index].beginStep()
                optimizers[index].update(
                    parameters: parameters, gradients: gradients, learningRate: 0.01,
                    gradientScale: 0.7, range: 0..<count)
            }
        }
        let whole = Self.train(configuration, cuts: [])
        #expect(parameters.elements.map(\.bitPattern) == whole[0])
        for (index, state) in whole.dropFirst().enumerated() {
            var together: [UInt32] = Array(repeating: 0, count: count)
            for optimizer in optimizers {
                let buffer = optimizer.states[index].buffer
                #expect(buffer.count == optimizer.shard.ranges.reduce(0) { $0 + $1.count })
                for (elements, start) in optimizer.shard.pieces(of: 0..<count) {
                    for (place, element) in elements.enumerated() {
                        together[element] = buffer.elements[start + place].bitPattern
                    }
                }
            }
            #expect(together == state)
        }
    }

    @Test("a gradient scale is the same as scaled gradients", arguments: configurations)
    func gradientScale(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let scaled = random(layout, key: 2)
        for index in 0..<layout.count { scaled.elements[index] *= 0.3 }
        var results: [[UInt32]] = []
        for (gradients, scale) in [(random(layout, key: 2), Float(0.3)), (scaled, 1)] {
            var optimizer = Optimizer(configuration: configuration, layout: layout)
            let parameters = random(layout, key: 1)
            optimizer.beginStep()
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: 0.01,
                gradientScale: scale, range: 0..<layout.count)
            results.append(parameters.elements.map(\.bitPattern))
        }
        #expect(results[0] == results[1])
    }

    @Test(
        "zero gradients keep all values finite, and only decay changes parameters",
        arguments: configurations)
    func zeroGradients(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let zero = Buffer<Float>(count: layout.count)
        let before = random(layout, key: 1)
        let parameters = random(layout, key: 1)
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        for _ in 0..<5 {
            optimizer.beginStep()
            optimizer.update(
                parameters: parameters, gradients: zero, learningRate: 0.01,
                range: 0..<layout.count)
        }
        #expect(parameters.elements.allSatisfy { $0.isFinite })
        #expect(layout.gapsAreZero(in: parameters))
        let decayed = optimizer.decayedTensors.map(\.name)
        for tensor in layout.tensors {
            for index in tensor.range where before.elements[index] != 0 {
                let moved = parameters.elements[index] != before.elements[index]
                #expect(moved == decayed.contains(tensor.name), "\(tensor.name)")
            }
        }
    }

    @Test("AdamW shrinks parameters by exactly one minus rate times decay")
    func decoupledDecay() {
        let layout = Self.layout
        let zero = Buffer<Float>(count: layout.count)
        let parameters = random(layout, key: 1)
        let before = random(layout, key: 1)
        var optimizer = Optimizer(configuration: .init(weightDecay: 0.5), layout: layout)
        optimizer.beginStep()
        optimizer.update(
            parameters: parameters, gradients: zero, learningRate: 0.25,
            range: 0..<layout.count)
        for tensor in layout.tensors {
            let kept: Float = tensor.shape.count == 2 ? 0.875 : 1
            for index in tensor.range {
                #expect(parameters.elements[index] == kept * before.elements[index])
            }
        }
    }

    @Test("matrices and embeddings decay, and biases and LayerNorm do so only if asked")
    func decayedTensors() {
        let layout = Self.layout
        let matrices = ["wte.weight"] + (0..<3).map { "h.\($0).attn.c_attn.weight" }
        let usual = OptimizerConfiguration()
        #expect(usual.decayedTensors(in: layout).map(\.name) == matrices)
        #expect(
            Optimizer(configuration: usual, layout: layout).decayedTensors.map(\.name) == matrices)
        let all = OptimizerConfiguration(decay: .all)
        #expect(all.decayedTensors(in: layout) == layout.tensors)
        let none = OptimizerConfiguration(weightDecay: 0)
        #expect(none.decayedTensors(in: layout).isEmpty)
    }

    @Test("state has PyTorch's names")
    func stateNames() {
        let names = Self.configurations.map { configuration in
            Optimizer(configuration: configuration, layout: Self.layout).states.map(\.name)
        }
        #expect(
            names == [
                [], ["momentum_buffer"], ["momentum_buffer"], ["exp_avg", "exp_avg_sq"],
                ["exp_avg", "exp_avg_sq"],
            ])
    }
}
