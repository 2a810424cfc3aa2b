import Recipes
import Support

/// The keys and values of a specification's file. Its errors name the file and the key.
struct SpecificationTable {
    let name: String
    private let entries: [String: RecipeValue]
    private let set: [String: RecipeValue]

    /// Creates the table of a document.
    ///
    /// - Throws: `Failure` (configuration) if the document has a key that is not among `keys`.
    init(_ document: [String: RecipeValue], name: String, keys: [String]) throws(Failure) {
        self.name = name
        var entries = document
        guard case .table(let set) = entries.removeValue(forKey: "set") ?? .table([:]) else {
            throw .about(
                .configuration, "\(name): set", "is not a table",
                remedy: "write [set] and, below it, \"section.key\" = value")
        }
        self.set = set
        for key in entries.keys.sorted() where !keys.contains(key) {
            let known = keys + ["set"]
            throw .file(
                .configuration, name, "has the unknown key \"\(key)\"",
                remedy: spellingRemedy(
                    for: key, among: known, otherwise: "use one of \(known.joined(separator: ", "))"
                )
            )
        }
        self.entries = entries
    }

    /// The settings of `[set]`, which are written as quoted dotted keys or as tables of sections.
    var settings: [RecipeSetting] {
        get throws(Failure) {
            var settings: [RecipeSetting] = []
            for (key, value) in set.sorted(by: { $0.key < $1.key }) {
                if case .table(let section) = value {
                    for entry in section.sorted(by: { $0.key < $1.key }) {
                        settings.append(try setting("\(key).\(entry.key)", entry.value))
                    }
                } else {
                    settings.append(try setting(key, value))
                }
            }
            return settings
        }
    }

    private func setting(_ path: String, _ value: RecipeValue) throws(Failure) -> RecipeSetting {
        let names = path.split(separator: ".", omittingEmptySubsequences: false)
        guard names.count == 2 else {
            throw conflict(
                "[set] \(path)", value.toml, "is not a key with its section",
                remedy: "write one such as \"training.steps\" = 100")
        }
        return RecipeSetting(String(names[0]), String(names[1]), to: value)
    }

    func text(_ key: String) throws(Failure) -> String? {
        try value(key, "a quoted string", remedy: "put quotes around it") {
            if case .text(let text) = $0 { text } else { nil }
        }
    }

    func number(_ key: String) throws(Failure) -> Double? {
        try value(key, "a number", remedy: "write one such as 0.5", Self.number)
    }

    func integer(_ key: String) throws(Failure) -> Int? {
        try value(key, "a whole number", remedy: "write one such as 8", Self.integer)
    }

    func list(_ key: String) throws(Failure) -> [RecipeValue]? {
        try value(key, "a list", remedy: "write it in brackets") {
            if case .list(let values) = $0 { values } else { nil }
        }
    }

    func integers(_ key: String) throws(Failure) -> [Int]? {
        try list(key, "a list of whole numbers", remedy: "use whole numbers", Self.integer)
    }

    func numbers(_ key: String) throws(Failure) -> [Double]? {
        try list(key, "a list of numbers", remedy: "use only numbers", Self.number)
    }

    /// Returns the value of a key, which `read` converts, or nil if the key is unset.
    private func value<Value>(
        _ key: String, _ kind: String, remedy: String, _ read: (RecipeValue) -> Value?
    ) throws(Failure) -> Value? {
        guard let value = entries[key] else { return nil }
        if let result = read(value) { return result }
        throw conflict(key, value.toml, "is \(value.kind), but must be \(kind)", remedy: remedy)
    }

    private func list<Element>(
        _ key: String, _ kind: String, remedy: String, _ read: (RecipeValue) -> Element?
    ) throws(Failure) -> [Element]? {
        guard let values = try list(key) else { return nil }
        let elements = values.compactMap(read)
        guard elements.count == values.count else {
            throw impossible(key, RecipeValue.list(values).toml, kind, remedy: remedy)
        }
        return elements
    }

    /// Returns a list that must exist and must not be empty.
    func required<Element>(
        _ key: String, _ example: String, of read: (String) throws(Failure) -> [Element]?
    ) throws(Failure) -> [Element] {
        guard let values = try read(key) else { throw missing(key, example) }
        guard !values.isEmpty else {
            throw conflict(key, "[]", "must not be empty", remedy: "write \(key) = \(example)")
        }
        return values
    }

    /// Checks that the values of a key are finite, above 0 and in ascending order.
    ///
    /// - Parameter element: the kind of each value, such as "a batch of 1 or more".
    func checkAscending(_ key: String, _ values: [Double], _ element: String) throws(Failure) {
        for value in values where !(value.isFinite && value > 0) {
            throw badElement(shown(value), of: key, element, remedy: "remove it")
        }
        guard zip(values, values.dropFirst()).allSatisfy(<) else {
            throw impossible(
                key, "[\(values.map(shown).joined(separator: ", "))]", "an ascending list",
                remedy: "sort it and remove repetitions")
        }
    }

    /// Returns a number as text, without a decimal point if it is whole.
    private func shown(_ value: Double) -> String {
        Int(exactly: value).map(String.init) ?? "\(value)"
    }

    func missing(_ key: String, _ example: String) -> Failure {
        .file(.configuration, name, "has no \(key)", remedy: "add \(key) = \(example)")
    }

    /// Returns a failure about a value that is not valid:
    /// `FILE: KEY = VALUE: must be VALID; REMEDY.`
    func impossible(_ key: String, _ value: some Any, _ valid: String, remedy: String) -> Failure {
        conflict(key, value, "must be \(valid)", remedy: remedy)
    }

    /// Returns a failure about an element of a list, which shows the list as the file has it:
    /// `FILE: KEY = [...]: contains ELEMENT, which is not KIND; REMEDY.`
    func badElement(
        _ element: String, of key: String, _ kind: String, remedy: String
    ) -> Failure {
        conflict(
            key, entries[key]?.toml ?? element, "contains \(element), which is not \(kind)",
            remedy: remedy)
    }

    /// Returns a failure about any other problem of a value:
    /// `FILE: KEY = VALUE: PROBLEM; REMEDY.`
    func conflict(_ key: String, _ value: some Any, _ problem: String, remedy: String) -> Failure {
        .key(self.key(key), value, problem, remedy: remedy)
    }

    /// Returns a key after the name of the file, as messages show it.
    func key(_ key: String) -> String { "\(name): \(key)" }

    private static func number(_ value: RecipeValue) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .real(let number): number
        default: nil
        }
    }

    private static func integer(_ value: RecipeValue) -> Int? {
        switch value {
        case .integer(let number): number
        // TOML reads 1e6 as a float, but the user means a whole number.
        case .real(let number): Int(exactly: number)
        default: nil
        }
    }
}
