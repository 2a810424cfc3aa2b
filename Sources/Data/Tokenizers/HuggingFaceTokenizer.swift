import Support

/// The part of Hugging Face's layout of `tokenizer.json` that GPT-2 needs, and the vocabularies of
/// characters and bytes.
struct HuggingFaceTokenizer: JSONReadable {
    struct Model: JSONReadable {
        let type: String?
        /// The ids of byte pairs by token.
        let vocab: [String: Int]
        /// The tokens of a vocabulary of whole words and their ids, in the file's order.
        let words: [(text: String, id: Int)]
        let merges: [Merge]
        let dropout: Double?
        let continuingSubwordPrefix: String?
        let endOfWordSuffix: String?
        let ignoreMerges: Bool?

        init(json: JSONValue) throws(JSONProblem) {
            type = try json.read("type")
            if type == HuggingFaceTokenizer.words {
                // A dictionary would join characters that Unicode calls equivalent.
                let members = try (json.read("vocab") as JSONObject).members
                words = try members.map { (member) throws(JSONProblem) in
                    (member.key, try Int(json: member.value, at: "vocab"))
                }
                (vocab, merges) = ([:], [])
            } else {
                vocab = try json.read("vocab")
                words = []
                merges = try json.read("merges")
            }
            dropout = try json.read("dropout")
            continuingSubwordPrefix = try json.read("continuing_subword_prefix")
            endOfWordSuffix = try json.read("end_of_word_suffix")
            ignoreMerges = try json.read("ignore_merges")
        }
    }

    /// A merge, which is "a b" in older files and ["a", "b"] in newer ones.
    struct Merge: JSONReadable {
        let parts: [String]

        init(json: JSONValue) throws(JSONProblem) {
            parts =
                if case .string(let line) = json { BytePairFiles.parts(of: line) } else {
                    try [String](json: json)
                }
        }
    }

    struct AddedToken: JSONReadable {
        let id: Int
        let content: String
        let singleWord: Bool?
        let stripsLeft: Bool?
        let stripsRight: Bool?
        let special: Bool?

        init(json: JSONValue) throws(JSONProblem) {
            id = try json.read("id")
            content = try json.read("content")
            singleWord = try json.read("single_word")
            stripsLeft = try json.read("lstrip")
            stripsRight = try json.read("rstrip")
            special = try json.read("special")
        }
    }

    /// A step before or after the model; only its kind and the settings that change ids are read.
    struct Step: JSONReadable {
        let type: String
        let addPrefixSpace: Bool?
        let useRegex: Bool?
        /// The settings of a step that splits text.
        let split: JSONObject?

        init(json: JSONValue) throws(JSONProblem) {
            type = try json.read("type")
            split = type == "Split" ? try JSONObject(json: json) : nil
            addPrefixSpace = try json.read("add_prefix_space")
            useRegex = try json.read("use_regex")
        }
    }

    let model: Model
    let addedTokens: [AddedToken]?
    let normalizer: Step?
    let preTokenizer: Step?
    let postProcessor: Step?
    let truncation: JSONObject?
    let padding: JSONObject?

    init(json: JSONValue) throws(JSONProblem) {
        model = try json.read("model")
        addedTokens = try json.read("added_tokens")
        normalizer = try json.read("normalizer")
        preTokenizer = try json.read("pre_tokenizer")
        postProcessor = try json.read("post_processor")
        truncation = try json.read("truncation")
        padding = try json.read("padding")
    }

    /// Returns the tokenizer that the file describes: of characters, of bytes, or of byte pairs.
    ///
    /// - Throws: the same as `bytePairs(path:)`.
    func tokenizer(path: String) throws(Failure) -> any Tokenizer {
        if model.type == Self.words, let characters = try characters() { return characters }
        let bytePairs = try bytePairs(path: path)
        let names = bytePairs.vocabulary.names
        let isBytes = bytePairs.vocabulary.merges.isEmpty && names == Self.byteNames
        return isBytes ? ByteTokenizer() : bytePairs
    }

