import Support
import Testing

/// Tests of edit distances and of suggestions for misspelled names.
@Suite struct NearestNameTests {
    @Test(
        "the edit distance counts edits and swaps",
        arguments: [
            ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("saturday", "sunday", 3), ("ab", "ba", 1), ("abcd", "acbd", 1), ("ca", "abc", 3),
            ("laeyrs", "layers", 1), ("layer", "layers", 1), ("é", "e", 1), ("a", "b", 1),
            ("steps", "spets", 2),
        ])
    func distances(first: String, second: String, distance: Int) {
        #expect(editDistance(first, second) == distance)
        #expect(editDistance(second, first) == distance, "it is symmetric")
    }

    private let keys = ["layers", "heads", "width", "context_length", "vocabulary_size", "bias"]

    @Test(
        "a misspelled name has a suggestion",
        arguments: [
            ("layer", "layers"), ("Layers", "layers"), ("laeyrs", "layers"), ("head", "heads"),
            ("contextlength", "context_length"), ("context-length", "context_length"),
            ("vocab_size", "vocabulary_size"), ("bais", "bias"), ("with", "width"),
        ])
    func misspelledNameHasASuggestion(written: String, meant: String) {
        #expect(nearestName(to: written, among: keys) == meant)
    }

    @Test(
        "distant names have no suggestion", arguments: ["learning_rate", "xyz", "optimizer", "n"])
    func distantNamesHaveNoSuggestion(written: String) {
        #expect(nearestName(to: written, among: keys) == nil)
    }

    @Test("the nearest name is chosen, and the first of equally near ones")
    func nearestNameIsChosen() {
        #expect(nearestName(to: "beta", among: ["betas", "beat", "beta"]) == "beta")
        #expect(nearestName(to: "cart", among: ["card", "care"]) == "card")
        #expect(nearestName(to: "anything", among: []) == nil)
        #expect(
            spellingRemedy(for: "bta", among: ["beta"], otherwise: "use one")
                == "did you mean \"beta\"?")
        #expect(spellingRemedy(for: "gamma", among: ["beta"], otherwise: "use one") == "use one")
    }
}
