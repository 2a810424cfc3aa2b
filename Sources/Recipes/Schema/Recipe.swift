import Support

/// The complete description of a run's computation, which is stored as a TOML file.
package struct Recipe: Sendable, Equatable {
    package var model = GPTConfiguration()
    package var training = TrainingConfiguration()
    package var data = DataConfiguration()
    package var optimizer = OptimizerConfiguration(name: .adamw)
    package var schedule = ScheduleConfiguration()
    package var scaling = ScalingConfiguration()
    package var reduction = ReductionConfiguration()
    package var evaluation = EvaluationConfiguration()
    package var checkpoint = CheckpointConfiguration()
    package var telemetry = TelemetryConfiguration()

    package init() {}

    /// Reads a recipe and the command line's overrides, and checks every value.
    ///
    /// `overrides` are `section.key=value`. If `base_batch` is unset, it is the recipe's own
    /// `global_batch` before overrides, so that overriding the batch scales the learning rate.
    /// Failures call the recipe `name`.
    ///
    /// - Parameter model: the values of unset keys of [model]; nil for their defaults.
    /// - Throws: `Failure` (configuration; usage for an override without "=") that names the key.
    package init(
        toml: String, name: String, overrides: [String] = [], model: GPTConfiguration? = nil
    ) throws(Failure) {
        let settings = try overrides.map(RecipeSetting.init(_:))
        try self.init(unchecked: toml, name: name, settings: settings, model: model)
        try validate()
    }

    /// Reads a recipe and settings, but does not check that the values are valid.
    ///
    /// - Parameters:
    ///   - settingsFile: the path of the file that has the settings; nil for the command line.
    ///   - omitting: a section that is not read.
    ///   - model: the values of unset keys of [model]; nil for their defaults.
    /// - Throws: `Failure` (configuration) that names a key that does not exist or has a value of
    ///   the wrong kind.
    package init(
        unchecked toml: String, name: String, settings: [RecipeSetting] = [],
        settingsFile: String? = nil, omitting: String? = nil, model: GPTConfiguration? = nil
    ) throws(Failure) {
        if let model { self.model = model }
        var written: Set<String> = []
        var document = try RecipeValue.document(toml, name: name)
        if let omitting { document[omitting] = nil }
        for (section, value) in document.sorted(by: { $0.key < $1.key }) {
            guard case .table(let entries) = value else {
                throw .file(
                    .configuration, name, "has the key \"\(section)\" outside of a section",
                    remedy: "move it under one of \(Self.sectionList)")
            }
            try Self.checkSection(section, in: name)
            for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
                try Self.field(section, key, in: name).set(&self, value)
                written.insert("\(section).\(key)")
            }
        }
        if scaling.baseBatch == nil { scaling.baseBatch = training.globalBatch }
        for setting in settings {
            try apply(setting, in: settingsFile)
            written.insert("\(setting.section).\(setting.key)")
        }
        self.model.forgetUsualBias()
        let usual = OptimizerConfiguration(name: optimizer.name)
        if !written.contains("optimizer.weight_decay") { optimizer.weightDecay = usual.weightDecay }
        if !written.contains("optimizer.momentum") { optimizer.momentum = usual.momentum }
        if !written.contains("optimizer.nesterov") {
            optimizer.nesterov = usual.nesterov && optimizer.momentum > 0
        }
        // Keys of another architecture would not be valid.
        if let model, self.model.architecture != model.architecture {
            self = try Recipe(
                unchecked: toml, name: name, settings: settings, settingsFile: settingsFile,
                omitting: omitting)
        }
        // The base of another parametrization would not be valid.
        guard model != nil, written.contains("model.parametrization") else { return }
        if !written.contains("model.base_width") { self.model.baseWidth = nil }
        if !written.contains("model.base_layers") { self.model.baseLayers = nil }
    }

    /// Sets one key.
    ///
    /// - Parameter file: the path of the file that has the setting; nil for the command line.
    /// - Throws: `Failure` (configuration) if the key does not exist or takes another kind of value.
    package mutating func apply(
        _ setting: RecipeSetting, in file: String? = nil
    ) throws(Failure) {
        let place = file ?? "--set"
        try Self.checkSection(setting.section, in: place)
        let field = try Self.field(setting.section, setting.key, in: place)
        do throws(Failure) {
            try field.set(&self, setting.value)
        } catch {
            throw file.map(error.inFile) ?? error
        }
    }

    /// Returns the recipe with overrides, checked.
    ///
    /// - Throws: the same failures as the initializer that reads TOML.
    package func applying(_ overrides: [String]) throws(Failure) -> Recipe {
        var recipe = self
        for override in overrides { try recipe.apply(RecipeSetting(override)) }
        recipe.model.forgetUsualBias()
        try recipe.validate()
        return recipe
    }

    /// Checks every value, and that the values fit together.
    ///
    /// - Throws: `Failure` (configuration) that names the first impossible value.
    package func validate() throws(Failure) {
        try model.validate()
        try training.validate()
        try data.validate()
        try optimizer.validate()
        try scaling.validate()
        try reduction.validate()
        try evaluation.validate()
        try checkpoint.validate()
        try telemetry.validate()
        try require(
            training.precision == .fp32 || model.headWidth.isMultiple(of: 2),
            or: .key(
                "[training] precision", "\"bf16\"",
                "takes numbers in pairs, but [model] width = \(model.width) and heads = \(model.heads) "
                    + "make heads of \(model.headWidth)",
                remedy: "use an even width per head, or precision = \"fp32\""))
        try require(
            training.precision == .fp32 || !model.isLlama || model.mlpWidth.isMultiple(of: 2),
            or: .key(
                "[training] precision", "\"bf16\"",
                "takes numbers in pairs, but [model] hidden_width = \(model.mlpWidth)",
                remedy: "use an even hidden_width, or precision = \"fp32\""))
        try require(
            model.parametrization == .standard || optimizer.name.traits.hasParametrizedRates,
            or: .key(
                "[model] parametrization", "\"\(model.parametrization.rawValue)\"",
                "has rates for AdamW's update, but [optimizer] name = "
                    + "\"\(optimizer.name.rawValue)\"",
                remedy: "set "
                    + OptimizerConfiguration.Name.setting(where: \.hasParametrizedRates)
                    + ", with weight_decay = 0 for Adam's update, or "
                    + "parametrization = \"standard\""))
        try require(
            training.patience == nil || evaluation.every > 0 || !evaluation.at.isEmpty,
            or: .key(
                "[training] patience", training.patience ?? 0, "needs evaluations during the run",
                remedy: "set [evaluation] every to a number of steps, or remove patience"))
        let largestBatch = training.batches.max() ?? training.globalBatch
        let tokens = Double(training.steps) * Double(largestBatch) * Double(model.contextLength)
        guard tokens < 0x1p62 else {
            throw .key(
                "[training] steps", training.steps,
                "gives \(tokens) tokens with global_batch = \(largestBatch) and [model] "
                    + "context_length = \(model.contextLength), more than can be counted",
                remedy: "use fewer steps or smaller batches")
        }
        let rate = try scaling.resolve(optimizer, globalBatch: training.globalBatch)
        _ = try schedule.resolve(rate, trainingSteps: training.steps)
    }

    /// The recipe as TOML, without unset keys. A comment above each key states its meaning.
    package var toml: String { toml { _ in true } }

    /// Returns the keys that are not at their defaults, and others such as "model.width", as TOML. A
    /// comment above each key states its meaning.
    func changedTOML(with others: Set<String>) -> String {
        let defaults = Recipe()
        return toml { field in
            others.contains("\(field.section).\(field.key)")
                || field.value(self) != field.value(defaults)
        }
    }

    private func toml(_ isWritten: (RecipeField) -> Bool) -> String {
        var lines: [String] = []
        for section in Self.sections {
            let entries = Self.fields.filter { $0.section == section && isWritten($0) }
                .compactMap { field in field.value(self).map { (field, $0) } }
            guard !entries.isEmpty else { continue }
            lines += lines.isEmpty ? ["[\(section)]"] : ["", "[\(section)]"]
            for (field, value) in entries {
                lines += ["# \(field.meaning)", "\(field.key) = \(value.toml)"]
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The recipe as TOML, without unset keys and comments.
    package var tomlWithoutComments: String {
        toml.split(separator: "\n").filter { !$0.hasPrefix("#") }.joined(separator: "\n")
    }

    /// The [model] section as TOML, without comments.
    package var modelSection: String {
        let lines = tomlWithoutComments.split(separator: "\n")
        let rest = lines.dropFirst().prefix { !$0.hasPrefix("[") }
        return (lines.prefix(1) + rest).joined(separator: "\n") + "\n"
    }

    /// A key in which two recipes differ, and both values as TOML.
    package struct Difference {
        /// The key with its section, such as "[training] seed".
        package let key: String
        package let value: String
        package let otherValue: String
    }

    /// Returns the first key in which two recipes differ.
    package func firstDifference(from other: Recipe) -> Difference? {
        differences(from: other).first
    }

    /// Returns the keys in which two recipes differ.
    package func differences(from other: Recipe) -> [Difference] {
        Self.fields.compactMap { field in
            let (value, otherValue) = (field.value(self), field.value(other))
            guard value != otherValue else { return nil }
            return Difference(
                key: "[\(field.section)] \(field.key)", value: value?.toml ?? "not set",
                otherValue: otherValue?.toml ?? "not set")
        }
    }

    /// A table of every key with its meaning, its values and its default, for the help of the
    /// command line.
    package static var reference: String {
        let defaults = Recipe()
        return sections.map { section in
            let entries = fields.filter { $0.section == section }.map { field in
                let value = field.value(defaults)?.toml ?? "not set"
                return "  \(field.key) = \(value)\n      \(field.meaning)\n"
                    + "      Takes \(field.expectation).\n"
            }
            return "[\(section)]\n" + entries.joined()
        }.joined(separator: "\n")
    }

    private static func checkSection(_ section: String, in name: String) throws(Failure) {
        guard !sections.contains(section) else { return }
        throw .file(
            .configuration, name, "has the unknown section [\(section)]",
            remedy: spellingRemedy(
                for: section, among: sections, otherwise: "use one of \(sectionList)"))
    }

    private static func field(
        _ section: String, _ key: String, in name: String
    ) throws(Failure) -> RecipeField {
        let candidates = fields.filter { $0.section == section }
        if let field = candidates.first(where: { $0.key == key }) { return field }
        let keys = candidates.map(\.key)
        let elsewhere = fields.first { $0.key == key }
        let remedy =
            elsewhere.map { "move it to [\($0.section)]" }
            ?? "use one of \(keys.joined(separator: ", "))"
        throw .file(
            .configuration, name, "has the unknown key \"\(key)\" in [\(section)]",
            remedy: spellingRemedy(for: key, among: keys, otherwise: remedy))
    }

    private static var sectionList: String { sections.map { "[\($0)]" }.joined(separator: ", ") }
}
