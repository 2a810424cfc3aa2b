/// The functions that make text safe for an HTML page.
package enum HTMLText {
    /// Returns any text as the content of an element or a quoted attribute.
    ///
    /// A NUL, which HTML forbids, becomes the replacement character.
    package static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\0": escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// Returns the same JSON value for a `script` element, without characters that could end the
    /// element or, as U+2028 and U+2029 did before ECMAScript 2019, a line of JavaScript.
    ///
    /// In JSON these characters occur only inside strings, where `\u` can replace them.
    package static func scriptJSON(_ json: String) -> String {
        var safe = ""
        for scalar in json.unicodeScalars {
            switch scalar {
            case "<": safe += "\\u003c"
            case ">": safe += "\\u003e"
            case "&": safe += "\\u0026"
            case "\u{2028}": safe += "\\u2028"
            case "\u{2029}": safe += "\\u2029"
            default: safe.unicodeScalars.append(scalar)
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
