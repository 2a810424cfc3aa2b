import Compute
import Model
import Recipes
import Support
import Testing

/// Tests of initial values and factors that depend on the size of a model.
@Suite struct ParametrizationTests {
    private func shape(_ parametrization: Parametrization, width: Int, layers: Int) throws
        -> GPTConfiguration
    {
        try configuration(layers: 2, width: 24, tiesHead: false).resized(
            to: ModelSize(width: width, layers: layers), parametrization,
            base: ModelSize(width: 24, layers: 2))
    }

    private func initial(_ shape: GPTConfiguration) -> [Float] {
        let values = parameters(GPTLayout(shape))
        return withExtendedLifetime(values) { Array(values.elements) }
    }

    private func deviation(_ name: String, _ shape: GPTConfiguration) throws -> Double {
        let layout = GPTLayout(shape)
        let tensor = try #require(layout.arena.tensors.first { $0.name == name })
        let values = parameters(layout)
        let squares = (0..<tensor.count).reduce(0.0) {
            let value = Double(values.base[tensor.offset + $1])
            return $0 + value * value
        }
        return (squares / Double(tensor.count)).squareRoot()
    }

    @Test("every parametrization has the standard bits at the base size")
    func theBaseSizeIsStandard() throws {
        let standard = initial(configuration(layers: 2, width: 24, tiesHead: false))
        for parametrization in Parametrization.allCases {
            let base = try shape(parametrization, width: 24, layers: 2)
            let isEqual = initial(base) == standard
            #expect(isEqual, "\(parametrization)")
            #expect(GPTLayout(base).factors.allSatisfy { $0 == .one })
        }
    }

    @Test("muP's initial values shrink with the width in blocks and the final norm")
    func initialValuesFollowTheWidth() throws {
        let wide = try shape(.mup, width: 96, layers: 2)
        let standard = try shape(.standard, width: 96, layers: 2)
        for (name, factor) in [
            ("h.0.attn.c_attn.weight", 0.5), ("h.1.mlp.c_proj.weight", 0.5),
            ("ln_f.weight", 0.25), ("wte.weight", 1), ("lm_head.weight", 1), ("h.0.ln_1.weight", 1),
        ] {
            let ratio = try deviation(name, wide) / deviation(name, standard)
            #expect(abs(ratio - factor) < 1e-6, "\(name)")
        }
    }

    @Test("every tensor has the factors of its role")
    func tensorsHaveRoles() throws {
        let shape = try shape(.completep, width: 96, layers: 8)
        let layout = GPTLayout(shape)
        let factors = Dictionary(
            uniqueKeysWithValues: zip(layout.arena.tensors.map(\.name), layout.factors))
        let expected: [String: TensorFactors] = [
            "wte.weight": .init(initial: 1, rate: 1, epsilon: 0.25),
            "wpe.weight": .init(initial: 1, rate: 1, epsilon: 0.25),
            "lm_head.weight": .init(initial: 1, rate: 1, epsilon: 0.25),
            "ln_f.weight": .init(initial: 0.25, rate: 0.25, epsilon: 1),
            "ln_f.bias": .init(initial: 0.25, rate: 0.25, epsilon: 1),
            "h.7.ln_2.weight": .init(initial: 1, rate: 1, epsilon: 0.0625),
            "h.7.attn.c_attn.bias": .init(initial: 1, rate: 1, epsilon: 0.0625),
            "h.7.attn.c_attn.weight": .init(initial: 0.5, rate: 0.25, epsilon: 0.0625),
            "h.7.mlp.c_proj.weight": .init(initial: 0.25, rate: 0.0625, epsilon: 0.25),
            "h.7.mlp.c_proj.bias": .init(initial: 1, rate: 0.25, epsilon: 0.25),
        ]
        for (name, value) in expected { #expect(factors[name] == value, "\(name)") }
    }

    @Test("a resized model keeps the width of its heads")
    func headsKeepTheirWidth() throws {
        let wide = try shape(.mup, width: 48, layers: 3)
        #expect(wide.headWidth == 8 && wide.heads == 6 && wide.layers == 3)
        #expect(wide.baseWidth == 24 && wide.baseLayers == nil)
        #expect(throws: Failure.self) { try shape(.mup, width: 20, layers: 2) }
    }
}
