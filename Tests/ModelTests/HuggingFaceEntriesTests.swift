import Model
import Recipes
import Support
import TestSupport
import Testing

/// Tests of the configurations that Transformers writes, and of those that no block can represent.
@Suite struct HuggingFaceEntriesTests {
    private func entries(_ text: String) throws -> HuggingFaceEntries {
        HuggingFaceEntries(json: try JSONValue(parsing: text.utf8), path: "config.json")
    }

    @Test("a configuration of Transformers gives the shape")
    func golden() throws {
        let text = String(decoding: try bytes(of: goldenPath("config.json")), as: UTF8.self)
        let shape = try entries(text).configuration()
        var expected = GPTConfiguration()
        (expected.layers, expected.heads, expected.width) = (3, 4, 48)
        (expected.contextLength, expected.vocabularySize, expected.dropout) = (96, 50257, 0.15)
        #expect(shape == expected)
        #expect(try entries(text).differingDropout() == nil)
        #expect(try entries(text).configuration().tiesHead)
    }

    @Test("a configuration that is written reads back")
    func roundTrip() throws {
        var shape = configuration(layers: 5, width: 30, heads: 2, dropout: 0.25)
        shape.tiedHead = nil
        let text = shape.huggingFaceConfiguration(endOfText: 3)
        #expect(try entries(text).configuration() == shape)
    }

    @Test("a missing entry has the value of GPT-2")
    func defaults() throws {
        let shape = try entries("{\"model_type\":\"gpt2\"}").configuration()
        #expect(shape.layers == 12 && shape.heads == 12 && shape.width == 768)
        #expect(shape.contextLength == 1024 && shape.vocabularySize == 50257)
        #expect(shape.dropout == 0.1 && shape.bias && shape.tiesHead)
    }

    @Test("a GPT-2 may have a head of its own")
    func untiedHead() throws {
        let shape = try entries("{\"model_type\":\"gpt2\",\"tie_word_embeddings\":false}")
            .configuration()
        #expect(!shape.tiesHead)
    }

    @Test("a LLaMA that is written reads back", arguments: [false, true])
    func llamaRoundTrip(isScaled: Bool) throws {
        var shape = configuration(layers: 3, width: 48, heads: 6, tiesHead: isScaled)
        shape.architecture = "llama"
        shape.kvHeads = isScaled ? nil : 2
        (shape.hiddenWidth, shape.normEpsilon, shape.ropeTheta) = (80, 1e-6, 500_000)
        if isScaled { shape.ropeScaling = RopeScaling() }
        let text = shape.huggingFaceConfiguration(endOfText: nil)
        #expect(try entries(text).configuration() == shape)
    }

    @Test("a missing entry has the value of LLaMA")
    func llamaDefaults() throws {
        let shape = try entries("{\"model_type\":\"llama\"}").configuration()
        #expect(shape.layers == 32 && shape.heads == 32 && shape.kvHeadCount == 32)
        #expect(shape.width == 4096 && shape.mlpWidth == 11_008 && shape.contextLength == 2048)
        #expect(shape.vocabularySize == 32_000 && shape.rmsNormEpsilon == 1e-6)
        #expect(shape.rotaryBase == 10_000 && shape.ropeScaling == nil && !shape.tiesHead)
    }

    @Test("rotary positions are read in the forms of Transformers 4 and 5")
    func rotation() throws {
        let numbers =
            "\"factor\":32,\"low_freq_factor\":2,\"high_freq_factor\":5,"
            + "\"original_max_position_embeddings\":4096"
        for text in [
            "\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\(numbers)}",
            "\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"llama3\",\(numbers)}",
            "\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"llama3\",\(numbers)}",
        ] {
            let shape = try entries("{\"model_type\":\"llama\",\(text)}").configuration()
            #expect(shape.rotaryBase == 500_000)
            let scaling = try #require(shape.ropeScaling)
            #expect(scaling.factor == 32 && scaling.originalContext == 4096)
            #expect(scaling.lowFrequency == 2 && scaling.highFrequency == 5)
        }
        let plain = "\"rope_parameters\":{\"rope_theta\":2e4,\"rope_type\":\"default\"}"
        let shape = try entries("{\"model_type\":\"llama\",\(plain)}").configuration()
        #expect(shape.rotaryBase == 20_000 && shape.ropeScaling == nil)
    }

