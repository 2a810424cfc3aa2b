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
            let suggestion =
                nearestName(to: name, among: names).map { "did you mean \"\($0)\"?" }
                ?? "write one of them."
            throw Failure(
                .configuration, "\(key) = \"\(name)\": must be one of \(listed); \(suggestion)")
        }
        self = choice
    }
}

/// Checks a condition on a key's value.
///
/// - Throws: `Failure` (configuration) if it is not met: `KEY = VALUE: PROBLEM; REMEDY.`
func require(
    _ condition: Bool, _ key: String, _ value: some Any, _ problem: @autoclosure () -> String,
    remedy: @autoclosure () -> String
) throws(Failure) {
    if !condition { throw conflict(key, value, problem(), remedy: remedy()) }
}

/// Returns a failure about a key's value: `KEY = VALUE: PROBLEM; REMEDY.`
func conflict(
    _ key: String, _ value: some Any, _ problem: String, remedy: String
) -> Failure {
    Failure(.configuration, "\(key) = \(value): \(problem); \(remedy).")
}
