/// The text of a recipe, for edits that keep comments, order and everything else.
package struct RecipeText: Sendable {
    private var lines: [String]

    /// Creates the text, whose lines end with LF or CR LF.
    package init(_ text: String) {
        // The text is split by scalars, because CR LF is one Character.
        lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { String($0) }
    }

    package var text: String { lines.joined(separator: "\n") }

    /// Sets a key to a value: in its line, in a new line at the start of its section, or in a new
    /// section at the end.
    ///
    /// - Parameter value: the value as TOML.
    package mutating func set(_ section: String, _ key: String, to value: String) {
        guard let header = lines.firstIndex(where: { Self.section(of: $0) == section }) else {
            while lines.last?.allSatisfy(\.isWhitespace) == true { lines.removeLast() }
            lines += lines.isEmpty ? [] : [""]
            lines += ["[\(section)]", "\(key) = \(value)", ""]
            return
        }
        let end =
            lines[(header + 1)...].firstIndex { Self.section(of: $0) != nil } ?? lines.endIndex
        let place = lines[(header + 1)..<end].firstIndex { Self.key(of: $0) == key }
        if let place {
            lines[place] = Self.line(lines[place], with: value)
        } else {
            lines.insert("\(key) = \(value)", at: header + 1)
        }
    }

    /// Returns the name in a line that begins a section.
    private static func section(of line: String) -> String? {
        let line = line.prefix { $0 != "#" }
        let trimmed = line.filter { !$0.isWhitespace }
        // A line that continues a list can begin in the same way, but then it ends with a comma or
        // contains no name.
        guard trimmed.hasPrefix("["), trimmed.hasSuffix("]"), !trimmed.hasPrefix("[[") else {
            return nil
        }
        let name = trimmed.dropFirst().dropLast().filter { $0 != "\"" && $0 != "'" }
        return name.contains { $0.isLetter } && !name.contains(",") ? String(name) : nil
    }

    /// Returns the key that a line sets.
    private static func key(of line: String) -> String? {
        guard let equals = line.firstIndex(of: "=") else { return nil }
        return String(line[..<equals].filter { !$0.isWhitespace && $0 != "\"" && $0 != "'" })
    }

    /// Returns a line with another value, and with the text before and after the value unchanged.
    private static func line(_ line: String, with value: String) -> String {
        guard let equals = line.firstIndex(of: "=") else { return line }
        let rest = line[line.index(after: equals)...]
        let gap = rest.prefix { $0.isWhitespace }
        let behind = rest.dropFirst(gap.count).drop { !$0.isWhitespace && $0 != "#" }
        return String(line[...equals]) + gap + value + behind
    }
}
