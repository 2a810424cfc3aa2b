import Support

extension HuggingFaceTokenizer {
    /// The type of a model whose tokens are the pieces into which text is split.
    static let words = "WordLevel"
    /// The pattern that splits text into characters.
    private static let anyCharacter = "[\\s\\S]"
    /// The spelling of each byte, in order.
    static let byteNames = (UInt8.min...UInt8.max).map { ByteAlphabet.text(of: [$0]) }

    /// Returns the content of the file for a vocabulary of characters, in the order of their ids.
    ///
    /// Text with another character is refused, because no token is named like `unk_token`.
    static func text(ofCharacters scalars: [UInt32]) -> String {
        let names = scalars.compactMap(Unicode.Scalar.init).map { String($0) }
        let vocabulary = names.enumerated().map { "      \(jsonQuoted($1)): \($0)" }
        return """
            {
              "version": "1.0",
              "truncation": null,
              "padding": null,
              "added_tokens": [],
              "normalizer": null,
              "pre_tokenizer": {"type": "Split", "pattern": {"Regex": \(jsonQuoted(anyCharacter))}, \
            "behavior": "Isolated", "invert": false},
              "post_processor": null,
              "decoder": {"type": "Fuse"},
              "model": {
                "type": "WordLevel",
                "unk_token": "<unk>",
                "vocab": {
            \(vocabulary.joined(separator: ",\n"))
                }
              }
            }

            """
    }

    /// Returns the tokenizer of a file as `text(ofCharacters:)` writes it; nil if the file describes
    /// another one.
    ///
    /// - Throws: the same as `CharacterTokenizer.init(scalars:)`.
    func characters() throws(Failure) -> CharacterTokenizer? {
        guard normalizer == nil, postProcessor == nil, truncation == nil, padding == nil,
            addedTokens.isEmpty, let split = preTokenizer?.json, preTokenizer?.type == "Split",
            split["pattern"] == ["Regex": .string(Self.anyCharacter)],
            split["behavior"] == "Isolated", split["invert"] ?? false == false
        else { return nil }
        var scalars: [UInt32] = []
        for entry in model.vocabulary.sorted(by: { $0.id < $1.id }) {
            let text = entry.text.unicodeScalars
            guard let scalar = text.first, text.count == 1, entry.id == scalars.count,
                scalar.value > scalars.last ?? 0 || scalars.isEmpty
            else { return nil }
            scalars.append(scalar.value)
        }
        return scalars.isEmpty ? nil : try CharacterTokenizer(scalars: scalars)
    }
}

/// A file of a tokenizer in Hugging Face's layout.
package struct HuggingFaceFile: Sendable {
    package let name: String
    package let text: String

    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

extension Tokenizer {
    /// Returns the files with which `AutoTokenizer` of Transformers gives the same ids.
    ///
    /// - Parameter contextLength: the maximum number of tokens that the model reads.
    package func huggingFaceFiles(contextLength: Int) -> [HuggingFaceFile] {
        var settings: JSONObject = [
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": .integer(contextLength),
            "clean_up_tokenization_spaces": false,
        ]
        if let name = endOfTextName {
            settings["bos_token"] = .string(name)
            settings["eos_token"] = .string(name)
        }
        return [
            HuggingFaceFile(name: tokenizerFileName, text: huggingFaceForm),
            HuggingFaceFile(name: "tokenizer_config.json", text: settings.prettyText + "\n"),
        ] + vocabularyFiles
    }
}

extension BytePairVocabulary {
    /// The two files of a byte-pair vocabulary, as OpenAI published GPT-2's.
    var files: [HuggingFaceFile] {
        let tokens = names.enumerated().map { "\(jsonQuoted($1)): \($0)" }
        let lines = merges.map { "\(names[Int($0.left)]) \(names[Int($0.right)])\n" }
        return [
            HuggingFaceFile(
                name: "vocab.json", text: "{\(tokens.joined(separator: ", "))}\n"),
            HuggingFaceFile(name: "merges.txt", text: "#version: 0.2\n" + lines.joined()),
        ]
    }
}