    /// Returns the byte-pair tokenizer that the file describes.
    ///
    /// `unk_token`, `fuse_unk` and `byte_fallback` have no effect, because every byte has a token.
    /// The decoder does not affect ids.
    ///
    /// - Throws: `Failure` (bad data) if it is not a byte-level byte-pair encoding with GPT-2's
    ///   pattern, has a setting that gives different ids, or is inconsistent.
    func bytePairs(path: String) throws(Failure) -> BytePairTokenizer {
        if let setting = foreignSetting {
            throw .badData(
                path, "has \(setting), which differs from GPT-2's tokenizer",
                remedy: "use a tokenizer of the GPT-2 family")
        }
        for (name, isSet) in [
            ("truncation", truncation != nil), ("padding", padding != nil),
            ("post_processor", (postProcessor?.type ?? "ByteLevel") != "ByteLevel"),
        ] where isSet {
            throw .badData(
                path, "has a \(name), which truncates texts or adds tokens to them",
                remedy: "set it to null in a copy of the file")
        }
        let endOfText = try endOfText(path: path)
        var vocabulary = model.vocab
        if let endOfText { vocabulary[endOfText.content] = endOfText.id }
        let files = BytePairFiles(
            vocabulary: vocabulary, merges: model.merges.map(\.parts),
            names: (vocabulary: path, merges: path), firstLine: 1,
            endOfText: endOfText?.content ?? BytePairFiles.gpt2EndOfText)
        return BytePairTokenizer(vocabulary: try files.checked())
    }

    /// The first setting that makes a file describe another kind of tokenizer, or nil.
    private var foreignSetting: String? {
        if let type = model.type, type != "BPE" { return "a model \(type)" }
        if let normalizer { return "a normalizer \(normalizer.type)" }
        guard let preTokenizer else { return "no pre_tokenizer" }
        guard preTokenizer.type == "ByteLevel" else {
            return "a pre_tokenizer \(preTokenizer.type)"
        }
        if preTokenizer.addPrefixSpace != false { return "a pre_tokenizer with a prefix space" }
        if preTokenizer.useRegex == false { return "a pre_tokenizer without its pattern" }
        if let dropout = model.dropout, dropout != 0 { return "a model with dropout = \(dropout)" }
        if model.ignoreMerges ?? false { return "a model with ignore_merges = true" }
        for (name, text) in [
            ("continuing_subword_prefix", model.continuingSubwordPrefix),
            ("end_of_word_suffix", model.endOfWordSuffix),
        ] where !(text ?? "").isEmpty {
            return "a model with \(name) = \(jsonQuoted(text ?? ""))"
        }
        return nil
    }

    /// Returns the one added token, which ends each text, or nil if there is none.
    ///
    /// - Throws: `Failure` (bad data) if there is an added token that the library would find in
    ///   text in a different way than `--separator`.
    private func endOfText(path: String) throws(Failure) -> AddedToken? {
        let added = addedTokens ?? []
        let endOfText =
            added.first { $0.content == BytePairFiles.gpt2EndOfText }
            ?? added.first { $0.special ?? false }
        if let other = added.first(where: { $0.content != endOfText?.content }) {
            throw .badData(
                path,
                "has the added token \(jsonQuoted(other.content)), but only one added token, which "
                    + "ends each text, is supported",
                remedy: "remove it from added_tokens in a copy of the file if your texts do not "
                    + "contain it")
        }
        guard let endOfText else { return nil }
        for (name, isSet) in [
            ("single_word", endOfText.singleWord), ("lstrip", endOfText.stripsLeft),
            ("rstrip", endOfText.stripsRight),
        ] where isSet ?? false {
            throw .badData(
                path,
                "has \(name) = true for \(jsonQuoted(endOfText.content)), which would change the "
                    + "text around it",
                remedy: "set it to false in a copy of the file")
        }
        return endOfText
    }

    /// Returns the content of the file for a vocabulary. It depends only on the vocabulary.
    static func text(of vocabulary: BytePairVocabulary) -> String {
        text(
            names: vocabulary.names, merges: vocabulary.merges, endOfText: vocabulary.endOfText)
    }

    /// Returns the content of the file for the spelling of each id and the merges.
    static func text(
        names: [String], merges: [BytePairVocabulary.Merge], endOfText: UInt32?
    ) -> String {
        var text = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
        text += "  \"added_tokens\": ["
        if let id = endOfText {
            text +=
                "\n    {\"id\": \(id), \"content\": \(jsonQuoted(names[Int(id)])), "
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
        for (id, name) in names.enumerated() {
            text += (id == 0 ? "\n      " : ",\n      ") + jsonQuoted(name) + ": \(id)"
        }
        text += "\n    },\n    \"merges\": ["
        for (rank, merge) in merges.enumerated() {
            let line = names[Int(merge.left)] + " " + names[Int(merge.right)]
            text += (rank == 0 ? "\n      " : ",\n      ") + jsonQuoted(line)
        }
        return text + "\n    ]\n  }\n}\n"
    }
}
