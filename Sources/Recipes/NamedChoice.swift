import Support

/// A recipe's value that is one of a few names.
package protocol NamedChoice: RawRepresentable<String>, CaseIterable, Sendable {}

extension NamedChoice {
    /// The choice with this name; `key` says where it was written, such as `[optimizer] name`.
    ///
    /// - Throws: a `.configuration` failure that lists the names and suggests the nearest.
    package init(_ name: String, key: String) throws(Failure) {
        guard let choice = Self(rawValue: name) else {
            let names = Self.allCases.map(\.rawValue)
            let listed = names.map { "\"\($0)\"" }.joined(separator: ", ")
            let suggestion =
                nearestName(to: name, among: names).map { ": did you mean \"\($0)\"?" }
                ?? ": write one of them."
            throw Failure(
                .configuration, "\(key) = \"\(name)\" is not one of \(listed)\(suggestion)")
        }
        self = choice
    }
}

/// A `.configuration` failure about one value: `key = value is not valid: remedy`.
func invalid(_ key: String, _ value: some Any, _ valid: String, _ remedy: String) -> Failure {
    Failure(.configuration, "\(key) = \(value) is not \(valid): \(remedy).")
}

/// A `.configuration` failure about a value that would be ignored or contradicts another.
func conflict(_ key: String, _ value: some Any, _ problem: String, _ remedy: String) -> Failure {
    Failure(.configuration, "\(key) = \(value) \(problem): \(remedy).")
}
