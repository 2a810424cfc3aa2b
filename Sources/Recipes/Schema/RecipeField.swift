import Compute
import Support

/// A Swift type that can be read from and written as a recipe's value.
protocol RecipeConvertible: SendableMetatype {
    /// The name of the kind of value in messages: "a whole number".
    static var expectation: String { get }
    /// The remedy for a value of another kind: "write one such as 100".
    static var remedy: String { get }
    /// Returns the value, or nil if it is of another kind.
    static func read(_ value: RecipeValue, key: String) throws(Failure) -> Self?
    /// The value in the form of a recipe, or nil if the recipe omits it.
    var recipeValue: RecipeValue? { get }
    /// Returns the problem with a value that cannot be read, and its remedy.
    static func refusal(of value: RecipeValue) -> (problem: String, remedy: String)
}

extension RecipeConvertible {
    /// Returns the value of `key`.
    ///
    /// - Throws: `Failure` (configuration) if the value is of another kind.
    static func converted(_ value: RecipeValue, key: String) throws(Failure) -> Self {
        if let converted = try read(value, key: key) { return converted }
        let (problem, remedy) = refusal(of: value)
        throw .key(key, value.toml, problem, remedy: remedy)
    }

    static func refusal(of value: RecipeValue) -> (problem: String, remedy: String) {
        ("must be \(expectation)", remedy)
    }
}

/// A 64-bit number, which cannot represent every value that a recipe may contain.
protocol RecipeNumber: RecipeConvertible, Comparable {
    /// The lowest magnitude that is too large for 64 bits.
    static var largest: Double { get }
}

extension RecipeNumber {
    static func refusal(of value: RecipeValue) -> (problem: String, remedy: String) {
        let usual = (problem: "must be \(expectation)", remedy: remedy)
        guard let number = value.number else { return usual }
        if case .text = value { return (usual.problem, "remove the quotes") }
        if value.isBeyondNumbers && number == 0 {
            return Self.self == Double.self
                ? ("is too close to 0 for 64 bits", "use a number with a larger magnitude") : usual
        }
        if value.isBeyondNumbers || number.isFinite && number.magnitude >= largest {
            return ("does not fit into 64 bits", "use a number with a smaller magnitude")
        }
        return Self.self == UInt64.self && number < 0 ? (usual.problem, "use 0 or more") : usual
    }
}

/// A key of a recipe: its section, its meaning, and the way to read and write it.
struct RecipeField: Sendable {
    let section: String
    let key: String
    /// The meaning of the key in one line.
    let meaning: String
    let expectation: String
    /// Sets the field.
    ///
    /// - Throws: `Failure` (configuration) if the value is of the wrong kind.
    let set: @Sendable (inout Recipe, _ value: RecipeValue) throws(Failure) -> Void
    /// Returns the field's value, or nil if it is unset.
    let value: @Sendable (Recipe) -> RecipeValue?

    /// Creates the field of a key.
    ///
    /// - Parameter name: the section and the key, as `--set` takes them.
    init<Value: RecipeConvertible>(
        _ name: String, _ path: WritableKeyPath<Recipe, Value> & Sendable, _ meaning: String
    ) {
        let parts = name.split(separator: ".")
        let (section, key) = (String(parts[0]), String(parts[1]))
        self.section = section
        self.key = key
        self.meaning = meaning
        expectation = Value.expectation
        value = { recipe in recipe[keyPath: path].recipeValue }
        set = { (recipe: inout Recipe, value: RecipeValue) throws(Failure) in
            recipe[keyPath: path] = try Value.converted(value, key: "[\(section)] \(key)")
        }
    }
}

extension Int: RecipeNumber {
    static let expectation = "a whole number"
    static let remedy = "write one such as 100"
    static let largest = 0x1p63
    static func read(_ value: RecipeValue, key: String) -> Int? {
        switch value {
        case .integer(let number): return number
        // 1e5 is a float in TOML, but its author means a whole number.
        case .real(let number): return Int(exactly: number)
        case .word: return value.isBeyondNumbers ? nil : value.number.flatMap(Int.init(exactly:))
        default: return nil
        }
    }
    var recipeValue: RecipeValue? { .integer(self) }
}

extension UInt64: RecipeNumber {
    static let expectation = "a whole number, 0 or more"
    static let remedy = "write one such as 1337"
    static let largest = 0x1p63
    static func read(_ value: RecipeValue, key: String) -> UInt64? {
        Int.read(value, key: key).flatMap(UInt64.init(exactly:))
    }
    var recipeValue: RecipeValue? { .integer(Int(clamping: self)) }
}

