import Support

extension HuggingFaceTokenizer {
    /// Returns the byte-pair tokenizer that the file describes.
    ///
    /// `unk_token`, `fuse_unk` and `byte_fallback` have no effect, because every byte has a token.
    /// The decoder does not affect ids. A post-processor that adds tokens at the ends of a text is
    /// kept for other programs, but does not change the ids of a text here.
    ///
    /// - Throws: `Failure` (bad data) if it is not a byte-level byte-pair encoding, has a setting or
    ///   a pattern that is not supported, or is inconsistent.
    func bytePairs(path: String) throws(Failure) -> BytePairTokenizer {
        if let setting = unsupportedModel ?? unsupportedNormalizer {
            throw Self.unsupported(setting, path: path)
        }
        for (name, isSet) in [("truncation", truncation != nil), ("padding", padding != nil)]
        where isSet {
            throw .badData(
                path, "has a \(name), which truncates texts or adds tokens to them",
                remedy: "set it to null in a copy of the file")
        }
        var settings = BytePairSettings()
        settings.pattern = try pattern(path: path)
        settings.composes = normalizer.map { !$0.steps.isEmpty } ?? false
        settings.ignoresMerges = model.ignoreMerges ?? false
        settings.postProcessor = try processorText(path: path)
        settings.addedTokens = try checkedAddedTokens(path: path)
        if !settings.isPlain { settings.listedCount = model.vocabulary.count }
        let files = BytePairFiles(
            vocabulary: model.vocabulary, merges: model.merges.map(\.parts),
            names: (vocabulary: path, merges: path), firstLine: 1, settings: settings)
        return BytePairTokenizer(vocabulary: try files.checked())
    }

    private static func unsupported(_ setting: String, path: String) -> Failure {
        .badData(
            path, "has \(setting), which is not supported",
            remedy: "use a byte-level BPE tokenizer with the pattern of GPT-2, Llama 3 or Qwen 2")
    }

    // MARK: - Model and normalizer

    /// The first setting of the model that gives different ids, or nil.
    private var unsupportedModel: String? {
        if let type = model.type, type != "BPE" { return "a model \(type)" }
        if let dropout = model.dropout, dropout != 0 { return "a model with dropout = \(dropout)" }
        for (name, text) in [
            ("continuing_subword_prefix", model.continuingSubwordPrefix),
            ("end_of_word_suffix", model.endOfWordSuffix),
        ] where !(text ?? "").isEmpty {
            return "a model with \(name) = \(jsonQuoted(text ?? ""))"
        }
        return nil
    }

    private var unsupportedNormalizer: String? {
        guard let normalizer else { return nil }
        if let other = normalizer.steps.first(where: { $0.type != "NFC" }) {
            return "a normalizer \(other.type)"
        }
        return nil
    }

    // MARK: - Pattern

    /// Returns the pattern of the steps before the model: the pattern of `ByteLevel`, or that of a
    /// `Split` before it.
    private func pattern(path: String) throws(Failure) -> SplitPattern {
        guard let steps = preTokenizer?.steps, let last = steps.last else {
            throw Self.unsupported("no pre_tokenizer", path: path)
        }
        let known = steps.count == 1 ? ["ByteLevel"] : ["Split", "ByteLevel"]
        if let other = steps.first(where: { !known.contains($0.type) }) {
            throw Self.unsupported("a pre_tokenizer \(other.type)", path: path)
        }
        guard last.type == "ByteLevel", steps.count <= 2, steps[0].type == known[0] else {
            let types = steps.map(\.type).joined(separator: ", ")
            throw Self.unsupported("the pre_tokenizers \(types)", path: path)
        }
        guard last.json["add_prefix_space"] == false else {
            throw Self.unsupported("a pre_tokenizer with a prefix space", path: path)
        }
        let usesOwnPattern = last.json["use_regex"] ?? true != false
        if steps.count == 1 {
            guard usesOwnPattern else {
                throw Self.unsupported("a pre_tokenizer without its pattern", path: path)
            }
            return .gpt2
        }
        guard !usesOwnPattern else {
            throw Self.unsupported("a pre_tokenizer with two patterns", path: path)
        }
        return try pattern(of: steps[0].json, path: path)
    }

