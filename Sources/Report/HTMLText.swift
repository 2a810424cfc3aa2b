/// The functions that make text safe for an HTML page.
package enum HTMLText {
    /// Returns any text as the content of an element or a quoted attribute.
    ///
    /// A NUL, which HTML forbids, becomes the replacement character.
    package static func escaped(_ text: String) -> String {
        replacing(
            [
                "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;",
                "\0": "\u{FFFD}",
            ], in: text)
    }

    /// Returns the same JSON value for a `script` element, without characters that could end the
    /// element or, as U+2028 and U+2029 did before ECMAScript 2019, a line of JavaScript.
    ///
    /// In JSON these characters occur only inside strings, where `\u` can replace them.
    package static func scriptJSON(_ json: String) -> String {
        replacing(
            [
                "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u{2028}": "\\u2028",
                "\u{2029}": "\\u2029",
            ], in: json)
    }

    private static func replacing(
        _ replacements: [Unicode.Scalar: String], in text: String
    ) -> String {
        var safe = ""
        for scalar in text.unicodeScalars {
            if let replacement = replacements[scalar] {
                safe += replacement
            } else {
                safe.unicodeScalars.append(scalar)
            }
        }
        return safe
    }

    /// Returns JavaScript for a `script` element. A backslash breaks "</script" and "<!--". It has
    /// no effect in strings and regular expressions, the only places where they can occur.
    package static func script(_ code: String) -> String {
        var safe = ""
        var rest = Substring(code)
        while let place = rest.firstIndex(of: "<") {
            let after = rest.index(after: place)
            safe += rest[..<after]
            rest = rest[after...]
            let next = rest.prefix(7).lowercased()
            if next == "/script" || next.hasPrefix("!--") { safe += "\\" }
        }
        return safe + rest
    }
}
