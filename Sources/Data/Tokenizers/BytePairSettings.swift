/// The settings of a byte-pair tokenizer apart from its vocabulary.
struct BytePairSettings: Sendable {
    var pattern = SplitPattern.gpt2
    /// Whether a word in the vocabulary is one token even if its merges give several.
    var ignoresMerges = false
    /// Whether text is converted to Unicode's normalization form C.
    var composes = false
    /// The tokens that are found in text as a whole, in the order of a file.
    var addedTokens: [AddedToken] = []
    /// The number of tokens that the vocabulary lists; the ids after them are added tokens. Nil if
    /// it lists all.
    var listedCount: Int?
    /// The step after the model as JSON, which adds tokens at the ends of a text; nil if there is
    /// none.
    var postProcessor: String?

    /// Whether the tokenizer differs from GPT-2's in its vocabulary alone.
    var isPlain: Bool {
        pattern == .gpt2 && !ignoresMerges && !composes && listedCount == nil
            && postProcessor == nil && addedTokens.count <= 1
            && addedTokens.allSatisfy(\.isSpecial)
    }

    /// The names of the token that ends a document, in the order in which they are looked for.
    private static let endNames = [BytePairFiles.gpt2EndOfText, "<|end_of_text|>", "</s>", "<eos>"]

    /// The token that ends a document: the special token with a usual name, or otherwise the only
    /// special token; nil if there is none.
    var endOfText: UInt32? {
        let special = addedTokens.filter(\.isSpecial)
        for name in Self.endNames {
            if let token = special.first(where: { $0.content == name }) { return token.id }
        }
        return special.count == 1 ? special.first?.id : nil
    }
}
