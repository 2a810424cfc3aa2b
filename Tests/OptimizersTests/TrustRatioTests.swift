import Compute
import Optimizers
import Recipes
import TestSupport
import Testing

/// Tests of LAMB and LARS.
@Suite struct TrustRatioTests {
    private static let configurations = [
        OptimizerConfiguration(name: .lamb),
        OptimizerConfiguration(name: .lamb, beta1: 0.3, weightDecay: 0, decay: .all),
        OptimizerConfiguration(name: .lars, trustCoefficient: 0.02),
        OptimizerConfiguration(name: .lars, momentum: 0.9, nesterov: true, weightDecay: 0.1),
    ]

    @Test("12 steps equal the papers' rules in double precision within the rounding of fp32")
    func papers() throws {
        let reference = try golden("trust_ratios", as: UpdateCases.self)
        #expect(reference.learningRates.count == 12 && reference.cases.count == 8)
        var layout = ArenaLayout()
        for shape in reference.shapes { layout.append(shape.name, shape: shape.shape, padding: 21) }
        for expected in reference.cases {
            let configuration = try expected.configuration()
            try configuration.validate()
            var optimizer = Optimizer(configuration: configuration, layout: layout)
            let parameters = layout.arena(
                reference.initial.merging(["large": large(0)]) { $1 })
            for (index, values) in reference.gradients.enumerated() {
                let gradients = layout.arena(values.merging(["large": large(index + 1)]) { $1 })
                Self.step(
                    &optimizer, parameters, gradients, rate: reference.learningRates[index],
                    scale: expected.gradientScale ?? 1)
                guard let after = expected.parameters["\(index + 1)"] else { continue }
                compare(
                    parameters, after, layout: layout, title: "\(expected.title), step \(index + 1)"
                )
            }
            #expect(layout.gapsAreZero(in: parameters), "\(expected.title)")
            #expect(Set(optimizer.states.map(\.name)) == Set(expected.state.keys))
            for state in optimizer.states {
                let after = try #require(expected.state[state.name])
                compare(
                    state.buffer, after, layout: layout, title: "\(expected.title), \(state.name)")
                #expect(layout.gapsAreZero(in: state.buffer), "\(expected.title)")
            }
        }
    }

    private func compare(
        _ arena: Buffer<Float>, _ expected: NamedValues, layout: ArenaLayout, title: String
    ) {
        for tensor in layout.tensors {
            let values = compared(tensor, of: arena)
            guard let reference = expected[tensor.name], reference.count == values.count else {
                Issue.record("\(title): no values for \(tensor.name)")
                continue
            }
            // Each of twelve steps has about ten rounding errors of 6e-8 with random signs. A norm
            // that misses one block, or the ratio of a neighboring tensor, would cause an error of
            // more than 1e-2.
            #expect(relativeDistance(values, reference) < 5e-7, "\(title), \(tensor.name)")
        }
    }

