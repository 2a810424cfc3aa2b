import Foundation
import Model
import Recipes
import TestSupport
import Testing

/// Tests of the configuration for Transformers.
@Suite struct ConfigurationTests {
    /// Returns the configuration of the golden file's shape.
    private func entries(tiesHead: Bool = true, endOfText: UInt32? = 50256) throws -> NSDictionary {
        var shape = GPTConfiguration()
        shape.layers = 3
        shape.heads = 4
        shape.width = 48
        shape.contextLength = 96
        shape.vocabularySize = 50257
        shape.dropout = 0.15
        shape.tiesHead = tiesHead
        let text = shape.huggingFaceConfiguration(endOfText: endOfText)
        return try object(Data(text.utf8))
    }

    private func object(_ data: Data) throws -> NSDictionary {
        try #require(try JSONSerialization.jsonObject(with: data) as? NSDictionary)
    }

    @Test("every key has the value that Transformers writes, and an absent one has its default")
    func golden() throws {
        let expected = try object(Data(bytes(of: goldenPath("config.json"))))
        // These older names of n_positions and dtype are read by older versions of Transformers.
        let olderNames = ["n_ctx": "n_positions", "torch_dtype": "dtype"]
        let entries = try entries()
        for case let key as String in entries.allKeys {
            let value = expected[olderNames[key] ?? key]
            #expect(entries[key] as? NSObject == value as? NSObject, "\(key)")
        }
        for key in [
            "activation_function", "architectures", "attn_pdrop", "bos_token_id", "embd_pdrop",
            "eos_token_id", "initializer_range", "layer_norm_epsilon", "model_type", "n_embd",
            "n_head", "n_inner", "n_layer", "n_positions", "resid_pdrop", "scale_attn_weights",
            "tie_word_embeddings", "vocab_size",
        ] { #expect(entries[key] != nil, "\(key)") }
    }

    @Test("an untied head and a vocabulary without an end-of-text token are stated")
    func variants() throws {
        let entries = try entries(tiesHead: false, endOfText: nil)
        #expect(entries["tie_word_embeddings"] as? Bool == false)
        #expect(entries["eos_token_id"] is NSNull)
        #expect(entries["bos_token_id"] is NSNull)
    }
}
