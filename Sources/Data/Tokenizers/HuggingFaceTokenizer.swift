import Support

/// The part of Hugging Face's layout of `tokenizer.json` that byte-level byte pairs need, and the
/// vocabularies of characters and bytes.
struct HuggingFaceTokenizer: JSONReadable {
    struct Model: JSONReadable {
        let type: String?
        /// The tokens and their ids, in the file's order.
        let vocabulary: [VocabularyEntry]
        let merges: [Merge]
        let dropout: Double?
        let continuingSubwordPrefix: String?
        let endOfWordSuffix: String?
        let ignoreMerges: Bool?

        init(json: JSONValue) throws(JSONProblem) {
            type = try json.read("type")
            vocabulary = try (json.read("vocab") as VocabularyEntries).entries
            merges = type == HuggingFaceTokenizer.words ? [] : try json.read("merges")
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

    struct Added: JSONReadable {
        let id: Int
        let content: String
        let singleWord: Bool?
        let stripsLeft: Bool?
        let stripsRight: Bool?
        let normalized: Bool?
        let special: Bool?

        init(json: JSONValue) throws(JSONProblem) {
            id = try json.read("id")
            content = try json.read("content")
            singleWord = try json.read("single_word")
            stripsLeft = try json.read("lstrip")
            stripsRight = try json.read("rstrip")
            normalized = try json.read("normalized")
            special = try json.read("special")
        }
    }

    /// A step before or after the model, or a sequence of steps.
    struct Step: JSONReadable {
        let type: String
        let json: JSONObject
        /// The steps of a sequence; empty for other steps.
        let parts: [Step]

        init(json: JSONValue) throws(JSONProblem) {
            try self.init(json: json, isPart: false)
        }

        /// A sequence inside a sequence has no parts, and so is refused by its type.
        private init(json: JSONValue, isPart: Bool) throws(JSONProblem) {
            self.json = try JSONObject(json: json)
            type = try json.read("type")
            var parts: [Step] = []
            for key in ["normalizers", "pretokenizers", "processors"] where !isPart {
                guard case .array(let values)? = self.json[key] else { continue }
                for value in values { parts.append(try Step(json: value, isPart: true)) }
            }
            self.parts = parts
        }

        /// The steps that a step stands for: those of a sequence, or itself.
        var steps: [Step] { type == "Sequence" ? parts : [self] }
    }

    let model: Model
    let addedTokens: [Added]
    let normalizer: Step?
    let preTokenizer: Step?
    let postProcessor: Step?
    let truncation: JSONObject?
    let padding: JSONObject?

    init(json: JSONValue) throws(JSONProblem) {
        model = try json.read("model")
        addedTokens = try (json.read("added_tokens") as [Added]?) ?? []
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
        let vocabulary = bytePairs.vocabulary
        let isBytes =
            vocabulary.merges.isEmpty && vocabulary.names == Self.byteNames
            && vocabulary.settings.isPlain
        return isBytes ? ByteTokenizer() : bytePairs
    }
}
