import Recipes
import Support

extension SweepSpecification {
    private static let keys = [
        "recipe", "batches", "learning_rates", "grid_exponent", "seeds", "base_batch", "rules",
        "tokens", "steps", "evaluations", "extend", "tolerance", "target_losses", "widths",
        "layers", "parametrizations", "tokens_per_parameter",
    ]

    /// Reads a specification.
    ///
    /// - Parameters:
    ///   - toml: the text of the specification.
    ///   - name: the path of its file, for messages.
    ///   - recipeFile: the path of the sweep's copy of the recipe; nil to read the user's.
    ///   - model: the trained model from which every run starts; nil for new parameters.
    ///   - recipe: returns the text of the recipe at a path.
    /// - Throws: `Failure` (configuration) that names the first key that is missing, unknown or
    ///   invalid; the failures of `recipe`.
    package init(
        toml: String, name: String, recipeFile: String? = nil, model: GPTConfiguration? = nil,
        recipe: (_ path: String) throws(Failure) -> String
    ) throws(Failure) {
        let document = try RecipeValue.document(toml, name: name)
        let table = try SpecificationTable(document, name: name, keys: Self.keys)
        guard let recipePath = try table.text("recipe") else {
            throw table.missing("recipe", "\"char.toml\", the recipe that every run starts from")
        }
        path = name
        self.recipePath = recipePath
        self.recipeFile = recipeFile ?? recipePath
        recipeText = try recipe(self.recipeFile)
        settings = try table.settings
        try Self.refuseOwnKeys(settings, table)
        baseRecipe = try Recipe(
            unchecked: recipeText, name: self.recipeFile, settings: settings,
            settingsFile: name, omitting: "scaling", model: model)
        batches = try table.required("batches", "[8, 16, 32]", of: table.integers)
        learningRates = try table.required(
            "learning_rates", "[1e-4, 2e-4, 4e-4, 8e-4]", of: table.numbers)
        gridExponent = try table.number("grid_exponent") ?? 0
        seeds = try table.required("seeds", "[1, 2, 3]", of: table.integers).map {
            (seed) throws(Failure) in
            guard let seed = UInt64(exactly: seed) else {
                throw table.badElement(
                    "\(seed)", of: "seeds", "a whole number, 0 or more", remedy: "use 1, 2, 3")
            }
            return seed
        }
        baseBatch = try table.integer("base_batch") ?? (batches.first ?? 1)
        tokens = try table.integers("tokens") ?? []
        steps = try table.integers("steps") ?? []
        evaluations = try table.integer("evaluations") ?? 8
        extend = try table.integer("extend") ?? 3
        tolerance = try table.number("tolerance") ?? 0.01
        targetLosses = try table.numbers("target_losses") ?? []
        rules = try (table.list("rules") ?? [.text("none"), .text("sqrt"), .text("linear")]).map {
            (value) throws(Failure) in try SweepRule(value, table: table)
        }
        widths = try table.integers("widths") ?? []
        layers = try table.integers("layers") ?? []
        tokensPerParameter = try table.numbers("tokens_per_parameter") ?? []
        parametrizations = [baseRecipe.model.parametrization]
        if let names = try table.list("parametrizations") {
            parametrizations = try names.map { (value) throws(Failure) in
                guard case .text(let name) = value else {
                    throw table.badElement(
                        value.toml, of: "parametrizations", "a quoted name",
                        remedy: "use some of \"standard\", \"mup\" and \"completep\"")
                }
                return try Parametrization(name, key: table.key("parametrizations"))
            }
        }
        try validate(table)
        try validateSizes(table)
        try addOtherComparison(table)
    }

    /// Adds the comparison by steps if only tokens are set, and vice versa, if that requires no
    /// longer runs: after the steps of the largest batch, or the tokens of the smallest if all
    /// batches reach exactly that number.
    private mutating func addOtherComparison(_ table: SpecificationTable) throws(Failure) {
        let lacksSteps = try table.integers("steps") == nil
        let lacksTokens = try table.integers("tokens") == nil
        // With one batch, equal tokens are equal steps.
        guard lacksTokens != lacksSteps, !hasSizes || batches.count > 1,
            tokensPerParameter.isEmpty, let smallest = batches.first, let largest = batches.last
        else { return }
        let recipe = try firstRecipe
        // With any other schedule, the rate has fully decayed only at the end of a run.
        guard recipe.schedule.name == .constant else { return }
        let context = recipe.model.contextLength
        if lacksSteps {
            let fewest = (tokens.last ?? 0) / (largest * context)
            if fewest >= 1 { steps = [fewest] }
        } else {
            let sequences = (steps.last ?? 0) * smallest
            guard batches.allSatisfy({ sequences % $0 == 0 }) else { return }
            let (count, isTooMany) = sequences.multipliedReportingOverflow(by: context)
            if !isTooMany { tokens = [count] }
        }
    }