extension Double: RecipeNumber {
    static let expectation = "a number"
    static let remedy = "write one such as 0.001 or 1e-3"
    static let largest = Double.infinity
    static func read(_ value: RecipeValue, key: String) -> Double? {
        switch value {
        case .integer, .real: return value.number
        case .word: return value.isBeyondNumbers ? nil : value.number
        default: return nil
        }
    }
    var recipeValue: RecipeValue? { .real(self) }
}

extension Bool: RecipeConvertible {
    static let expectation = "true or false"
    static let remedy = "write one of them"
    static func read(_ value: RecipeValue, key: String) -> Bool? {
        guard case .flag(let flag) = value else { return nil }
        return flag
    }
    var recipeValue: RecipeValue? { .flag(self) }
}

extension String: RecipeConvertible {
    static let expectation = "a quoted string"
    static let remedy = "put quotes around it"
    static func read(_ value: RecipeValue, key: String) -> String? {
        switch value {
        case .text(let text), .word(let text): return text
        default: return nil
        }
    }
    var recipeValue: RecipeValue? { .text(self) }
}

extension Optional: RecipeConvertible where Wrapped: RecipeConvertible {
    static var expectation: String { Wrapped.expectation }
    static var remedy: String { Wrapped.remedy }
    static func refusal(of value: RecipeValue) -> (problem: String, remedy: String) {
        Wrapped.refusal(of: value)
    }
    static func read(_ value: RecipeValue, key: String) throws(Failure) -> Wrapped?? {
        try Wrapped.read(value, key: key).map { .some($0) }
    }
    var recipeValue: RecipeValue? { flatMap(\.recipeValue) }
}

extension NamedChoice {
    static var expectation: String {
        "one of " + allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    }
    static var remedy: String { "write one of them" }
    static func read(_ value: RecipeValue, key: String) throws(Failure) -> Self? {
        guard let name = String.read(value, key: key) else { return nil }
        return try Self(name, key: key)
    }
    var recipeValue: RecipeValue? { .text(rawValue) }
}

extension OptimizerConfiguration.Name: RecipeConvertible {}
extension OptimizerConfiguration.DecayScope: RecipeConvertible {}
extension ScheduleConfiguration.Name: RecipeConvertible {}
extension ScheduleConfiguration.Warmup: RecipeConvertible {}
extension Schedule.Shape: RecipeConvertible {}
extension ScheduleConfiguration.PartConfiguration.Name: RecipeConvertible {}
extension ScalingConfiguration.Rule: RecipeConvertible {}
extension ScalingConfiguration.WeightDecay: RecipeConvertible {}
extension ScalingConfiguration.Warmup: RecipeConvertible {}
extension Parametrization: RecipeConvertible {}
extension Precision: NamedChoice, RecipeConvertible {}
extension WireFormat: NamedChoice, RecipeConvertible {}
extension ReductionConfiguration.Balance: RecipeConvertible {}

/// A list of steps, which a recipe omits if it is empty.
struct StepList: RecipeConvertible {
    var steps: [Int]

    static let expectation = "a list of whole numbers, such as [100, 200]"
    static let remedy = "write one in brackets"
    static func read(_ value: RecipeValue, key: String) -> StepList? {
        guard case .list(let values) = value else { return nil }
        let numbers = values.compactMap { Int.read($0, key: key) }
        return numbers.count == values.count ? StepList(steps: numbers) : nil
    }
    var recipeValue: RecipeValue? { steps.isEmpty ? nil : .list(steps.map { .integer($0) }) }
}

extension EvaluationConfiguration {
    var marks: StepList {
        get { StepList(steps: at) }
        set { at = newValue.steps }
    }
}

/// Adam's two decay rates, which recipes write as one list.
struct Betas: RecipeConvertible {
    var first: Double
    var second: Double

    static let expectation = "a list of two numbers, such as [0.9, 0.95]"
    static let remedy = "write one in brackets"
    static func read(_ value: RecipeValue, key: String) -> Betas? {
        guard case .list(let values) = value, values.count == 2,
            let first = Double.read(values[0], key: key),
            let second = Double.read(values[1], key: key)
        else { return nil }
        return Betas(first: first, second: second)
    }
    var recipeValue: RecipeValue? { .list([.real(first), .real(second)]) }
}

extension OptimizerConfiguration {
    var betas: Betas {
        get { Betas(first: beta1, second: beta2) }
        set { (beta1, beta2) = (newValue.first, newValue.second) }
    }
}
