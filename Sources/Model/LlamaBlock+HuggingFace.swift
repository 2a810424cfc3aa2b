import Recipes
import Support

extension LlamaBlock {
    static func huggingFaceEntries(_ configuration: GPTConfiguration) -> JSONObject {
        [
            "architectures": .array([.string("LlamaForCausalLM")]),
            "model_type": .string("llama"),
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
}
