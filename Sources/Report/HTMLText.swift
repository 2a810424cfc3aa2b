/// The one place where text becomes safe for an HTML page.
package enum HTMLText {
    /// Text for an element's content or a quoted attribute, whatever it contains.
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

    /// JSON for a `script` element: the same value, with nothing in it that ends the element or, as
    /// U+2028 and U+2029 did before ECMAScript 2019, a line of JavaScript.
    ///
    /// These characters stand in JSON only inside strings, where `\u` can take their place.
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

    /// JavaScript for a `script` element: "</script" and "<!--" are broken by a backslash, which
    /// means nothing in the strings and regular expressions where alone they can stand.
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
