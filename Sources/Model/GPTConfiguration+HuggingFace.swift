import Recipes
import Support

extension GPTConfiguration {
    /// Returns the `config.json` that `from_pretrained` of Hugging Face's Transformers needs to
    /// load the parameters.
    ///
    /// - Parameter endOfText: the token that separates documents; nil if the vocabulary has none.
    package func huggingFaceConfiguration(endOfText: UInt32?) -> String {
        let token = endOfText.map { JSONValue.integer(Int($0)) } ?? .null
        var entries = Architecture.block(of: self).huggingFaceEntries(self)
        // Transformers has these entries for every model.
        entries["tie_word_embeddings"] = .bool(tiesHead)
        entries["use_cache"] = .bool(true)
        entries["bos_token_id"] = token
        entries["eos_token_id"] = token
        entries["torch_dtype"] = .string("float32")
        return entries.text + "\n"
    }
}

/// The names of a model's tensors in Hugging Face's folders, where they differ from those in the
/// arena.
package struct HuggingFaceNames: Sendable {
    private let configuration: GPTConfiguration
    private var block: any Block.Type { Architecture.block(of: configuration) }

    fileprivate init(_ configuration: GPTConfiguration) { self.configuration = configuration }

    /// The prefix before the names of all tensors but the head's.
    package var prefix: String { block.huggingFacePrefix }
    /// The name of the head's weight, which a folder of a tied model may also have.
    package var head: String { block.outerNames.head }

    /// Returns whether a name without prefix is that of a buffer, which holds no parameters.
    package func isBuffer(_ name: String) -> Bool { block.isHuggingFaceBuffer(name) }
}

extension GPTConfiguration {
    /// The names of the model's tensors in Hugging Face's folders.
    package var huggingFaceNames: HuggingFaceNames { HuggingFaceNames(self) }
}
