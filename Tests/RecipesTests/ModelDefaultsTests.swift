import Recipes
import Support
import TestSupport
import Testing

/// Tests of recipes whose unset keys of [model] are those of a trained model.
@Suite struct ModelDefaultsTests {
    private var model: GPTConfiguration {
        var model = GPTConfiguration()
        (model.layers, model.heads, model.width, model.contextLength) = (3, 5, 40, 48)
        (model.dropout, model.bias) = (0.25, false)
        (model.parametrization, model.baseWidth) = (.mup, 20)
        return model
    }

    @Test("unset keys are the model's, and set keys are the recipe's")
    func unsetKeys() throws {
        let recipe = try Recipe(
            toml: "[model]\ncontext_length = 16\n", name: "a.toml",
            overrides: ["model.dropout=0"], model: model)
        var expected = model
        (expected.contextLength, expected.dropout) = (16, 0)
        #expect(recipe.model == expected)
        #expect(try Recipe(toml: "", name: "a.toml", model: model).model == model)
        #expect(try Recipe(toml: "", name: "a.toml").model == GPTConfiguration())
    }

    @Test("another parametrization has no base of the model's")
    func otherParametrization() throws {
        let recipe = try Recipe(
            toml: "[model]\nparametrization = \"standard\"\n", name: "a.toml", model: model)
        #expect(recipe.model.baseWidth == nil && recipe.model.parametrization == .standard)
    }

    @Test("the [model] section reads back")
    func section() throws {
        var recipe = Recipe()
        recipe.model = model
        #expect(recipe.modelSection.hasPrefix("[model]\n"))
        #expect(!recipe.modelSection.contains("[training]"))
        #expect(try Recipe(toml: recipe.modelSection, name: "a.toml").model == model)
    }
}
