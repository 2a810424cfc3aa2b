import Support

/// The shape of a GPT-2 (Radford et al. 2019) or a LLaMA (Touvron et al. 2023): the recipe's
/// `[model]` section.
package struct GPTConfiguration: Sendable, Equatable {
    /// The architectures that can be trained; `Model` has a block for each.
    package static let architectures = ["gpt2", "llama"]
    /// The name of one of `architectures`.
    package var architecture = Self.architectures[0]
    /// The number of transformer blocks (L).
    package var layers = 4
    /// The number of attention heads in a block (H); divides `width`.
    package var heads = 4
    /// The number of heads of keys and values (K), which divides `heads`; nil for as many as heads.
    package var kvHeads: Int?
    /// The number of channels of the residual stream (C).
    package var width = 128
    /// The number of channels of a gated layer (F); nil for LLaMA's rule.
    package var hiddenWidth: Int?
    /// The maximum number of tokens in a sequence (T), which is also the number of learned
    /// positions.
    package var contextLength = 64
    /// The number of the tokenizer's symbols (V); 0 until the data is known.
    package var vocabularySize = 0
    /// The base of the frequencies of rotary positions; nil for 10,000.
    package var ropeTheta: Double?
    /// The change of these frequencies for a context longer than the original; nil for none.
    package var ropeScaling: RopeScaling?
    /// The number that a norm adds to the mean square; nil for 1e-5.
    package var normEpsilon: Double?
    /// Whether linear layers and layer norms have biases; nil for the architecture's default.
    var statedBias: Bool?
    /// The probability of dropout at the three places where GPT-2 applies it, in [0, 1).
    package var dropout = 0.0
    /// Whether the head's weight is the token embedding; nil if the recipe leaves it to the
    /// architecture.
    package var tiedHead: Bool?
    /// The dependence of initial values and rates on the size.
    package var parametrization = Parametrization.standard
    /// The width at which the parametrization equals the standard one; nil with the standard one.
    package var baseWidth: Int?
    /// The number of layers at which "completep" equals the standard parametrization; nil with
    /// others.
    package var baseLayers: Int?

    package init() {}

    /// The architectures in quotation marks, for messages.
    static var architectureChoice: String {
        Format.alternatives(architectures.map { "\"\($0)\"" })
    }

    /// Checks that a model of this shape can be built.
    ///
    /// - Throws: `Failure` (configuration) that names the key, its value and the nearest valid
    ///   value.
    package func validate() throws(Failure) {
        try require(
            Self.architectures.contains(architecture),
            or: .key(
                "[model] architecture", "\"\(architecture)\"",
                "must be \(Self.architectureChoice)",
                remedy: "write \(Self.architectureChoice)"))
        // The limits are far above trainable sizes, and low enough that no product overflows.
        let sizes = [
            ("layers", layers, 4095), ("heads", heads, 65_535), ("width", width, 1 << 20),
            ("context_length", contextLength, 1 << 24),
        ]
        for (key, value, _) in sizes {
            try require(
                value >= 1,
                or: .key("[model] \(key)", value, "must be at least 1", remedy: "write 1 or more"))
        }
        for (key, value, most) in sizes {
            try require(
                value <= most,
                or: .key(
                    "[model] \(key)", value, "must be at most \(most)",
                    remedy: "write \(most) or less"))
        }
        guard width % heads == 0 else {
            let divisors = (1...width).filter { width % $0 == 0 }
            let nearest = divisors.min { abs($0 - heads) < abs($1 - heads) } ?? 1
            throw Failure.key(
                "[model] heads", heads, "does not divide width = \(width)",
                remedy: "use \(nearest), the nearest number that does")
        }
        try require(
            (0..<1 << 31).contains(vocabularySize),
            or: .key(
                "[model] vocabulary_size", vocabularySize, "must be from 0 to 2147483647",
                remedy: "write 0 for the tokenizer's size, or the number of its symbols"))
        try require(
            (0..<1).contains(dropout),
            or: .key("[model] dropout", dropout, "must be in [0, 1)", remedy: "write 0 for none"))
        try validateArchitecture()
        try validateParametrization()
    }

    /// The number of channels of a head (D).
    package var headWidth: Int { width / heads }

    /// The number of rows of the token embedding in memory: the vocabulary padded to a multiple of
    /// 16.
    ///
    /// The padding has no effect: every softmax ignores its logits, and it stays zero.
    package var paddedVocabularySize: Int { (vocabularySize + 15) / 16 * 16 }

    /// Returns the number of a micro-batch's rows whose logits the head computes at once: all if
    /// their logits take at most 96 MiB, otherwise at least 64.
    ///
    /// Each chunk of rows reads the whole table twice and adds to its whole gradient, so there
    /// should be few chunks.
    package func logitRows(of rows: Int) -> Int {
        let most = max(64, (24 << 20) / paddedVocabularySize)
        let count = (rows + most - 1) / most
        return min(rows, ((rows + count - 1) / count + 7) / 8 * 8)
    }
}
