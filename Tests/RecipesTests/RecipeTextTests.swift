import Recipes
import Testing

@Suite struct RecipeTextTests {
    private func edited(_ text: String, to value: String = "2e-3") -> String {
        var recipe = RecipeText(text)
        recipe.set("optimizer", "learning_rate", to: value)
        return recipe.text
    }

    @Test("a value is replaced, and the rest stays unchanged")
    func valueIsReplaced() {
        let text = """
            # A study. [optimizer]
            [model]
            learning_rate = 7 # of another section

              [ optimizer ] # Adam's
            # learning_rate = 5e-4
            betas = [
              0.9,
              0.95,
            ]
            learning_rate=1e-3# a peak = 1e-3
            [schedule]
            learning_rate = 3
            """
        #expect(
            edited(text)
                == text.replacing("learning_rate=1e-3#", with: "learning_rate=2e-3#"))
    }

    @Test("a missing key is inserted")
    func missingKeyIsInserted() {
        #expect(
            edited("[optimizer]\nname = \"sgd\"\n[model]\n")
                == "[optimizer]\nlearning_rate = 2e-3\nname = \"sgd\"\n[model]\n")
        #expect(
            edited("[model]\nlayers = 2\n\n")
                == "[model]\nlayers = 2\n\n[optimizer]\nlearning_rate = 2e-3\n")
        #expect(edited("") == "[optimizer]\nlearning_rate = 2e-3\n")
    }

    @Test("line endings of other systems are kept")
    func otherLineEndingsAreKept() {
        #expect(
            edited("[optimizer]\r\nlearning_rate = 1\r\n")
                == "[optimizer]\r\nlearning_rate = 2e-3\r\n")
    }
}
