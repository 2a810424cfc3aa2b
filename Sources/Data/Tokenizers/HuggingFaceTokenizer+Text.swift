import Support

extension HuggingFaceTokenizer {
    /// Returns the content of the file for a vocabulary. It depends only on the vocabulary.
    static func text(of vocabulary: BytePairVocabulary) -> String {
        text(names: vocabulary.names, merges: vocabulary.merges, settings: vocabulary.settings)
    }

    /// Returns the content of the file for the spelling of each id, the merges and the settings.
    static func text(
        names: [String], merges: [BytePairVocabulary.Merge], settings: BytePairSettings
    ) -> String {
        var text = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        text += "  \"added_tokens\": [\(addedTokens(settings))],\n"
        text += "  \"normalizer\": \(settings.composes ? "{\"type\": \"NFC\"}" : "null"),\n"
        text += "  \"pre_tokenizer\": \(preTokenizer(settings.pattern)),\n"
        text += "  \"post_processor\": \(settings.postProcessor ?? "null"),\n"
        text += "  \"decoder\": \(byteLevel(usesPattern: true)),\n"
        text += "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
        text += "    \"unk_token\": null,\n    \"continuing_subword_prefix\": \"\",\n"
        text += "    \"end_of_word_suffix\": \"\",\n    \"fuse_unk\": false,\n"
        text += "    \"byte_fallback\": false,\n    \"ignore_merges\": \(settings.ignoresMerges),\n"
        text += "    \"vocab\": {"
        for (id, name) in names.prefix(settings.listedCount ?? .max).enumerated() {
            text += (id == 0 ? "\n      " : ",\n      ") + jsonQuoted(name) + ": \(id)"
        }
        text += "\n    },\n    \"merges\": ["
        for (rank, merge) in merges.enumerated() {
            text += rank == 0 ? "\n      " : ",\n      "
            let (left, right) = (names[Int(merge.left)], names[Int(merge.right)])
            // No byte-level token has white space; a name with it needs the form of two strings.
            text +=
                (left + right).utf8.contains { $0 <= 0x20 }
                ? "[\(jsonQuoted(left)), \(jsonQuoted(right))]" : jsonQuoted("\(left) \(right)")
        }
        return text + "\n    ]\n  }\n}\n"
    }

    private static func byteLevel(usesPattern: Bool) -> String {
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
            + "\"use_regex\": \(usesPattern)}"
    }

    private static func preTokenizer(_ pattern: SplitPattern) -> String {
        guard pattern != .gpt2 else { return byteLevel(usesPattern: true) }
        let split =
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \(jsonQuoted(pattern.regularExpression))}"
            + ", \"behavior\": \"Isolated\", \"invert\": false}"
        return "{\"type\": \"Sequence\", \"pretokenizers\": [\(split), "
            + "\(byteLevel(usesPattern: false))]}"
    }

    private static func addedTokens(_ settings: BytePairSettings) -> String {
        let lines = settings.addedTokens.map { token in
            // GPT-2's file calls its only token normalized, which without a normalizer changes
            // nothing.
            let isNormalized = token.isNormalized || settings.isPlain
            return "\n    {\"id\": \(token.id), \"content\": \(jsonQuoted(token.content)), "
                + "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                + "\"normalized\": \(isNormalized), \"special\": \(token.isSpecial)}"
        }
        return lines.isEmpty ? "" : lines.joined(separator: ",") + "\n  "
    }
}
