import Recipes
import Support

/// Parses a recipe from TOML; errors call it "test.toml".
package func recipe(_ toml: String, set overrides: String...) throws(Failure) -> Recipe {
    try Recipe(toml: toml, name: "test.toml", overrides: overrides)
}
