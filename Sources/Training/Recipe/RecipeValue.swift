import Failures
import JSONText
import TOMLKit

/// A value in a recipe, as TOML has it.
package enum RecipeValue: Equatable, Sendable {
    case flag(Bool)
    case integer(Int)
    case real(Double)
    case text(String)
    case list([RecipeValue])
    case table([String: RecipeValue])

    /// The value as TOML text.
    package var toml: String {
        switch self {
        case .flag(let flag): return flag ? "true" : "false"
        case .integer(let number): return "\(number)"
        case .real(let number): return "\(number)"
        case .text(let text): return quoted(text)
        case .list(let values): return "[" + values.map(\.toml).joined(separator: ", ") + "]"
        case .table(let table):
            let entries = table.keys.sorted().compactMap { key in
                table[key].map { "\(key) = \($0.toml)" }
            }
            return "{ " + entries.joined(separator: ", ") + " }"
        }
    }

    /// What kind of value it is, for a reader.
    package var kind: String {
        switch self {
        case .flag: "true or false"
        case .integer: "a whole number"
        case .real: "a number"
        case .text: "a text in quotes"
        case .list: "a list"
        case .table: "a table"
        }
    }

    private init(_ value: any TOMLValueConvertible, key: String) throws(Failure) {
        switch value.type {
        case .bool: self = .flag(value.bool ?? false)
        case .int: self = .integer(value.int ?? 0)
        case .double: self = .real(value.double ?? .nan)
        case .string: self = .text(value.string ?? "")
        case .array:
            var values: [RecipeValue] = []
            for element in value.array ?? [] { values.append(try RecipeValue(element, key: key)) }
            self = .list(values)
        case .table: self = .table(try Self.entries(of: value.table ?? [:]))
        case .date, .time, .dateTime:
            throw Failure(
                .configuration, "\(key) is a date or time, which no key of a recipe takes.")
        }
    }

    private static func entries(of table: TOMLTable) throws(Failure) -> [String: RecipeValue] {
        var entries: [String: RecipeValue] = [:]
        for key in table.keys {
            guard let value = table[key] else { continue }
            entries[key] = try RecipeValue(value, key: key)
        }
        return entries
    }

    /// The top-level entries of a TOML document.
    ///
    /// - Throws: `Failure` (configuration) that names the line and column of what is not TOML.
    package static func document(_ text: String, name: String) throws(Failure) -> [String:
        RecipeValue]
    {
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw Failure(
                .configuration,
                "\(name) is not valid TOML at line \(error.source.begin.line), column "
                    + "\(error.source.begin.column): \(error.description).")
        } catch {
            throw Failure(.configuration, "\(name) is not valid TOML: \(error).")
        }
        return try entries(of: table)
    }

    /// A value as it is given on the command line: TOML, or else a text without its quotes.
    static func argument(_ text: String) throws(Failure) -> RecipeValue {
        let parsed = try? document("value = \(text)", name: "the value")
        // A line break could smuggle in further keys.
        if let value = parsed?["value"], parsed?.count == 1 { return value }
        return .text(text)
    }
}

/// A text as a TOML basic string: JSON's, but that TOML escapes the delete character as well.
private func quoted(_ text: String) -> String {
    jsonQuoted(text).replacing("\u{7F}", with: "\\u007f")
}