    /// Returns the pattern of a `Split`.
    private func pattern(of split: JSONObject, path: String) throws(Failure) -> SplitPattern {
        guard split["behavior"] == "Isolated", split["invert"] ?? false == false else {
            throw Self.unsupported(
                "a pre_tokenizer Split that is inverted or whose behavior is not Isolated",
                path: path)
        }
        guard case .object(let pattern)? = split["pattern"],
            case .string(let expression)? = pattern["Regex"]
        else { throw Self.unsupported("a pre_tokenizer Split without a Regex", path: path) }
        guard let known = SplitPattern(regularExpression: expression) else {
            let shown = expression.prefix(60) + (expression.count > 60 ? "..." : "")
            throw Self.unsupported(
                "a pre_tokenizer Split with the pattern \(jsonQuoted(String(shown)))", path: path)
        }
        return known
    }

    // MARK: - Post-processor

    /// Returns the steps after the model that add tokens, as JSON; nil if there is none.
    private func processorText(path: String) throws(Failure) -> String? {
        guard let postProcessor else { return nil }
        for step in postProcessor.steps
        where !["ByteLevel", "TemplateProcessing"].contains(step.type) {
            throw .badData(
                path, "has a post_processor \(step.type), which is not supported",
                remedy: "set it to null in a copy of the file")
        }
        let addsTokens = postProcessor.steps.contains { $0.type == "TemplateProcessing" }
        return addsTokens ? postProcessor.json.text : nil
    }

    // MARK: - Added tokens

    /// Returns the added tokens.
    ///
    /// - Throws: `Failure` (bad data) if one has a setting that changes the text around it, is
    ///   listed twice, or has another id than the library gives it.
    private func checkedAddedTokens(path: String) throws(Failure) -> [AddedToken] {
        guard !addedTokens.isEmpty else { return [] }
        var ids: [[UInt8]: Int] = [:]
        for entry in model.vocabulary { ids[Array(entry.text.utf8)] = entry.id }
        var seen: Set<[UInt8]> = []
        var next = model.vocabulary.count
        var tokens: [AddedToken] = []
        for token in addedTokens {
            let bytes = Array(token.content.utf8)
            try Self.check(token, path: path)
            let quoted = jsonQuoted(token.content)
            guard seen.insert(bytes).inserted else {
                throw .badData(path, "lists the added token \(quoted) twice", remedy: useOwnFile)
            }
            let listed = ids[bytes]
            let expected = listed ?? next
            if listed == nil { next += 1 }
            guard token.id == expected else {
                throw .badData(
                    path,
                    "gives the added token \(quoted) the id \(token.id), but its place is \(expected)",
                    remedy: useOwnFile)
            }
            if listed != nil, let spelled = ByteAlphabet.bytes(of: token.content), spelled != bytes
            {
                throw .badData(
                    path, "has the added token \(quoted), which also spells other bytes",
                    remedy: "remove it from added_tokens in a copy of the file")
            }
            let isEnd = token.content == BytePairFiles.gpt2EndOfText
            let isSpecial = token.special ?? false || isEnd
            tokens.append(
                AddedToken(
                    id: UInt32(token.id), content: token.content, isSpecial: isSpecial,
                    isNormalized: token.normalized ?? !isSpecial))
        }
        return tokens
    }

    /// Checks the settings of an added token.
    private static func check(_ token: Added, path: String) throws(Failure) {
        let quoted = jsonQuoted(token.content)
        for (name, isSet) in [
            ("single_word", token.singleWord), ("lstrip", token.stripsLeft),
            ("rstrip", token.stripsRight),
        ] where isSet ?? false {
            throw .badData(
                path, "has \(name) = true for \(quoted), which would change the text around it",
                remedy: "set it to false in a copy of the file")
        }
        let count = token.content.utf8.count
        guard (1...AddedTokenSearch.longestToken).contains(count) else {
            throw .badData(
                path,
                "has an added token of \(count) bytes, but they have 1 to "
                    + "\(AddedTokenSearch.longestToken)", remedy: useOwnFile)
        }
    }
}
