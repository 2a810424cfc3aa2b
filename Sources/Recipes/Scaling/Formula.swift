import Glibc
import Support

/// A formula of a recipe, such as `lr * (B / B0)^0.7`, checked and ready to be evaluated.
///
/// A formula consists of numbers, variables, the operators + - * / ^, parentheses, the functions
/// sqrt, log (natural) and exp of one value, and the functions min and max of two or more values.
/// `^` binds most tightly and associates to the right, so 2^3^2 is 2^9 and -2^2 is -4, as in
/// mathematics and Python; its exponent may have a sign, as in k^-0.5.
package struct Formula: Sendable {
    /// The maximum number of bytes of a formula.
    package static let longest = 500
    /// The maximum nesting depth of parentheses, signs and powers.
    package static let deepest = 50

    enum Operation: Sendable {
        case number(Double)
        case variable(Int)
        case unary(@Sendable (Double) -> Double)
        case binary(@Sendable (Double, Double) -> Double)
    }

    /// The functions: those of one value, and those of two or more, which are applied in turn.
    static let functions: [(name: String, operation: Operation)] = [
        ("sqrt", .unary { $0.squareRoot() }),
        ("log", .unary { log($0) }),
        ("exp", .unary { exp($0) }),
        // Unlike Swift's functions, these return NaN if any value is NaN.
        ("min", .binary { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) }),
        ("max", .binary { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) }),
    ]

    /// The operations on a stack, in postfix order: operands precede their operators.
    private let operations: [Operation]
    private let variables: [String]

    /// Parses a formula of some variables; failures name its `key`.
    ///
    /// - Throws: `Failure` (configuration) that names the column, counted in characters from 1.
    package init(_ text: String, key: String, variables: [String]) throws(Failure) {
        guard text.utf8.count <= Self.longest else {
            throw .about(
                .configuration, key, "has \(text.utf8.count) bytes, more than \(Self.longest)",
                remedy: "write a shorter formula")
        }
        var parser = FormulaParser(text, key: key, variables: variables)
        operations = try parser.parse()
        self.variables = variables
    }

    /// Returns whether a variable occurs in the formula.
    package func mentions(_ name: String) -> Bool {
        operations.contains { operation in
            guard case .variable(let index) = operation else { return false }
            return variables[index] == name
        }
    }

    /// Returns the formula's value for values of the variables, in the order of their names.
    ///
    /// The result is not a number if a part has no value, such as the logarithm of a negative
    /// number.
    package func value(_ values: [Double]) -> Double {
        precondition(values.count == variables.count, "every variable has a value")
        var stack: [Double] = []
        for operation in operations {
            switch operation {
            case .number(let number): stack.append(number)
            case .variable(let index): stack.append(values[index])
            case .unary(let function): stack.append(function(stack.removeLast()))
            case .binary(let function):
                let right = stack.removeLast()
                stack.append(function(stack.removeLast(), right))
            }
        }
        return stack.removeLast()
    }
}
