import Support

/// A key of a recipe and its new value, given outside of the recipe's text, as by `--set`.
package struct RecipeSetting: Sendable, Equatable {
    package let section: String
    package let key: String
    package let value: RecipeValue

    package init(_ section: String, _ key: String, to value: RecipeValue) {
        self.section = section
        self.key = key
        self.value = value
    }

    /// Creates a setting from a path such as "training.steps" and a value.
    ///
    /// - Throws: `Failure` (usage) if the path has another form.
    package init(path: String, value: RecipeValue) throws(Failure) {
        let names = path.split(separator: ".", omittingEmptySubsequences: false)
        guard names.count == 2 else { throw Self.wrongForm("\(path)=\(value.toml)") }
        self.init(String(names[0]), String(names[1]), to: value)
    }

    /// Reads `section.key=value`.
    ///
    /// - Throws: `Failure` (usage) if the override has another form.
    package init(_ override: String) throws(Failure) {
        let parts = override.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, names.count == 2 else { throw Self.wrongForm(override) }
        self.init(
            String(names[0]), String(names[1]), to: try RecipeValue.argument(String(parts[1])))
    }

    private static func wrongForm(_ override: String) -> Failure {
        Failure.option(
            "--set", override, "is not of the form section.key=value",
            remedy: "write, for example, --set training.steps=100")
    }
}
