import Recipes
import Support

extension LlamaBlock {
    static var huggingFaceType: String { "llama" }
    /// The names in the arena already have the prefix "model.".
    static var huggingFacePrefix: String { "" }

    static func huggingFaceEntries(_ configuration: GPTConfiguration) -> JSONObject {
        [
            "architectures": .array([.string("LlamaForCausalLM")]),
            "model_type": .string(huggingFaceType),
            "hidden_act": .string("silu"),
            "num_hidden_layers": .integer(configuration.layers),
            "num_attention_heads": .integer(configuration.heads),
            "num_key_value_heads": .integer(configuration.kvHeadCount),
            "head_dim": .integer(configuration.headWidth),
            "hidden_size": .integer(configuration.width),
            "intermediate_size": .integer(configuration.mlpWidth),
            "max_position_embeddings": .integer(configuration.contextLength),
            "vocab_size": .integer(configuration.vocabularySize),
            "rms_norm_eps": .number(configuration.rmsNormEpsilon),
            "rope_theta": .number(configuration.rotaryBase),
            "rope_scaling": configuration.ropeScaling.map(entries(of:)) ?? .null,
            "initializer_range": .number(0.02),
            "attention_bias": .bool(false),
            "attention_dropout": .number(0),
            "mlp_bias": .bool(false),
        ]
    }

    private static func entries(of scaling: RopeScaling) -> JSONValue {
        .object([
            "rope_type": .string("llama3"),
            "factor": .number(scaling.factor),
            "low_freq_factor": .number(scaling.lowFrequency),
            "high_freq_factor": .number(scaling.highFrequency),
            "original_max_position_embeddings": .integer(scaling.originalContext),
        ])
    }

    /// The defaults of missing entries are those of Transformers' `LlamaConfig`.
    static func configuration(of entries: HuggingFaceEntries) throws(Failure) -> GPTConfiguration {
        try requireRepresentable(entries)
        var configuration = GPTConfiguration()
        configuration.architecture = "llama"
        configuration.layers = try entries.read("num_hidden_layers") ?? 32
        configuration.heads = try entries.read("num_attention_heads") ?? 32
        let shared: Int? = try entries.read("num_key_value_heads")
        configuration.kvHeads = shared == configuration.heads ? nil : shared
        configuration.width = try entries.read("hidden_size") ?? 4096
        configuration.hiddenWidth = try entries.read("intermediate_size") ?? 11_008
        configuration.contextLength = try entries.read("max_position_embeddings") ?? 2048
        configuration.vocabularySize = try entries.read("vocab_size") ?? 32_000
        configuration.normEpsilon = try entries.read("rms_norm_eps") ?? 1e-6
        configuration.tiedHead = try entries.tiesHead(otherwise: false)
        let rotation = try entries.rotation()
        configuration.ropeTheta = try (rotation.holds("rope_theta") ? rotation : entries)
            .read("rope_theta")
        configuration.ropeScaling = try scaling(rotation)
        let heads = configuration.heads
        if let found: Int = try entries.read("head_dim"), heads > 0,
            found != configuration.width / heads
        {
            throw entries.unsupported(
                "head_dim", "\(found)",
                "hidden_size / num_attention_heads = \(configuration.width / heads)")
        }
        return configuration
    }

    /// Reads the scaling of rotary frequencies; nil for none.
    private static func scaling(_ entries: HuggingFaceEntries) throws(Failure) -> RopeScaling? {
        let key = entries.holds("rope_type") ? "rope_type" : "type"
        let kind: String = try entries.read(key) ?? "default"
        guard kind != "default" else { return nil }
        guard kind == "llama3" else {
            throw entries.unsupported(key, jsonQuoted(kind), "\"llama3\" or \"default\"")
        }
        var scaling = RopeScaling()
        scaling.factor = try entries.require("factor")
        scaling.lowFrequency = try entries.require("low_freq_factor")
        scaling.highFrequency = try entries.require("high_freq_factor")
        scaling.originalContext = try entries.require("original_max_position_embeddings")
        return scaling
    }

    /// Checks that the model computes the same function as this block.
    private static func requireRepresentable(_ entries: HuggingFaceEntries) throws(Failure) {
        let activation: String = try entries.read("hidden_act") ?? "silu"
        // The second name is another one for the same function.
        guard ["silu", "swish"].contains(activation) else {
            throw entries.unsupported("hidden_act", jsonQuoted(activation), "\"silu\"")
        }
        for key in ["attention_bias", "mlp_bias"] where try entries.read(key) ?? false {
            throw entries.unsupported(key, "true", "no biases")
        }
        let dropout: Double = try entries.read("attention_dropout") ?? 0
        guard dropout == 0 else {
            throw entries.unsupported("attention_dropout", "\(dropout)", "no dropout")
        }
        guard !entries.holds("quantization_config") else {
            throw entries.unsupported(
                "quantization_config", "{...}", "numbers that are not quantized")
        }
    }

    /// The rotary frequencies, which old folders hold for each layer.
    static func isHuggingFaceBuffer(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 6 && parts[..<2] == ["model", "layers"] && Int(parts[2]) != nil
            && parts[3...] == ["self_attn", "rotary_emb", "inv_freq"]
    }
}
