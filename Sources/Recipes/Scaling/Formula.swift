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
        case negate
        case add
        case subtract
        case multiply
        case divide
        case power
        case apply(Function)
    }

    enum Function: String, CaseIterable, Sendable {
        case sqrt
        case log
        case exp
        case min
        case max

        /// Whether the function takes two or more values instead of one.
        var isBinary: Bool { self == .min || self == .max }
    }

    /// The operations on a stack, in postfix order: operands precede their operators.
    private let operations: [Operation]
    private let variables: [String]

    /// Parses a formula of some variables; failures name its `key`.
    ///
    /// - Throws: `Failure` (configuration) that names the column, counted in characters from 1.
    package init(_ text: String, key: String, variables: [String]) throws(Failure) {
        guard text.utf8.count <= Self.longest else {
            throw Failure(
                .configuration,
                "\(key): has \(text.utf8.count) bytes, more than \(Self.longest); write a shorter "
                    + "formula.")
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
            case .negate: stack.append(-stack.removeLast())
            case .apply(let function) where !function.isBinary:
                stack.append(function.of(stack.removeLast()))
            case .add, .subtract, .multiply, .divide, .power, .apply:
                let right = stack.removeLast()
                stack.append(operation.of(stack.removeLast(), right))
            }
        }
        return stack.removeLast()
    }
}

extension Formula.Function {
    fileprivate func of(_ value: Double) -> Double {
        switch self {
        case .sqrt: value.squareRoot()
        case .log: logarithm(value)
        case .exp: exponential(value)
        case .min, .max: value
        }
    }
}

// The C functions, which the cases with the same names hide inside `Function`.
private func logarithm(_ value: Double) -> Double { log(value) }
private func exponential(_ value: Double) -> Double { exp(value) }

extension Formula.Operation {
    fileprivate func of(_ left: Double, _ right: Double) -> Double {
        switch self {
        case .add: left + right
        case .subtract: left - right
        case .multiply: left * right
        case .divide: left / right
        case .power: pow(left, right)
        // Unlike Swift's functions, these return NaN if any value is NaN.
        case .apply(.min): left.isNaN || right.isNaN ? .nan : Swift.min(left, right)
        case .apply(.max): left.isNaN || right.isNaN ? .nan : Swift.max(left, right)
        case .number, .variable, .negate, .apply: .nan
        }
    }
}
