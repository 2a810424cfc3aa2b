import Recipes
import Support

/// Returns the recipe of a TOML text, which errors call "test.toml".
package func recipe(_ toml: String, set overrides: String...) throws(Failure) -> Recipe {
    try Recipe(toml: toml, name: "test.toml", overrides: overrides)
}
