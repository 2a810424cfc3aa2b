import Compute
import Optimizers
import Recipes
import TestSupport
import Testing

/// The content of `muon.json`: steps of PyTorch's Muon and AdamW.
private struct MuonCases: Decodable {
    struct Case: Decodable {
        let title: String
        let momentum: Double
        let nesterov: Bool
        let weightDecay: Double
        let adamFactor: Double
        let parameters: [String: NamedValues]
        let momentumBuffer: NamedValues
        /// The parameters after the last step if the matrices are rounded to bf16 in each step.
        let rounded: NamedValues
    }

    let matrices: [TensorShape]
    let others: [TensorShape]
    let learningRates: [Double]
    let initial: NamedValues
    let gradients: [NamedValues]
    let cases: [Case]
}

/// Tests that Muon's steps are PyTorch's and do not depend on threads, ranges or shards.
@Suite struct MuonTests {
    @Test("12 steps equal those of PyTorch's Muon in double precision within the rounding of fp32")
    func torchSteps() throws {
        let reference = try golden("muon", as: MuonCases.self)
        #expect(reference.cases.count == 3 && reference.gradients.count == 12)
        var layout = ArenaLayout()
        var matrices: [LayerMatrix] = []
        for shape in reference.matrices {
            let tensor = layout.append(shape.name, shape: shape.shape)
            matrices.append(LayerMatrix(tensor, parts: shape.name == "qkv" ? 3 : 1))
        }
        for shape in reference.others { layout.append(shape.name, shape: shape.shape) }
        for expected in reference.cases {
            var optimizer = Optimizer(
                configuration: try Self.configuration(expected), layout: layout,
                matrices: matrices)
            let parameters = layout.arena(reference.initial.merging(["large": large(0)]) { $1 })
            let engine = ComputeEngine(threads: 2)
            for (index, values) in reference.gradients.enumerated() {
                let gradients = layout.arena(values.merging(["large": large(index + 1)]) { $1 })
                Self.step(
                    &optimizer, parameters, gradients, rate: reference.learningRates[index],
                    engine: engine)
                guard let after = expected.parameters["\(index + 1)"] else { continue }
                let title = "\(expected.title), step \(index + 1)"
                for tensor in layout.tensors {
                    let distance = try Self.distance(parameters, after, tensor)
                    // Newton-Schulz multiplies the rounding of small singular values.
                    #expect(distance < 5e-6, "\(title), \(tensor.name)")
                }
            }
            #expect(layout.gapsAreZero(in: parameters), "\(expected.title)")
            for matrix in matrices {
                let distance = try Self.distance(
                    optimizer.states[0].buffer, expected.momentumBuffer, matrix.tensor)
                #expect(distance < 1e-6, "\(expected.title), \(matrix.tensor.name)")
                // PyTorch's Muon rounds to bf16, which moves the parameters by up to 6e-4.
                let rounding = try Self.distance(parameters, expected.rounded, matrix.tensor)
                #expect(rounding < 1e-3, "\(expected.title), \(matrix.tensor.name)")
            }
        }
    }

    private static func configuration(_ expected: MuonCases.Case) throws -> OptimizerConfiguration {
        var configuration = OptimizerConfiguration(
            name: .muon, learningRate: 0.01, momentum: expected.momentum,
            nesterov: expected.nesterov, weightDecay: expected.weightDecay)
        configuration.adamLearningRate =
            expected.adamFactor == 1 ? nil : 0.01 * expected.adamFactor
        try configuration.validate()
        return configuration
    }

    /// Returns the relative distance of a tensor from its reference.
    private static func distance(
        _ arena: Buffer<Float>, _ reference: NamedValues, _ tensor: NamedTensor
    ) throws -> Double {
        let values = compared(tensor, of: arena)
        let expected = try #require(reference[tensor.name])
        try #require(expected.count == values.count)
        return relativeDistance(values, expected)
    }

    /// Takes one step whose updates are divided into ranges.
    private static func step(
        _ optimizer: inout Optimizer, _ parameters: Buffer<Float>, _ gradients: Buffer<Float>,
        rate: Double = 0.01, cuts: [Int] = [], engine: ComputeEngine
    ) {
        optimizer.beginStep(parameters: parameters, gradients: gradients, team: engine.team)
        optimizer.directions?.orthogonalize(engine: engine)
        let ends = [0] + cuts + [parameters.count]
        for (start, end) in zip(ends, ends.dropFirst()) {
            optimizer.update(
                parameters: parameters, gradients: gradients, learningRate: rate,
                range: start..<end)
        }
    }

    /// Matrices of which some have more rows, some more columns, and one holds three weights.
    private static let layout: (arena: ArenaLayout, matrices: [LayerMatrix]) = {
        var arena = ArenaLayout()
        arena.append("wte.weight", shape: [13, 24], padding: 3 * 24)
        var matrices: [LayerMatrix] = []
        for layer in 0..<2 {
            arena.append("h.\(layer).ln_1.weight", shape: [24])
            matrices.append(
                LayerMatrix(arena.append("h.\(layer).c_attn.weight", shape: [24, 72]), parts: 3))
            matrices.append(LayerMatrix(arena.append("h.\(layer).c_proj.weight", shape: [96, 24])))
            arena.append("h.\(layer).c_proj.bias", shape: [24])
        }
        return (arena, matrices)
    }()

    private static func optimizer(owned: [Range<Int>]? = nil) -> Optimizer {
        Optimizer(
            configuration: OptimizerConfiguration(
                name: .muon, learningRate: 0.01, momentum: 0.95, nesterov: true),
            layout: layout.arena, owned: owned, matrices: layout.matrices)
    }

