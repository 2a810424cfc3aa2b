import Recipes
import Support

extension GPT2Block {
    static var huggingFaceType: String { "gpt2" }
    static var huggingFacePrefix: String { "transformer." }

    /// Transformers also loads a model without biases: it initializes the missing ones with zeros,
    /// which gives the same results.
    static func huggingFaceEntries(_ configuration: GPTConfiguration) -> JSONObject {
        [
            "architectures": .array([.string("GPT2LMHeadModel")]),
            "model_type": .string(huggingFaceType),
            "activation_function": .string("gelu_new"),
            "n_layer": .integer(configuration.layers),
            "n_head": .integer(configuration.heads),
            "n_embd": .integer(configuration.width),
            "n_inner": .null,
            "n_positions": .integer(configuration.contextLength),
            "n_ctx": .integer(configuration.contextLength),
            "vocab_size": .integer(configuration.vocabularySize),
            "layer_norm_epsilon": .number(layerNormEpsilon),
            "initializer_range": .number(0.02),
            "embd_pdrop": .number(configuration.dropout),
            "attn_pdrop": .number(configuration.dropout),
            "resid_pdrop": .number(configuration.dropout),
            "scale_attn_weights": .bool(true),
        ]
    }

    private static let layerNormEpsilon = 1e-5

    /// Reads the sizes of a GPT-2. Missing entries have the defaults of Transformers' `GPT2Config`.
    ///
    /// - Throws: `Failure` (bad data) if this block cannot represent the model.
    static func configuration(of entries: HuggingFaceEntries) throws(Failure) -> GPTConfiguration {
        var configuration = GPTConfiguration()
        configuration.architecture = "gpt2"
        configuration.layers = try entries.read("n_layer") ?? 12
        configuration.heads = try entries.read("n_head") ?? 12
        configuration.width = try entries.read("n_embd") ?? 768
        configuration.contextLength = try entries.read("n_positions") ?? 1024
        configuration.vocabularySize = try entries.read("vocab_size") ?? 50_257
        configuration.dropout = try entries.dropout()
        if try !entries.tiesHead(otherwise: true) { configuration.tiedHead = false }
        try requireRepresentable(entries, width: configuration.width)
        return configuration
    }

    /// Checks that the model computes the same function as this block.
    ///
    /// - Throws: `Failure` (bad data) that names the entry that differs.
    private static func requireRepresentable(
        _ entries: HuggingFaceEntries, width: Int
    ) throws(Failure) {
        let activation: String = try entries.read("activation_function") ?? "gelu_new"
        // The second name is another implementation of the same function.
        guard ["gelu_new", "gelu_pytorch_tanh"].contains(activation) else {
            throw entries.unsupported(
                "activation_function", jsonQuoted(activation), "GPT-2's tanh GELU, \"gelu_new\"")
        }
        let epsilon: Double = try entries.read("layer_norm_epsilon") ?? layerNormEpsilon
        guard epsilon == layerNormEpsilon else {
            throw entries.unsupported("layer_norm_epsilon", "\(epsilon)", "1e-5")
        }
        let (inner, isTooWide) = width.multipliedReportingOverflow(by: 4)
        if let found: Int = try entries.read("n_inner"), isTooWide || found != inner {
            throw entries.unsupported("n_inner", "\(found)", "4 n_embd = \(inner)")
        }
        for (key, expected) in [
            ("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false),
            ("add_cross_attention", false),
        ] {
            let found = try entries.read(key) ?? expected
            guard found == expected else {
                throw entries.unsupported(key, "\(found)", "\(expected)")
            }
        }
        guard !entries.holds("quantization_config") else {
            throw entries.unsupported(
                "quantization_config", "{...}", "numbers that are not quantized")
        }
    }

    /// Returns whether a tensor is a layer's causal mask or its value, which old folders hold.
    static func isHuggingFaceBuffer(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "h" && Int(parts[1]) != nil && parts[2] == "attn"
            && ["bias", "masked_bias"].contains(parts[3])
    }
}
