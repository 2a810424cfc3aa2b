import Data
import Model
import Recipes
import Support

extension InitialModel {
    /// The most rows of padding that a token table may have if its tokenizer is unknown. Models
    /// round their vocabulary up to a multiple of at most this number.
    private static let mostUnknownPadding = 127

    /// The values of unset keys of [model]: those of the model except its vocabulary, which the data
    /// decide.
    package var defaults: GPTConfiguration {
        var defaults = configuration
        defaults.vocabularySize = 0
        return defaults
    }

    /// Checks that the parameters fit a recipe's model and its data; returns what the plan says
    /// about the start.
    ///
    /// - Parameter tokenizer: the data's tokenizer; nil if it is unknown.
    /// - Throws: `Failure` (configuration) that names the key that differs; (bad data) if the data
    ///   have another tokenizer.
    package func text(
        fitting model: GPTConfiguration, dataPath: String, tokenizer: (any Tokenizer)?
    ) throws(Failure) -> String {
        let digest = "SHA-256 \(record.digest.prefix(12))..."
        let notes = try fit(model, dataPath: dataPath, tokenizer: tokenizer)
        return (["\(record.title), \(digest)"] + notes).joined(separator: "; ")
    }

    private func fit(
        _ model: GPTConfiguration, dataPath: String, tokenizer: (any Tokenizer)?
    ) throws(Failure) -> [String] {
        for (own, theirs) in zip(Self.shape(of: model), Self.shape(of: configuration))
        where own.value != theirs.value {
            throw .key(
                "[model] \(own.key)", own.value, "is \(theirs.value) in \(record.title)",
                remedy: "remove it to use the model's, or set it to \(theirs.value)")
        }
        return try notes + contextNotes(model) + biasNotes(model)
            + vocabularyNotes(model, dataPath: dataPath, tokenizer: tokenizer)
    }

    /// The keys that decide the function of a model, with their values as in a recipe.
    private static func shape(of model: GPTConfiguration) -> [(key: String, value: String)] {
        let scaling = model.ropeScaling?.toml ?? "unset"
        return [
            ("architecture", jsonQuoted(model.architecture)), ("layers", "\(model.layers)"),
            ("heads", "\(model.heads)"), ("kv_heads", "\(model.kvHeadCount)"),
            ("width", "\(model.width)"), ("hidden_width", "\(model.mlpWidth)"),
            ("rope_theta", "\(model.rotaryBase)"), ("rope_scaling", scaling),
            ("norm_epsilon", "\(model.rmsNormEpsilon)"), ("tied_head", "\(model.tiesHead)"),
        ]
    }

    private func contextNotes(_ model: GPTConfiguration) throws(Failure) -> [String] {
        let (own, theirs) = (model.contextLength, configuration.contextLength)
        guard own <= theirs || model.isLlama else {
            throw .key(
                "[model] context_length", own,
                "is more than the \(theirs) positions of \(record.title)",
                remedy: "set it to \(theirs) or less, or remove it to use the model's")
        }
        guard own != theirs else { return [] }
        return [
            own < theirs
                ? "uses the first \(own) of the model's \(Format.count(theirs)) positions"
                : "uses more than the model's \(Format.count(theirs)) positions, which are rotary"
        ]
    }

    private func biasNotes(_ model: GPTConfiguration) throws(Failure) -> [String] {
        if model.bias, !configuration.bias {
            return ["adds biases, which the model lacks; they start at 0"]
        }
        guard !model.bias, configuration.bias else { return [] }
        for name in tensors.names where name.hasSuffix(".bias") {
            guard try tensors.isZero(name) else {
                throw .key(
                    "[model] bias", false,
                    "would drop the biases of \(record.title), of which \"\(name)\" is not 0",
                    remedy: "remove it, or set it to true")
            }
        }
        return ["drops the model's biases, which are all 0"]
    }

    private func vocabularyNotes(
        _ model: GPTConfiguration, dataPath: String, tokenizer data: (any Tokenizer)?
    ) throws(Failure) -> [String] {
        let (own, theirs) = (model.vocabularySize, configuration.vocabularySize)
        let isCompared = tokenizer != nil && data != nil
        if let tokenizer, let data, tokenizer.fingerprint != data.fingerprint {
            throw .file(
                .badData, dataPath, "was made with another tokenizer than \(record.title)",
                remedy: "tokenize the text again with `lockstep tokenize --like "
                    + "\(shellQuoted(record.path))`")
        }
        if let data, data.vocabularySize > theirs {
            throw .file(
                .badData, dataPath,
                "has \(data.vocabularySize) symbols, but \(record.title) has \(theirs)",
                remedy: "tokenize the text again with the model's tokenizer")
        }
        let dropped = theirs - own
        guard isCompared || dropped <= Self.mostUnknownPadding else {
            throw .key(
                "[model] vocabulary_size", own,
                "would drop \(dropped) of the \(theirs) symbols of \(record.title), whose tokenizer "
                    + "is unknown",
                remedy: "tokenize the text with the model's tokenizer, or set it to \(theirs)")
        }
        if dropped > 0 {
            return [
                "drops the last \(Format.counted(dropped, "row")) of the model's "
                    + "\(Format.count(theirs)) token embeddings, which the data do not use"
            ]
        }
        return dropped == 0
            ? []
            : [
                "adds \(Format.counted(-dropped, "row")) of new token embeddings to the model's "
                    + Format.count(theirs)
            ]
    }
}
