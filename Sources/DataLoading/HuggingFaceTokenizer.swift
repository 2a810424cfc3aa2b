import Failures
import JSONText

/// `tokenizer.json` in the layout of Hugging Face's `tokenizers` library, as far as GPT-2 needs it.
struct HuggingFaceTokenizer: Decodable {
    struct Model: Decodable {
        let type: String?
        let vocab: [String: Int]
        let merges: [Merge]
    }

    /// "a b" in older files, ["a", "b"] in newer ones.
    struct Merge: Decodable {
        let parts: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let line = try? container.decode(String.self) {
                parts = BytePairFiles.parts(of: line)
            } else {
                parts = try container.decode([String].self)
            }
        }
    }

    struct AddedToken: Decodable {
        let id: Int
        let content: String
    }

    /// A step before or after the model; only its kind and the settings that change ids are read.
    struct Step: Decodable {
        let type: String
        let addPrefixSpace: Bool?
        let useRegex: Bool?

        enum CodingKeys: String, CodingKey {
            case type
            case addPrefixSpace = "add_prefix_space"
            case useRegex = "use_regex"
        }
    }

    let model: Model
    let addedTokens: [AddedToken]?
    let normalizer: Step?
    let preTokenizer: Step?

    enum CodingKeys: String, CodingKey {
        case model, normalizer
        case addedTokens = "added_tokens"
        case preTokenizer = "pre_tokenizer"
    }

    /// The tokenizer that the file describes.
    ///
    /// - Throws: `Failure` (bad data) if it is no byte-level byte-pair encoding with GPT-2's
    ///   pattern, or inconsistent.
    func tokenizer(path: String) throws(Failure) -> BytePairTokenizer {
        guard model.type ?? "BPE" == "BPE", normalizer == nil, let preTokenizer,
            preTokenizer.type == "ByteLevel", preTokenizer.addPrefixSpace == false,
            preTokenizer.useRegex ?? true
        else {
            throw Failure(
                .badData,
                "\(path) describes a tokenizer other than GPT-2's (model BPE, pre-tokenizer ByteLevel "
                    + "without prefix space, no normalizer); use a tokenizer of the GPT-2 family.")
        }
        var vocabulary = model.vocab
        for token in addedTokens ?? [] { vocabulary[token.content] = token.id }
        let files = BytePairFiles(
            vocabulary: vocabulary, merges: model.merges.map(\.parts),
            names: (vocabulary: path, merges: path), firstLine: 1)
        return BytePairTokenizer(vocabulary: try files.checked())
    }

    /// The file's content for a vocabulary; the same vocabulary always gives the same bytes.
    static func text(of vocabulary: BytePairVocabulary) -> String {
        var text = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        text += "  \"added_tokens\": ["
        if let id = vocabulary.endOfText {
            text +=
                "\n    {\"id\": \(id), \"content\": \(jsonQuoted(BytePairFiles.endOfText)), "
                + "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                + "\"normalized\": true, \"special\": true}\n  "
        }
        let byteLevel =
            "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
            + "\"use_regex\": true}"
        text += "],\n  \"normalizer\": null,\n  \"pre_tokenizer\": \(byteLevel),\n"
        text += "  \"post_processor\": null,\n  \"decoder\": \(byteLevel),\n"
        text += "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
        text += "    \"unk_token\": null,\n    \"continuing_subword_prefix\": \"\",\n"
        text += "    \"end_of_word_suffix\": \"\",\n    \"fuse_unk\": false,\n"
        text += "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {"
        for (id, name) in vocabulary.names.enumerated() {
            text += (id == 0 ? "\n      " : ",\n      ") + jsonQuoted(name) + ": \(id)"
        }
        text += "\n    },\n    \"merges\": ["
        for (rank, merge) in vocabulary.merges.enumerated() {
            let line = vocabulary.names[Int(merge.left)] + " " + vocabulary.names[Int(merge.right)]
            text += (rank == 0 ? "\n      " : ",\n      ") + jsonQuoted(line)
        }
        return text + "\n    ]\n  }\n}\n"
    }
}
