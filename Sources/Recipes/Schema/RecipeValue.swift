import Support
import TOMLKit

/// A TOML value in a recipe.
package enum RecipeValue: Equatable, Sendable {
    case flag(Bool)
    case integer(Int)
    case real(Double)
    case text(String)
    /// Unquoted text on the command line, which is not valid TOML.
    case word(String)
    case list([RecipeValue])
    case table([String: RecipeValue])

    /// The value as TOML text.
    package var toml: String {
        switch self {
        case .flag(let flag): return flag ? "true" : "false"
        case .integer(let number): return "\(number)"
        case .real(let number): return "\(number)"
        case .text(let text): return quoted(text)
        case .word(let text):
            let isPlain = !text.isEmpty && text.unicodeScalars.allSatisfy { ("!"..."~") ~= $0 }
            return isPlain ? text : quoted(text)
        case .list(let values): return "[" + values.map(\.toml).joined(separator: ", ") + "]"
        case .table(let table):
            let entries = table.keys.sorted().compactMap { key in
                table[key].map { "\(key) = \($0.toml)" }
            }
            return "{ " + entries.joined(separator: ", ") + " }"
        }
    }

    /// The name of the kind of value in messages.
    package var kind: String {
        switch self {
        case .flag: "true or false"
        case .integer: "a whole number"
        case .real: "a number"
        case .text: "a quoted string"
        case .word: "a string"
        case .list: "a list"
        case .table: "a table"
        }
    }

    /// Converts a TOML value.
    ///
    /// - Parameter place: the file and the section before the key in messages.
    private init(
        _ value: any TOMLValueConvertible, key: String, in place: String
    ) throws(Failure) {
        switch value.type {
        case .bool: self = .flag(value.bool ?? false)
        case .int: self = .integer(value.int ?? 0)
        case .double: self = .real(value.double ?? .nan)
        case .string: self = .text(value.string ?? "")
        case .array:
            var values: [RecipeValue] = []
            for element in value.array ?? [] {
                values.append(try RecipeValue(element, key: key, in: place))
            }
            self = .list(values)
        case .table:
            self = .table(try Self.entries(of: value.table ?? [:], in: "\(place)[\(key)] "))
        case .date, .time, .dateTime:
            throw .about(
                .configuration, place + key, "is a date or time, which no key takes",
                remedy: "write a number or a quoted string")
        }
    }

    /// The largest number of dots in a document, far more than keys and numbers need.
    private static let dotLimit = 5000

    private static func entries(
        of table: TOMLTable, in place: String
    ) throws(Failure) -> [String: RecipeValue] {
        var entries: [String: RecipeValue] = [:]
        for key in table.keys {
            guard let value = table[key] else { continue }
            entries[key] = try RecipeValue(value, key: key, in: place)
        }
        return entries
    }

    /// Returns the top-level entries of a TOML document.
    ///
    /// - Throws: `Failure` (configuration) that names the line and column of text that is not TOML.
    package static func document(
        _ text: String, name: String
    ) throws(Failure) -> [String: RecipeValue] {
        // TOMLKit recurses once per part of a dotted key, and 20,000 parts overflow the stack.
        guard text.utf8.count(where: { $0 == UInt8(ascii: ".") }) <= dotLimit else {
            throw .file(
                .configuration, name, "has more than \(dotLimit) dots",
                remedy: "use only dotted keys that are listed by `lockstep train --keys`")
        }
        if let defect = TOMLBrackets.defect(in: text) {
            throw .file(
                .configuration, name,
                "is not valid TOML at line \(defect.line) (\(defect.problem))",
                remedy: "correct it")
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw .file(
                .configuration, name,
                "is not valid TOML at line \(error.source.begin.line), column "
                    + "\(error.source.begin.column) (\(error.description))",
                remedy: "correct it")
        } catch {
            throw .file(
                .configuration, name, "is not valid TOML (\(error))", remedy: "correct it")
        }
        return try entries(of: table, in: "\(name): ")
    }

    /// Reads a value of the command line: TOML, or otherwise text without quotes.
    static func argument(_ text: String) throws(Failure) -> RecipeValue {
        // TOML's reader turns 1e-400 into 0.
        if let number = number(writtenAs: text), !isRepresented(number, text) { return .word(text) }
        let parsed = try? document("value = \(text)", name: "the value")
        // A line break could add further keys.
        if let value = parsed?["value"], parsed?.count == 1 { return value }
        return .word(text)
    }
}

// MARK: - Numbers

extension RecipeValue {
    /// The number nearest to the value that 64 bits can represent, such as infinity for 1e400, or
    /// nil if the value is not a number.
    package var number: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .real(let number): number
        case .text(let text), .word(let text): Self.number(writtenAs: text)
        default: nil
        }
    }

    /// Whether the number is too large or too close to 0 for 64 bits.
    var isBeyondNumbers: Bool {
        guard case .word(let text) = self, let number else { return false }
        return !Self.isRepresented(number, text)
    }

    /// Returns the number that text represents, in TOML's form or another clear form such as ".5"
    /// or "1.", or nil if it is not a number.
    private static func number(writtenAs text: String) -> Double? {
        guard text.wholeMatch(of: /[+\-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+\-]?[0-9]+)?/) != nil
        else {
            return nil
        }
        return Double(text)
    }

    private static func isRepresented(_ number: Double, _ text: String) -> Bool {
        let digits = text.prefix { $0 != "e" && $0 != "E" }
        return number.isFinite && (number != 0 || !digits.contains { ("1"..."9") ~= $0 })
    }
}

/// Returns text as a TOML basic string, which is a JSON string except that TOML also escapes the
/// delete character.
private func quoted(_ text: String) -> String {
    jsonQuoted(text).replacing("\u{7F}", with: "\\u007f")
}
