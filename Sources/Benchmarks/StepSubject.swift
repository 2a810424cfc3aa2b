import Compute
import Recipes
import Support

/// The model and the work of a step that a benchmark measures.
package struct StepSubject: Sendable {
    package let name: String
    /// The recipe for a number of ranks and steps.
    let recipe: @Sendable (_ ranks: Int, _ steps: Int) -> Recipe
    /// The tokens per sequence; nil for the model's context.
    let sequenceLength: Int?

    /// A named size, whose work grows with the ranks.
    package init(_ size: BenchmarkSize, precision: Precision) {
        name = size.name
        recipe = { size.recipe(ranks: $0, steps: $1, precision: precision) }
        sequenceLength = size.sequenceLength
    }

    /// A recipe, whose global batch is the same on any number of ranks.
    ///
    /// - Parameter path: the path of its file.
    /// - Throws: `Failure` if the file cannot be read or is not a recipe.
    package init(recipeAt path: String) throws(Failure) {
        self.init(try Recipe(toml: readText(path), name: path), name: path)
    }

    /// A recipe, with a name for reports.
    package init(_ subject: Recipe, name: String) {
        self.name = name
        sequenceLength = nil
        recipe = { _, steps in
            var recipe = subject
            recipe.training.steps = steps
            // The schedule may be longer than the measured steps.
            recipe.schedule = ScheduleConfiguration()
            recipe.schedule.name = .constant
            recipe.schedule.warmupSteps = 0
            return recipe
        }
    }
}
