import Support

/// A recipe with published or recommended settings, which `lockstep recipes` prints.
package struct Preset: Sendable {
    /// The name on the command line.
    package let name: String
    /// The source of the settings, in one line.
    package let source: String
    /// Sentences about settings that the source leaves open or that differ from it.
    package let notes: [String]
    package let recipe: Recipe
    /// The number of tokens of the tokenizer that the preset is for; the recipe takes that of the
    /// data.
    package var vocabularySize = 50_257

    /// All presets, in the order in which they are listed.
    package static let all = smallPresets + gpt2Presets + gpt3Presets + llamaPresets

    /// Returns the preset with a name.
    ///
    /// - Throws: `Failure` (usage) that suggests the nearest name.
    package static func named(_ name: String) throws(Failure) -> Preset {
        if let preset = all.first(where: { $0.name == name }) { return preset }
        throw .about(
            .usage, "\"\(name)\"", "is not the name of a recipe",
            remedy: spellingRemedy(
                for: name, among: all.map(\.name),
                otherwise: "use one that `lockstep recipes` lists"))
    }

    /// The keys that are written even at their defaults, because papers state them.
    private static let statedKeys: Set<String> = [
        "model.layers", "model.heads", "model.width", "model.context_length", "training.steps",
        "training.global_batch", "optimizer.name", "optimizer.learning_rate", "optimizer.betas",
        "optimizer.weight_decay", "optimizer.clip_norm", "schedule.name",
    ]

    /// The recipe as a TOML file: comments about its source, the keys that papers state, and every
    /// other key that is not at its default.
    package var toml: String {
        let comments = ["\(name): \(source)"] + notes
        return comments.map { "# \($0)\n" }.joined() + "\n"
            + recipe.changedTOML(with: Self.statedKeys)
    }
}