    @Test(
        "an entry that LLaMA's block cannot represent is named",
        arguments: [
            ("\"hidden_act\":\"gelu\"", "hidden_act = \"gelu\""),
            ("\"attention_bias\":true", "attention_bias = true"),
            ("\"mlp_bias\":true", "mlp_bias = true"),
            ("\"attention_dropout\":0.1", "attention_dropout = 0.1"),
            ("\"head_dim\":64", "head_dim = 64"),
            ("\"num_key_value_heads\":5", "kv_heads = 5: does not divide heads = 32"),
            ("\"num_attention_heads\":0", "heads = 0"), ("\"rms_norm_eps\":0", "norm_epsilon = 0"),
            ("\"rope_theta\":-1", "rope_theta = -1"),
            ("\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}", "type = \"linear\""),
            ("\"rope_scaling\":{\"rope_type\":\"llama3\"}", "rope_scaling: has no factor"),
            ("\"rope_scaling\":[1]", "rope_scaling"),
            ("\"quantization_config\":{\"bits\":4}", "quantization_config"),
        ])
    func unsupportedLlama(entry: String, words: String) throws {
        let entries = try entries("{\"model_type\":\"llama\",\(entry)}")
        expectFailure(.badData, "config.json", words) { _ = try entries.configuration() }
    }

    @Test("different probabilities of dropout are stated and not used")
    func dropout() throws {
        let text = "{\"model_type\":\"gpt2\",\"attn_pdrop\":0.0,\"resid_pdrop\":0.2}"
        #expect(try entries(text).configuration().dropout == 0)
        #expect(
            try entries(text).differingDropout()
                == "embd_pdrop = 0.1, attn_pdrop = 0.0 and resid_pdrop = 0.2")
    }

    @Test(
        "an entry that the block cannot represent is named",
        arguments: [
            ("\"activation_function\":\"gelu\"", "activation_function = \"gelu\""),
            ("\"activation_function\":\"relu\"", "activation_function = \"relu\""),
            ("\"layer_norm_epsilon\":1e-6", "layer_norm_epsilon = 1e-06"),
            ("\"n_inner\":768", "n_inner = 768"),
            ("\"scale_attn_weights\":false", "scale_attn_weights = false"),
            ("\"scale_attn_by_inverse_layer_idx\":true", "scale_attn_by_inverse_layer_idx = true"),
            ("\"add_cross_attention\":true", "add_cross_attention = true"),
            ("\"quantization_config\":{\"bits\":4}", "quantization_config"),
            ("\"n_head\":7", "heads = 7: does not divide width = 768"),
            ("\"n_layer\":0", "layers = 0"), ("\"n_layer\":-1", "layers = -1"),
            ("\"n_layer\":1000000", "layers = 1000000"),
            ("\"n_embd\":9223372036854775807", "width = 9223372036854775807"),
            ("\"n_positions\":0", "context_length = 0"), ("\"vocab_size\":0", "vocab_size = 0"),
            ("\"vocab_size\":3000000000", "vocabulary_size = 3000000000"),
            ("\"resid_pdrop\":1.5,\"embd_pdrop\":1.5,\"attn_pdrop\":1.5", "dropout = 1.5"),
            ("\"n_layer\":\"12\"", "has no whole number at n_layer"),
            ("\"n_layer\":1.5", "has no whole number at n_layer"),
            ("\"layer_norm_epsilon\":true", "has no number at layer_norm_epsilon"),
        ])
    func unsupported(entry: String, words: String) throws {
        let entries = try entries("{\"model_type\":\"gpt2\",\(entry)}")
        expectFailure(.badData, "config.json: ", words) { _ = try entries.configuration() }
    }

    @Test("another kind of model is refused")
    func otherModels() throws {
        expectFailure(.badData, "model_type = \"mistral\"", "has \"gpt2\" or \"llama\"") {
            _ = try entries("{\"model_type\":\"mistral\"}").configuration()
        }
        for text in ["{}", "{\"model_type\":null}"] {
            expectFailure(.badData, "has no string at model_type") {
                _ = try entries(text).configuration()
            }
        }
        expectFailure(.badData, "has no string at model_type") {
            _ = try entries("{\"model_type\":3}").configuration()
        }
        // The same function by another name.
        let text = "{\"model_type\":\"gpt2\",\"activation_function\":\"gelu_pytorch_tanh\"}"
        #expect(try entries(text).configuration().layers == 12)
    }

    @Test("causal masks are buffers, and biases are not")
    func buffers() {
        let names = GPTConfiguration().huggingFaceNames
        for name in ["h.0.attn.bias", "h.11.attn.masked_bias"] { #expect(names.isBuffer(name)) }
        for name in ["h.0.attn.c_attn.bias", "h.x.attn.bias", "ln_f.bias", "h.0.attn", "bias", ""] {
            #expect(!names.isBuffer(name))
        }
        #expect(names.prefix == "transformer." && names.head == "lm_head.weight")
        var llama = GPTConfiguration()
        llama.architecture = "llama"
        let frequencies = "model.layers.3.self_attn.rotary_emb.inv_freq"
        #expect(llama.huggingFaceNames.isBuffer(frequencies) && !names.isBuffer(frequencies))
        #expect(!llama.huggingFaceNames.isBuffer("model.layers.3.self_attn.q_proj.weight"))
    }
}
