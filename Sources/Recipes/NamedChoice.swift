import Support

/// A value of a recipe that is one of a few names.
package protocol NamedChoice: RawRepresentable<String>, CaseIterable, Sendable {}

extension NamedChoice {
    /// Creates the choice with a name. `key` is its key in the recipe, such as `[optimizer] name`.
    ///
    /// - Throws: `Failure` (configuration) that lists the names and suggests the nearest.
    package init(_ name: String, key: String) throws(Failure) {
        guard let choice = Self(rawValue: name) else {
            let names = Self.allCases.map(\.rawValue)
            let listed = names.map { "\"\($0)\"" }.joined(separator: ", ")
            throw .key(
                key, "\"\(name)\"", "must be one of \(listed)",
                remedy: spellingRemedy(for: name, among: names, otherwise: "write one of them"))
        }
        self = choice
    }
}
