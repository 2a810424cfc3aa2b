import Glibc
import Support

// The settings of `[model]` that differ between the architectures.

extension GPTConfiguration {
    /// Whether the architecture is LLaMA's.
    package var isLlama: Bool { architecture == "llama" }

    /// Whether linear layers and layer norms have biases.
    package var bias: Bool {
        get { statedBias ?? !isLlama }
        set { statedBias = newValue == !isLlama ? nil : newValue }
    }

    /// The value of the recipe's key, which is written only for an architecture that takes it.
    var biasKey: Bool? {
        get { isLlama ? statedBias : bias }
        // The architecture may be set later.
        set { if let newValue { statedBias = newValue } }
    }

    /// Forgets a stated `bias` that is the architecture's default, so that equal models compare as equal.
    mutating func forgetUsualBias() {
        if statedBias == !isLlama { statedBias = nil }
    }

    /// Whether the head's weight is the token embedding.
    package var tiesHead: Bool {
        get { tiedHead ?? !isLlama }
        set { tiedHead = newValue }
    }

    /// The number of heads of keys and values (K).
    package var kvHeadCount: Int { kvHeads ?? heads }

    /// The number of hidden channels of an MLP (F): GPT-2's 4 C, or LLaMA's 8/3 C, rounded up to a
    /// multiple of 256 (Touvron et al. 2023), so that gated layers have as many parameters.
    package var mlpWidth: Int {
        guard isLlama else { return 4 * width }
        return hiddenWidth ?? (8 * width / 3 + 255) / 256 * 256
    }

    /// The number that LLaMA's norms add to the mean square.
    package var rmsNormEpsilon: Double { normEpsilon ?? 1e-5 }

    /// The base of the rotary frequencies.
    package var rotaryBase: Double { ropeTheta ?? 10_000 }

    /// The rotary frequencies of a head's pairs of channels, in radians per position: base^(-2i/D)
    /// (Su et al. 2021), scaled if the recipe says so.
    package var rotaryFrequencies: [Double] {
        (0..<headWidth / 2).map { pair in
            let frequency = pow(rotaryBase, -2 * Double(pair) / Double(headWidth))
            return ropeScaling?.scaled(frequency) ?? frequency
        }
    }

    /// Checks the settings that only one architecture takes.
    ///
    /// - Throws: `Failure` (configuration) that names the key.
    func validateArchitecture() throws(Failure) {
        if isLlama { try validateLlama() } else { try refuseLlamaKeys() }
    }

    private func refuseLlamaKeys() throws(Failure) {
        let stated: [(key: String, value: RecipeValue?)] = [
            ("kv_heads", kvHeads.recipeValue), ("hidden_width", hiddenWidth.recipeValue),
            ("rope_theta", ropeTheta.recipeValue), ("rope_scaling", ropeScaling.recipeValue),
            ("norm_epsilon", normEpsilon.recipeValue),
        ]
        for (key, value) in stated {
            guard let value else { continue }
            throw .key(
                "[model] \(key)", value.toml,
                "does nothing with architecture = \"\(architecture)\"",
                remedy: "remove it, or set architecture = \"llama\"")
        }
    }

    private func validateLlama() throws(Failure) {
        try refuseGPT2Settings()
        try require(
            headWidth.isMultiple(of: 2),
            or: .key(
                "[model] heads", heads,
                "makes heads of \(headWidth) with width = \(width), but rotary positions turn "
                    + "pairs of channels",
                remedy: "use an even width per head"))
        if let kvHeads {
            let divisors = (1...heads).filter { heads % $0 == 0 }
            let nearest = divisors.min { abs($0 - kvHeads) < abs($1 - kvHeads) } ?? 1
            try require(
                kvHeads >= 1 && heads % kvHeads == 0,
                or: .key(
                    "[model] kv_heads", kvHeads, "does not divide heads = \(heads)",
                    remedy: "use \(nearest), the nearest number that does"))
        }
        if let hiddenWidth {
            try require(
                (1...1 << 22).contains(hiddenWidth),
                or: .key(
                    "[model] hidden_width", hiddenWidth, "must be from 1 to \(1 << 22)",
                    remedy: "remove it for LLaMA's rule"))
        }
        if let ropeTheta {
            try require(
                ropeTheta > 1 && ropeTheta.isFinite,
                or: .key(
                    "[model] rope_theta", ropeTheta, "must be greater than 1",
                    remedy: "write 10000, or 500000 as in Llama 3"))
        }
        if let normEpsilon {
            try require(
                normEpsilon > 0 && normEpsilon < 1,
                or: .key(
                    "[model] norm_epsilon", normEpsilon, "must be between 0 and 1",
                    remedy: "write 1e-5"))
        }
        try ropeScaling?.validate()
    }

    private func refuseGPT2Settings() throws(Failure) {
        try require(
            statedBias != true,
            or: .key(
                "[model] bias", "true",
                "does not fit architecture = \"llama\", which has no biases",
                remedy: "remove it, or set architecture = \"gpt2\""))
        try require(
            dropout == 0,
            or: .key(
                "[model] dropout", dropout,
                "does not fit architecture = \"llama\", which has no dropout",
                remedy: "remove it, or set architecture = \"gpt2\""))
        try require(
            parametrization == .standard,
            or: .key(
                "[model] parametrization", "\"\(parametrization.rawValue)\"",
                "is derived only for architecture = \"gpt2\"",
                remedy: "use parametrization = \"standard\", or set architecture = \"gpt2\""))
    }
}
