/// A recipe as its author wrote it, for edits that leave comments, order and everything else alone.
package struct RecipeText: Sendable {
    private var lines: [String]

    package init(_ text: String) {
        // By scalars, because a carriage return and a line feed are one character.
        lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { String($0) }
    }

    package var text: String { lines.joined(separator: "\n") }

    /// Gives a key a value: in its line, or in a new one at the head of its section, or with a new
    /// section at the end.
    ///
    /// - Parameter value: as TOML.
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

    /// The name in a line that begins a section.
    private static func section(of line: String) -> String? {
        let line = line.prefix { $0 != "#" }
        let trimmed = line.filter { !$0.isWhitespace }
        // A list may go on in a line of its own that begins alike, but then ends with a comma or
        // has no name in it.
        guard trimmed.hasPrefix("["), trimmed.hasSuffix("]"), !trimmed.hasPrefix("[[") else {
            return nil
        }
        let name = trimmed.dropFirst().dropLast().filter { $0 != "\"" && $0 != "'" }
        return name.contains { $0.isLetter } && !name.contains(",") ? String(name) : nil
    }

    /// The key that a line gives a value.
    private static func key(of line: String) -> String? {
        guard let equals = line.firstIndex(of: "=") else { return nil }
        return String(line[..<equals].filter { !$0.isWhitespace && $0 != "\"" && $0 != "'" })
    }

    /// A line with another number; what stands before and behind it, a comment for example, stays.
    private static func line(_ line: String, with value: String) -> String {
        guard let equals = line.firstIndex(of: "=") else { return line }
        let rest = line[line.index(after: equals)...]
        let gap = rest.prefix { $0.isWhitespace }
        let behind = rest.dropFirst(gap.count).drop { !$0.isWhitespace && $0 != "#" }
        return String(line[...equals]) + gap + value + behind
    }
}