    /// Takes one step whose updates are divided into ranges.
    private static func step(
        _ optimizer: inout Optimizer, _ parameters: Buffer<Float>, _ gradients: Buffer<Float>,
        rate: Double = 0.01, scale: Float = 0.7, cuts: [Int] = [],
        team: ThreadTeam = ThreadTeam(threads: 1)
    ) {
        optimizer.beginStep(
            parameters: parameters, gradients: gradients, gradientScale: scale, team: team)
        let ends = [0] + cuts + [parameters.count]
        for (start, end) in zip(ends, ends.dropFirst()) {
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: rate,
                gradientScale: scale, range: start..<end)
        }
    }

    /// Tensors that begin and end inside blocks of norms; one of them covers five blocks.
    private static var layout: ArenaLayout {
        var layout = ArenaLayout()
        layout.append("wte.weight", shape: [130, 500], padding: 3 * 500)
        for layer in 0..<3 {
            layout.append("h.\(layer).ln_1.weight", shape: [24])
            layout.append("h.\(layer).attn.c_attn.weight", shape: [150, 72])
            layout.append("h.\(layer).attn.c_attn.bias", shape: [72])
        }
        return layout
    }

    private static func train(
        _ configuration: OptimizerConfiguration, threads: Int = 1, cuts: [Int] = []
    ) -> [[UInt32]] {
        let layout = layout
        let parameters = random(layout, key: 1)
        let team = ThreadTeam(threads: threads, yields: true)
        var optimizer = Optimizer(configuration: configuration, layout: layout)
        for index in 0..<3 {
            step(
                &optimizer, parameters, random(layout, key: UInt64(index + 10)), cuts: cuts,
                team: team)
        }
        return ([parameters] + optimizer.states.map(\.buffer)).map { buffer in
            buffer.elements.map(\.bitPattern)
        }
    }

    @Test(
        "bits depend neither on the threads nor on the division of the arena",
        arguments: configurations)
    func layouts(_ configuration: OptimizerConfiguration) {
        let whole = Self.train(configuration)
        #expect(whole[0] != random(Self.layout, key: 1).elements.map(\.bitPattern))
        let count = Self.layout.count
        for threads in [2, 3, 7] {
            #expect(Self.train(configuration, threads: threads) == whole)
        }
        let cuts = Array(stride(from: 1008, to: count, by: 1008))
        #expect(Self.train(configuration, threads: 2, cuts: cuts) == whole)
    }

    @Test("a run resumes from its state and step", arguments: configurations)
    func resuming(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let parameters = random(layout, key: 1)
        var first = Optimizer(configuration: configuration, layout: layout)
        for index in 0..<2 {
            Self.step(&first, parameters, random(layout, key: UInt64(index + 10)))
        }
        var second = Optimizer(configuration: configuration, layout: layout)
        for (from, to) in zip(first.states, second.states) {
            #expect(from.name == to.name)
            _ = to.buffer.elements.update(from: from.buffer.elements)
        }
        second.resume(after: first.step)
        Self.step(&second, parameters, random(layout, key: 12))
        #expect(second.step == 3)
        #expect(parameters.elements.map(\.bitPattern) == Self.train(configuration)[0])
    }

    @Test("a LAMB step has the tensor's norm times the rate for any size of the gradient")
    func stepLength() {
        let layout = Self.layout
        for scale in [1e-3, 1, 1e3] as [Float] {
            let parameters = random(layout, key: 1)
            let before = random(layout, key: 1)
            var optimizer = Optimizer(
                configuration: .init(name: .lamb, epsilon: 1e-12), layout: layout)
            Self.step(
                &optimizer, parameters, random(layout, key: 2), rate: 0.125, scale: scale)
            for tensor in layout.tensors where tensor.shape.count == 2 {
                var moved = 0.0
                var norm = 0.0
                for index in tensor.range {
                    let old = Double(before.elements[index])
                    moved +=
                        (Double(parameters.elements[index]) - old)
                        * (Double(parameters.elements[index]) - old)
                    norm += old * old
                }
                // Every parameter is rounded once, and their errors average out.
                #expect(abs((moved / norm).squareRoot() / 0.125 - 1) < 1e-6, "\(tensor.name)")
            }
        }
    }

    @Test("biases and LayerNorm take the steps of Adam and SGD unless all tensors are adapted")
    func vectors() {
        let layout = Self.layout
        let vectors = layout.tensors.filter { $0.shape.count == 1 }
        #expect(vectors.count == 6)
        for (fitted, plain, distance) in [
            (OptimizerConfiguration(name: .lamb), .init(name: .adamw), 1e-7),
            (.init(name: .lars, momentum: 0.9), .init(name: .sgd, momentum: 0.9), 0),
        ] as [(OptimizerConfiguration, OptimizerConfiguration, Double)] {
            let ends = [fitted, plain].map { configuration in
                let parameters = random(layout, key: 1)
                var optimizer = Optimizer(configuration: configuration, layout: layout)
                Self.step(&optimizer, parameters, random(layout, key: 2))
                return parameters
            }
            for tensor in vectors {
                // LAMB divides by the mean's correction and then multiplies by the rate.
                #expect(
                    relativeDistance(
                        ends[0].elements[tensor.range], Array(ends[1].elements[tensor.range]))
                        <= distance, "\(tensor.name)")
            }
        }
    }

    @Test("zero gradients and zero parameters keep all values finite", arguments: configurations)
    func zeros(_ configuration: OptimizerConfiguration) {
        let layout = Self.layout
        let zero = Buffer<Float>(count: layout.count)
        let tiny = Buffer<Float>(count: layout.count)
        for index in layout.tensors[0].range {
            tiny.elements[index] = .leastNonzeroMagnitude
        }
        for gradients in [zero, tiny] {
            let parameters = random(layout, key: 1)
            var optimizer = Optimizer(configuration: configuration, layout: layout)
            for _ in 0..<3 { Self.step(&optimizer, parameters, gradients, scale: 1) }
            #expect(parameters.elements.allSatisfy { $0.isFinite })
        }
        for key in [nil, 1] as [UInt64?] {
            let parameters = key.map { random(layout, key: $0) } ?? Buffer(count: layout.count)
            var optimizer = Optimizer(configuration: configuration, layout: layout)
            for _ in 0..<3 { Self.step(&optimizer, parameters, zero) }
            #expect(parameters.elements.allSatisfy { $0.isFinite })
            #expect(layout.gapsAreZero(in: parameters))
            let decayed = optimizer.decayedTensors.map(\.name)
            let before = key.map { random(layout, key: $0) } ?? zero
            for tensor in layout.tensors {
                let moved = tensor.range.contains {
                    parameters.elements[$0] != before.elements[$0]
                }
                #expect(moved == (key != nil && decayed.contains(tensor.name)), "\(tensor.name)")
            }
        }
    }

    @Test("state has the configured number of values and PyTorch's names")
    func states() {
        let names = Self.configurations.map { configuration in
            let states = Optimizer(configuration: configuration, layout: Self.layout).states
            #expect(states.count == configuration.statesPerParameter)
            return states.map(\.name)
        }
        #expect(
            names == [
                ["exp_avg", "exp_avg_sq"], ["exp_avg", "exp_avg_sq"], [], ["momentum_buffer"],
            ])
    }
}
