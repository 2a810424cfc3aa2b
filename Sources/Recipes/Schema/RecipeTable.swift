import Support

/// A table in the list that is a key's value.
struct RecipeTable {
    private let entries: [String: RecipeValue]
    private let key: String

    /// Returns what `read` makes of each table in a key's value; nil if that is not a list of
    /// tables.
    ///
    /// - Parameter names: the names that entries may have.
    /// - Throws: `Failure` (configuration) that names an entry with another name; what `read`
    ///   throws.
    static func list<Element>(
        _ value: RecipeValue, key: String, names: [String],
        _ read: (RecipeTable) throws(Failure) -> Element
    ) throws(Failure) -> [Element]? {
        guard case .list(let values) = value else { return nil }
        var elements: [Element] = []
        for (index, value) in values.enumerated() {
            guard case .table(let entries) = value else { return nil }
            let table = RecipeTable(entries: entries, key: "\(key) \(index + 1)")
            try table.requireNames(names)
            elements.append(try read(table))
        }
        return elements
    }

    private func requireNames(_ names: [String]) throws(Failure) {
        for name in entries.keys.sorted() where !names.contains(name) {
            throw .about(
                .configuration, key, "has the unknown key \"\(name)\"",
                remedy: spellingRemedy(
                    for: name, among: names,
                    otherwise: "use one of \(names.joined(separator: ", "))"))
        }
    }

    /// Returns the value of an entry, or nil if it is unset.
    ///
    /// - Throws: `Failure` (configuration) if the value is of another kind.
    func value<Value: RecipeConvertible>(_ name: String) throws(Failure) -> Value? {
        guard let value = entries[name] else { return nil }
        return try Value.converted(value, key: "\(key): \(name)")
    }

    /// Returns the value of an entry that each table must have.
    ///
    /// - Throws: `Failure` (configuration) if it is unset or of another kind.
    func required<Value: RecipeConvertible>(
        _ name: String, remedy: String
    ) throws(Failure) -> Value {
        guard let value: Value = try value(name) else {
            throw .about(.configuration, key, "has no \(name)", remedy: remedy)
        }
        return value
    }
}
