import Support

/// An entry of `[training] batch_schedule`: a change of the global batch during a run.
package struct BatchChangeConfiguration: Sendable, Equatable {
    /// `batch`: the number of sequences in each of the following steps, over all ranks.
    package var batch: Int
    /// `after_steps`: the number of steps before the change; nil if `after_tokens` is set.
    package var afterSteps: Int?
    /// `after_tokens`: the number of tokens before the change, which comes after the step that
    /// reaches it; nil if `after_steps` is set.
    package var afterTokens: Int?

    package init(batch: Int, afterSteps: Int? = nil, afterTokens: Int? = nil) {
        self.batch = batch
        self.afterSteps = afterSteps
        self.afterTokens = afterTokens
    }

    /// Returns the name of a change in messages; changes are numbered from 1.
    static func key(_ number: Int) -> String { "[training] batch_schedule \(number):" }

    /// Checks the values of the change that has a number.
    ///
    /// - Throws: `Failure` (configuration) that names the first impossible value.
    func validate(_ number: Int, largest: Int) throws(Failure) {
        let key = Self.key(number)
        try require(
            batch >= 1 && batch <= largest,
            or: .key("\(key) batch", batch, "must be from 1 to \(largest)", remedy: "use 1 or more")
        )
        guard (afterSteps == nil) != (afterTokens == nil) else {
            throw .about(
                .configuration, "\(key) batch = \(batch)",
                afterSteps == nil
                    ? "has neither after_steps nor after_tokens"
                    : "has both after_steps and after_tokens",
                remedy: "give one of them")
        }
        // The numbers of sequences and tokens are products of these values and must not overflow.
        for (name, value, most) in [
            ("after_steps", afterSteps, largest), ("after_tokens", afterTokens, 1 << 61),
        ] {
            guard let value, !(1...most).contains(value) else { continue }
            throw .key(
                "\(key) \(name)", value, "must be from 1 to \(most)",
                remedy: value < 1
                    ? "set global_batch for the batch of the first step" : "use less")
        }
    }
}

/// The changes of the batch as a recipe's value, which is omitted if there are none.
struct BatchChangeList: RecipeConvertible {
    var changes: [BatchChangeConfiguration]

    static let expectation = "a list of tables { after_steps, batch } or { after_tokens, batch }"
    static let remedy = "write one such as [{ after_steps = 1000, batch = 64 }]"

    static func read(_ value: RecipeValue, key: String) throws(Failure) -> BatchChangeList? {
        let changes = try RecipeTable.list(
            value, key: key, names: ["after_steps", "after_tokens", "batch"]
        ) { (table) throws(Failure) in
            BatchChangeConfiguration(
                batch: try table.required("batch", remedy: "add one such as batch = 64"),
                afterSteps: try table.value("after_steps"),
                afterTokens: try table.value("after_tokens"))
        }
        return changes.map(BatchChangeList.init)
    }

    var recipeValue: RecipeValue? {
        guard !changes.isEmpty else { return nil }
        return .list(
            changes.map { change in
                var entries: [String: RecipeValue] = ["batch": .integer(change.batch)]
                entries["after_steps"] = change.afterSteps.map { .integer($0) }
                entries["after_tokens"] = change.afterTokens.map { .integer($0) }
                return .table(entries)
            })
    }
}

extension TrainingConfiguration {
    var batchChanges: BatchChangeList {
        get { BatchChangeList(changes: batchSchedule) }
        set { batchSchedule = newValue.changes }
    }
}

extension Recipe {
    /// Checks that the batch stays the same during the run, as all commands except `train` require.
    ///
    /// - Throws: `Failure` (configuration) if it has a schedule.
    package func requireOneBatch() throws(Failure) {
        guard let value = training.batchChanges.recipeValue else { return }
        throw .key(
            "[training] batch_schedule", value.toml, "is followed only by `lockstep train`",
            remedy: "remove it for this command")
    }
}
