import Support
import Sweeps
import Testing

/// Tests that a mistake in a specification is named with the file, the key and the value.
@Suite struct BadSpecificationTests {
    private static let recipe = """
        [model]
        context_length = 64
        [schedule]
        name = "constant"
        """

    /// Reads and checks a specification with these keys and the usual other ones.
    private func read(_ keys: String, recipe: String = Self.recipe) throws {
        let usual = [
            "batches = [4, 8]", "learning_rates = [1e-3, 2e-3, 4e-3]", "seeds = [1]",
            "tokens = [1024]",
        ].filter { !keys.hasPrefix($0.prefix { $0 != "=" }) }
        let specification = try SweepSpecification(
            toml: (["recipe = \"r.toml\""] + usual + [keys]).joined(separator: "\n"),
            name: "s.toml"
        ) { _ in recipe }
        try specification.validate()
    }

    @Test(
        "every mistake has the form FILE: key = value: problem; remedy",
        arguments: [
            (
                "tokens = [33]",
                "s.toml: tokens = [33]: contains 33, which is not a multiple of 256, the tokens in "
                    + "a step of batch 4; use 512 or other batches."
            ),
            (
                "batches = [2, 4, 4, 8]",
                "s.toml: batches = [2, 4, 4, 8]: must be an ascending list; sort it and remove "
                    + "repetitions."
            ),
            (
                "batches = [0, 4]",
                "s.toml: batches = [0, 4]: contains 0, which is not a batch of 1 or more; remove "
                    + "it."
            ),
            (
                "learning_rates = [1e-3, 2e-3, 1e300]",
                "s.toml: learning_rates = [0.001, 0.002, 1e+300]: contains 1e+300, which is not a "
                    + "rate from 1.2e-38 to 3.4e38, which fp32 can hold; remove it."
            ),
            ("batches = 2024-01-01", "s.toml: batches: is a date or time, which no key takes; "),
            (
                "rules = [{ rule = \"formula\", formula = \"2 * lr\" }]",
                "s.toml: rules: formula = \"2 * lr\": gives 0.002 at the base batch with lr = 0.001; "
                    + "write one that gives lr where B = B0."
            ),
            ("rules = [\"cube\"]", "s.toml: rules = \"cube\": must be one of "),
            (
                "rules = [{ rule = \"power\", exponent = \"x\" }]",
                "s.toml: rules: exponent = \"x\": must be a number; "
            ),
            (
                "rules = [{ rule = \"power\", power = 1 }]",
                "s.toml: has the unknown key \"power\" in rules; "
            ),
            (
                "widths = [64, 128]\nparametrizations = [\"mu\"]",
                "s.toml: parametrizations = \"mu\": must be one of "
            ),
            (
                "widths = [30, 64]",
                "s.toml: widths = 30: must be a multiple of 32, the width of a head in the recipe; "
            ),
            ("[set]\nsteps = 3", "s.toml: [set] steps = 3: is not a key with its section; "),
            ("[set]\n\"model.layers\" = \"x\"", "s.toml: [model] layers = \"x\": must be "),
            ("[set]\n\"model.layer\" = 1", "s.toml: has the unknown key \"layer\" in [model]; "),
            (
                "[set]\n\"optimizer.weight_decay\" = -2",
                "s.toml: [optimizer] weight_decay = -2.0: must be "
            ),
            (
                "rules = [{ rule = \"power\" }]",
                "s.toml: rules: exponent: is missing, but rule = \"power\" needs it; "
            ),
            (
                "steps = [3]\n[set]\n\"schedule.name\" = \"cosine\"",
                "s.toml: [schedule] name = \"cosine\": has a rate that is still decaying "
            ),
        ])
    func form(keys: String, beginning: String) {
        let failure = #expect(throws: Failure.self) { try read(keys) }
        #expect(failure?.sentence.hasPrefix(beginning) == true, "\(failure?.sentence ?? "")")
    }

    @Test("a mistake in the recipe is named with the recipe's file")
    func recipe() {
        let failure = #expect(throws: Failure.self) {
            try read("extend = 0", recipe: Self.recipe + "\n[optimizer]\nweight_decay = -1")
        }
        #expect(
            failure?.sentence.hasPrefix("r.toml: [optimizer] weight_decay = -1.0: must be ")
                == true, "\(failure?.sentence ?? "")")
    }

    @Test("a run of a sweep cannot end early", arguments: [true, false])
    func patience(isInRecipe: Bool) {
        let failure = #expect(throws: Failure.self) {
            try isInRecipe
                ? read("extend = 0", recipe: Self.recipe + "\n[training]\npatience = 3")
                : read("[set]\n\"training.patience\" = 3")
        }
        #expect(
            failure?.sentence
                == "\(isInRecipe ? "r.toml" : "s.toml"): [training] patience = 3: would end runs "
                + "early, which could then not be compared; remove it for a sweep.")
    }
}