    private static func bits(_ buffer: Buffer<Float>) -> [UInt32] {
        buffer.elements.map(\.bitPattern)
    }

    @Test("neither threads nor the division of the arena nor instructions change a bit")
    func divisions() {
        var results: [[UInt32]] = []
        for (threads, cuts, instructions) in [
            (1, [], InstructionSet.best), (3, [320, 1008, 1024], .best), (2, [16], .base),
        ] {
            let engine = ComputeEngine(threads: threads, instructionSet: instructions)
            var optimizer = Self.optimizer()
            let parameters = random(Self.layout.arena, key: 1)
            for step in 0..<3 {
                Self.step(
                    &optimizer, parameters, random(Self.layout.arena, key: UInt64(step + 10)),
                    cuts: cuts, engine: engine)
            }
            results.append(Self.bits(parameters) + Self.bits(optimizer.states[0].buffer))
        }
        #expect(results[0] == results[1] && results[0] == results[2])
    }

    @Test("shards whose directions are exchanged equal the whole in bits")
    func shards() {
        let (arena, matrices) = Self.layout
        let engine = ComputeEngine()
        let owned = [
            [0..<32, 336..<1008, arena.count - 16..<arena.count],
            [32..<336, 1008..<arena.count - 16],
        ]
        var shards = owned.map { Self.optimizer(owned: $0) }
        var whole = Self.optimizer()
        let (parameters, expected) = (random(arena, key: 1), random(arena, key: 1))
        for step in 0..<3 {
            let gradients = random(arena, key: UInt64(step + 10))
            Self.step(&whole, expected, gradients, engine: engine)
            for index in shards.indices {
                shards[index].beginStep(
                    parameters: parameters, gradients: gradients, team: engine.team)
            }
            // This is what ranks do by messages.
            let together = Buffer<Float>(count: arena.count)
            for (shard, place, elements) in Self.pieces(of: shards) {
                together.elements[elements] = shard.elements[place]
            }
            for (index, matrix) in matrices.enumerated() {
                shards[0].directions?.orthogonalize(
                    index, at: together.base + matrix.tensor.offset, engine: engine)
            }
            for (shard, place, elements) in Self.pieces(of: shards) {
                shard.elements[place] = together.elements[elements]
            }
            for shard in shards {
                shard.update(
                    parameters: parameters, gradients: gradients, learningRate: 0.01,
                    range: 0..<arena.count)
            }
        }
        #expect(Self.bits(parameters) == Self.bits(expected))
    }

    /// Returns each element of the matrices with its place in the directions of its shard.
    private static func pieces(
        of shards: [Optimizer]
    ) -> [(shard: Buffer<Float>, place: Int, element: Int)] {
        shards.flatMap { optimizer in
            layout.matrices.flatMap { matrix in
                optimizer.shard.pieces(of: matrix.range).flatMap { elements, start in
                    elements.enumerated().compactMap { offset, element in
                        optimizer.directions.map { ($0.shard, start + offset, element) }
                    }
                }
            }
        }
    }

    @Test("the singular values of a direction are near 1, and its row and column spaces remain")
    func singularValues() {
        for (rows, columns) in [(6, 20), (20, 6), (11, 11)] {
            let engine = ComputeEngine()
            let layout = {
                var layout = ArenaLayout()
                layout.append("x", shape: [rows, columns])
                return layout
            }()
            let values = random(layout, key: 5)
            let x = Matrix(values.base, rows: rows, columns: columns)
            let before = values.copy
            NewtonSchulz(shapes: [(rows, columns)]).orthogonalize(x, engine: engine)
            // The squares of the singular values are the eigenvalues of the Gram matrix, whose
            // trace is the sum of squares.
            let side = min(rows, columns)
            let mean = values.elements.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(side)
            #expect(abs(mean - 1) < 0.35, "\(rows) x \(columns): \(mean)")
            // The direction ascends: its inner product with the matrix is the sum of products of
            // their singular values.
            #expect(innerProduct(before, values) > 0.6 * before.norm)
        }
    }

    @Test("a layout that does not name its matrices is refused")
    func layoutAlone() {
        expectFailure(.configuration, "[optimizer] name = \"muon\"", "set name = \"adamw\"") {
            _ = try Optimizer(OptimizerConfiguration(name: .muon), layout: Self.layout.arena)
        }
    }

    @Test("zero gradients leave a matrix as it is, except for decay")
    func zeroGradients() {
        let (arena, matrices) = Self.layout
        var optimizer = Self.optimizer()
        let (parameters, before) = (random(arena, key: 1), random(arena, key: 1))
        Self.step(
            &optimizer, parameters, Buffer(count: arena.count), rate: 0.25,
            engine: ComputeEngine())
        let kept = Float(1 - 0.25 * 0.1)
        for matrix in matrices {
            for index in matrix.tensor.range {
                #expect(parameters.elements[index] == kept * before.elements[index])
            }
        }
    }

    @Test("only tensors outside the blocks' matrices have mean squares in a checkpoint")
    func states() {
        let optimizer = Self.optimizer()
        #expect(optimizer.states.map(\.name) == ["exp_avg", "exp_avg_sq"])
        let matrices = Set(Self.layout.matrices.map(\.tensor.name))
        let all = Self.layout.arena.tensors.map(\.name)
        #expect(optimizer.tensors(of: optimizer.states[0]).map(\.name) == all)
        #expect(
            optimizer.tensors(of: optimizer.states[1]).map(\.name)
                == all.filter { !matrices.contains($0) })
    }
}
