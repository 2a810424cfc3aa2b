import Model
import Recipes
import Support
import TestSupport
import Testing

/// Tests of the configurations that Transformers writes, and of those that GPT-2's block cannot
/// represent.
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
        #expect(try entries(text).tiesHead())
    }

    @Test("a configuration that is written reads back")
    func roundTrip() throws {
        let shape = configuration(layers: 5, width: 30, heads: 2, dropout: 0.25)
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
        expectFailure(.badData, "model_type = \"llama\"", "has \"gpt2\"") {
            _ = try entries("{\"model_type\":\"llama\"}").configuration()
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
    }
}
