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
