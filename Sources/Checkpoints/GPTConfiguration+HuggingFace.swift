import Recipes
import Support

extension GPTConfiguration {
    /// Returns the `config.json` that `GPT2LMHeadModel.from_pretrained` of Hugging Face's
    /// Transformers needs to load the parameters.
    ///
    /// A model without biases loads too: Transformers initializes the missing biases with zeros,
    /// which gives the same results.
    ///
    /// - Parameter endOfText: the token that separates documents; nil if the vocabulary has none.
    package func huggingFaceConfiguration(endOfText: UInt32?) -> String {
        let token = endOfText.map { JSONValue.integer(Int($0)) } ?? .null
        let entries: JSONObject = [
            "architectures": .array([.string("GPT2LMHeadModel")]),
            "model_type": .string("gpt2"),
            "activation_function": .string("gelu_new"),
            "n_layer": .integer(layers),
            "n_head": .integer(heads),
            "n_embd": .integer(width),
            "n_inner": .null,
            "n_positions": .integer(contextLength),
            "n_ctx": .integer(contextLength),
            "vocab_size": .integer(vocabularySize),
            "layer_norm_epsilon": .number(1e-5),
            "initializer_range": .number(0.02),
            "embd_pdrop": .number(dropout),
            "attn_pdrop": .number(dropout),
            "resid_pdrop": .number(dropout),
            "scale_attn_weights": .bool(true),
            "tie_word_embeddings": .bool(tiesHead),
            "use_cache": .bool(true),
            "bos_token_id": token,
            "eos_token_id": token,
            "torch_dtype": .string("float32"),
        ]
        return entries.text + "\n"
    }
}
