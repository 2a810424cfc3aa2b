import Glibc
import Support

/// A recursive-descent parser from a formula to operations on a stack.
///
///     sum     = product { ("+" | "-") product }
///     product = signed { ("*" | "/") signed }
///     signed  = "-" signed | power
///     power   = value [ "^" signed ]
///     value   = number | variable | function "(" sum { "," sum } ")" | "(" sum ")"
///
/// Every recursion passes through `signed`, which counts its depth, so no text can exhaust the
/// stack.
struct FormulaParser {
    private let text: String
    private let characters: [Character]
    private let key: String
    private let variables: [String]
    private var place = 0
    private var depth = 0
    private var operations: [Formula.Operation] = []

    init(_ text: String, key: String, variables: [String]) {
        self.text = text
        self.key = key
        self.variables = variables
        characters = Array(text)
    }

    /// Returns the operations of the whole text.
    mutating func parse() throws(Failure) -> [Formula.Operation] {
        try sum()
        if let character = next {
            let remedy =
                character == ")"
                ? "remove it, or open it before" : "write one of + - * / ^ between two values"
            throw failure(at: place, "\(quoted(character)) cannot follow a value", remedy)
        }
        return operations
    }

    private mutating func sum() throws(Failure) {
        try product()
        while let operation = takeOperator([("+", .binary(+)), ("-", .binary(-))]) {
            try product()
            operations.append(operation)
        }
    }

    private mutating func product() throws(Failure) {
        try signed()
        while let operation = takeOperator([("*", .binary(*)), ("/", .binary(/))]) {
            try signed()
            operations.append(operation)
        }
    }

    private mutating func signed() throws(Failure) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Formula.deepest else {
            throw failure(
                at: place, "the formula nests more than \(Formula.deepest) deep",
                "write it with fewer parentheses, signs and powers in one another")
        }
        if take("-") {
            try signed()
            operations.append(.unary(-))
            return
        }
        try value()
        if take("^") {
            try signed()
            operations.append(.binary { pow($0, $1) })
        }
    }

    private mutating func value() throws(Failure) {
        guard let character = next else {
            throw failure(at: place, "the formula ends where a value must stand", valueRemedy)
        }
        if character.isDigit || character == "." {
            try number()
        } else if character.isNamePart {
            try named()
        } else if character == "(" {
            let opening = place
            place += 1
            try sum()
            try close(opening)
        } else {
            throw failure(
                at: place, "\(quoted(character)) stands where a value must stand", valueRemedy)
        }
    }

    /// Parses a number: digits with at most one point, optionally followed by e, a sign and digits.
    private mutating func number() throws(Failure) {
        let start = place
        skip { $0.isDigit || $0 == "." }
        if place < characters.count, characters[place] == "e" || characters[place] == "E" {
            place += 1
            if place < characters.count, "+-".contains(characters[place]) { place += 1 }
            skip(while: \.isDigit)
        }
        let end = place
        // Characters that cannot follow a number are read as part of it, so that the failure quotes
        // the whole word.
        skip { $0.isNamePart || $0 == "." }
        let written = String(characters[start..<place])
        guard place == end, let number = Double(written) else {
            throw failure(
                at: start, "\"\(written)\" is not a number",
                "write one such as 0.7 or 1e-4, and * between a number and a variable")
        }
        guard number.isFinite else {
            throw failure(at: start, "\"\(written)\" is too large a number", "write a smaller one")
        }
        operations.append(.number(number))
    }

    /// Parses a variable, or a function with its values.
    private mutating func named() throws(Failure) {
        let start = place
        skip(while: \.isNamePart)
        let name = String(characters[start..<place])
        if let variable = variables.firstIndex(of: name) {
            operations.append(.variable(variable))
            return
        }
        guard let function = Formula.functions.first(where: { $0.name == name }) else {
            throw unknown(name, at: start)
        }
        var isBinary = false
        if case .binary = function.operation { isBinary = true }
        guard next == "(" else {
            throw failure(
                at: start, "\"\(name)\" is a function without its value",
                "write \(name)(\(isBinary ? "..., ..." : "..."))")
        }
        let opening = place
        place += 1
        try sum()
        var count = 1
        while take(",") {
            try sum()
            count += 1
            if isBinary { operations.append(function.operation) }
        }
        try close(opening)
        guard isBinary ? count >= 2 : count == 1 else {
            throw failure(
                at: start, "\"\(name)\" has \(count) \(count == 1 ? "value" : "values")",
                "give it \(isBinary ? "two or more" : "one")")
        }
        if !isBinary { operations.append(function.operation) }
    }

    private func unknown(_ name: String, at start: Int) -> Failure {
        let names = variables + Formula.functions.map(\.name)
        // Any two single letters are close to each other.
        let near = nearestName(to: name, among: names).flatMap { near in
            name.count > 1 || near.lowercased() == name.lowercased() ? near : nil
        }
        return failure(
            at: start, "\"\(name)\" is not one of \(names.joined(separator: ", "))",
            near.map { "did you mean \"\($0)\"?" } ?? "use one of these")
    }

    /// Consumes the ")" that closes the "(" at a position.
    private mutating func close(_ opening: Int) throws(Failure) {
        if take(")") { return }
        guard let character = next else {
            throw failure(at: opening, "\"(\" is not closed", "add \")\"")
        }
        throw failure(
            at: place, "\(quoted(character)) cannot follow a value",
            "write one of + - * / ^ between two values, or close the \"(\" of column "
                + "\(opening + 1) before it")
    }

    /// The next character that is not a space.
    private var next: Character? {
        mutating get {
            skip(while: \.isWhitespace)
            return place < characters.count ? characters[place] : nil
        }
    }

    private mutating func take(_ character: Character) -> Bool {
        guard next == character else { return false }
        place += 1
        return true
    }

    /// Consumes one of some operators, if the next character is one, and returns its operation.
    private mutating func takeOperator(
        _ operators: [(Character, Formula.Operation)]
    ) -> Formula.Operation? {
        operators.first { take($0.0) }?.1
    }

    private mutating func skip(while isPart: (Character) -> Bool) {
        while place < characters.count, isPart(characters[place]) { place += 1 }
    }

    private var valueRemedy: String {
        "write a number, one of \(variables.joined(separator: ", ")), a function or \"(\""
    }

    private func quoted(_ character: Character) -> String { String(character).debugDescription }

    private func failure(at place: Int, _ problem: String, _ remedy: String) -> Failure {
        .key(key, "\(text.debugDescription), column \(place + 1)", problem, remedy: remedy)
    }
}

extension Character {
    fileprivate var isDigit: Bool { isASCII && isNumber }
    fileprivate var isNamePart: Bool { isLetter || isDigit || self == "_" }
}
