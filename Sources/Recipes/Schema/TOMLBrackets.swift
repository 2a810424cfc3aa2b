/// A check of the brackets of a TOML document.
///
/// TOMLKit ends the process at a section without a name, such as `[=]`, and at a list that ends with
/// `}`. It reports every other mistake.
enum TOMLBrackets {
    /// Returns the first of these mistakes with the number of its line; nil if there is none.
    static func defect(in text: String) -> (line: Int, problem: String)? {
        let scalars = Array(text.unicodeScalars)
        var place = 0
        var line = 1
        var isLineStart = true
        var open: [Unicode.Scalar] = []

        func next(_ offset: Int = 0) -> Unicode.Scalar? {
            place + offset < scalars.count ? scalars[place + offset] : nil
        }
        func skip(while condition: (Unicode.Scalar) -> Bool) {
            while let scalar = next(), condition(scalar) {
                if scalar == "\n" { line += 1 }
                place += 1
            }
        }
        func skipString(_ quote: Unicode.Scalar) {
            let isLong = next(1) == quote && next(2) == quote
            place += isLong ? 3 : 1
            while let scalar = next(), isLong || scalar != "\n" {
                if scalar == "\n" { line += 1 }
                if scalar == quote, !isLong || next(1) == quote && next(2) == quote {
                    place += isLong ? 3 : 1
                    // A long string may end with two more quotes.
                    for _ in 0..<(isLong ? 2 : 0) where next() == quote { place += 1 }
                    return
                }
                // A backslash escapes one character, but not a line break that counts.
                place += scalar == "\\" && quote == "\"" && next(1) != "\n" ? 2 : 1
            }
        }

        while let scalar = next() {
            switch scalar {
            case "#": skip { $0 != "\n" }
            case "\"", "'":
                skipString(scalar)
                isLineStart = false
            case "[" where isLineStart && open.isEmpty:
                open.append(scalar)
                place += 1
                skip(while: isSpace)
                if next() == "[" {
                    open.append("[")
                    place += 1
                    skip(while: isSpace)
                }
                if let first = next(), !canBeginName(first) { return (line, "[ without a name") }
                isLineStart = false
            case "[", "{":
                open.append(scalar)
                place += 1
                isLineStart = false
            case "}" where open.last == "[": return (line, "} in a list")
            case "]", "}":
                _ = open.popLast()
                place += 1
                isLineStart = false
            default:
                if isLineBreak(scalar) {
                    isLineStart = true
                } else if !isSpace(scalar) {
                    isLineStart = false
                }
                if scalar == "\n" { line += 1 }
                place += 1
            }
        }
        return nil
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace && !isLineBreak(scalar) || scalar == "\u{FEFF}"
    }

    private static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool {
        ("\n"..."\r") ~= scalar || ["\u{85}", "\u{2028}", "\u{2029}"].contains(scalar)
    }

    /// Returns whether TOMLKit reads a character after "[" without ending the process.
    private static func canBeginName(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_", "\"", "'", "]": true
        default: false
        }
    }
}