    /// The keys of a recipe whose values differ from run to run.
    private static let ownKeys = [
        "training.global_batch", "training.seed", "training.steps", "optimizer.learning_rate",
        "evaluation.every", "evaluation.at", "evaluation.windows",
    ]

    /// Returns a failure about a run's recipe after the path of the file that holds its key: the
    /// specification or the recipe.
    func located(_ failure: Failure) -> Failure {
        if let failure = Self.ofRules(failure) { return failure.inFile(path) }
        let own = Self.ownKeys + settings.map { "\($0.section).\($0.key)" }
        let isOwn = own.contains { path in
            let names = path.split(separator: ".")
            let key = "[\(names[0])] \(names[1])"
            return failure.sentence.hasPrefix("\(key) ")
                || failure.sentence.hasPrefix("\(key):")
        }
        return failure.inFile(isOwn ? path : recipeFile)
    }

    /// Returns a failure about [scaling] as one about `rules`, because the recipe's own [scaling]
    /// is not read; nil for any other failure.
    private static func ofRules(_ failure: Failure) -> Failure? {
        let section = "[scaling] "
        guard failure.sentence.hasPrefix(section) else { return nil }
        return Failure(failure.code, "rules: \(failure.sentence.dropFirst(section.count))")
    }

    /// Refuses keys in [set] whose values differ from run to run.
    private static func refuseOwnKeys(
        _ settings: [RecipeSetting], _ table: SpecificationTable
    ) throws(Failure) {
        for setting in settings {
            let key = "\(setting.section).\(setting.key)"
            guard ownKeys.contains(key) || setting.section == "scaling" else { continue }
            throw table.conflict(
                "[set] \(key)", setting.value.toml, "is not a key that all runs share",
                remedy: setting.section == "scaling"
                    ? "write it in rules, as { rule = \"sqrt\", weight_decay = \"timescale\" }"
                    : "use batches, learning_rates, seeds, tokens, steps and evaluations instead")
        }
    }

    /// Checks the keys of a sweep over sizes.
    private func validateSizes(_ table: SpecificationTable) throws(Failure) {
        try table.checkAscending("widths", widths.map(Double.init), "a width of 1 or more")
        try table.checkAscending("layers", layers.map(Double.init), "a number of 1 or more")
        try table.checkAscending(
            "tokens_per_parameter", tokensPerParameter, "a number of tokens above 0")
        let names = parametrizations.map(\.rawValue)
        try require(
            !names.isEmpty && Set(names).count == names.count,
            or: table.impossible(
                "parametrizations", names, "a list of distinct names",
                remedy: "use [\"standard\", \"mup\"]"))
        let perParameter = tokensPerParameter.map { "\($0)" }.joined(separator: ", ")
        if !tokensPerParameter.isEmpty, !tokens.isEmpty {
            throw table.conflict(
                "tokens_per_parameter", "[\(perParameter)]", "cannot be combined with tokens",
                remedy: "remove one of them")
        }
        guard hasSizes else {
            for (key, isSet, value) in [
                (
                    "parametrizations", parametrizations != [baseRecipe.model.parametrization],
                    "\(names)"
                ),
                ("tokens_per_parameter", !tokensPerParameter.isEmpty, "[\(perParameter)]"),
            ] where isSet {
                throw table.conflict(
                    key, value, "needs several sizes of the model",
                    remedy: "add widths = [64, 128, 256], or remove it")
            }
            return
        }
        if let rule = rules.first(where: \.isTrained) {
            throw table.conflict(
                "rules", "\"\(rule.name)\"",
                "needs runs of its own, which a sweep over sizes lacks",
                remedy: "remove the rule, or the sizes")
        }
        let counts = try sizes.map { (size) throws(Failure) in
            try member(SweepVariant(.standard, size)).baseRecipe.model.innerParameterCount
        }
        if Set(counts).count != counts.count {
            throw table.conflict(
                "layers", "\(layers)", "gives models with the same number of parameters",
                remedy: "use other widths or layers")
        }
    }

    private func validate(_ table: SpecificationTable) throws(Failure) {
        try table.checkAscending("batches", batches.map(Double.init), "a batch of 1 or more")
        try table.checkAscending("learning_rates", learningRates, "a rate above 0")
        for rate in learningRates where !OptimizerConfiguration.learningRates.contains(rate) {
            throw table.badElement(
                "\(rate)", of: "learning_rates",
                "a rate from 1.2e-38 to 3.4e38, which fp32 can hold", remedy: "remove it")
        }
        try table.checkAscending("tokens", tokens.map(Double.init), "a number of 1 or more")
        try table.checkAscending("steps", steps.map(Double.init), "a number of 1 or more")
        // Up to this limit, the products of these numbers and a context length do not overflow.
        let largest = 1_000_000_000
        for (key, values) in [("batches", batches), ("steps", steps)] {
            guard let value = values.last else { continue }
            try require(
                value <= largest,
                or: table.badElement(
                    "\(value)", of: key, "a number up to \(largest)", remedy: "use less"))
        }
        try require(
            targetLosses.allSatisfy { $0.isFinite && $0 > 0 },
            or: table.impossible(
                "target_losses", targetLosses, "a list of losses above 0",
                remedy: "remove the others"))
        guard !tokens.isEmpty || !steps.isEmpty || !tokensPerParameter.isEmpty else {
            throw table.missing(
                "tokens", "[1000000], the number of tokens after which batches are compared")
        }
        try require(
            learningRates.count >= 3,
            or: table.impossible(
                "learning_rates", learningRates,
                "at least 3 rates, because a valley is fitted to their losses",
                remedy: "use 7 rates a factor of 2 apart"))
        try require(
            Set(seeds).count == seeds.count,
            or: table.impossible("seeds", seeds, "distinct", remedy: "use 1, 2, 3"))
        try require(
            batches.contains(baseBatch),
            or: table.impossible(
                "base_batch", baseBatch, "one of batches", remedy: "use one of them"))
        try require(
            (1...1000).contains(evaluations),
            or: table.impossible("evaluations", evaluations, "from 1 to 1000", remedy: "use 8"))
        try require(
            (0...20).contains(extend),
            or: table.impossible("extend", extend, "from 0 to 20", remedy: "use 3"))
        try require(
            (-4...4).contains(gridExponent),
            or: table.impossible("grid_exponent", gridExponent, "from -4 to 4", remedy: "use 0.5"))
        try require(
            tolerance > 0 && tolerance.isFinite,
            or: table.impossible("tolerance", tolerance, "above 0", remedy: "use 0.01"))
        let names = rules.map(\.name)
        try require(
            Set(names).count == names.count,
            or: table.impossible("rules", names, "distinct", remedy: "name each once"))
    }
}

extension SweepRule {
    /// Reads a rule of a specification, which is a name or a table of [scaling]'s keys.
    fileprivate init(_ value: RecipeValue, table: SpecificationTable) throws(Failure) {
        let keys: [String: RecipeValue]
        switch value {
        case .text(let name): keys = ["rule": .text(name)]
        case .table(let entries): keys = entries
        default:
            throw table.impossible(
                "rules", value.toml, "a rule's name or a table of [scaling]'s keys",
                remedy: "write \"linear\" or { rule = \"power\", exponent = 0.7 }")
        }
        guard keys["base_batch"] == nil else {
            throw table.conflict(
                "rules", value.toml, "has a base_batch, but every rule uses the sweep's own",
                remedy: "remove base_batch from the rule and set it next to batches")
        }
        guard case .text(let text)? = keys["rule"] else {
            throw table.impossible(
                "rules", value.toml, "a table with a rule", remedy: "add rule = \"power\"")
        }
        let rule = try ScalingConfiguration.Rule(text, key: table.key("rules"))
        let others = keys.filter { $0.key != "rule" }.sorted { $0.key < $1.key }
        name =
            ([text]
            + others.map { key, value in
                if case .text(let text) = value { return text }
                return "\(key) \(value.toml)"
            }).joined(separator: " ")
        var recipe = Recipe()
        recipe.scaling.rule = rule
        for (key, value) in others {
            do throws(Failure) {
                try recipe.apply(RecipeSetting("scaling", key, to: value), in: table.name)
            } catch {
                // The specification has no [scaling].
                throw Failure(
                    error.code,
                    error.sentence.replacing("[scaling] ", with: "rules: ")
                        .replacing("in [scaling]", with: "in rules"))
            }
        }
        scaling = recipe.scaling
        isTrained =
            rule.scalesBetas
            || ["weight_decay", "warmup", "gradual_warmup"].contains { keys[$0] != nil }
    }
}
