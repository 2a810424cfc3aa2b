import Foundation

/// A validator of the part of JSON Schema (2020-12) that the product's schemas use. It refuses a
/// schema with any other keyword.
package struct SchemaValidator {
    package typealias Object = [String: Any]

    private let root: Object

    /// A reason why a schema cannot be used.
    package struct UnknownSchema: Error { package let text: String }

    package init(_ schema: Data) throws {
        guard let root = try JSONSerialization.jsonObject(with: schema) as? Object else {
            throw UnknownSchema(text: "it is not an object")
        }
        self.root = root
    }

    /// Returns the problems of a value; none if it is valid.
    package func problems(of value: Any) throws -> [String] { try problems(of: value, root) }

    private static let annotations: Set<String> = ["$schema", "$defs", "title", "description"]

    private func problems(of value: Any, _ schema: Object) throws -> [String] {
        var problems: [String] = []
        for (keyword, rule) in schema where !Self.annotations.contains(keyword) {
            problems += try self.problems(of: value, keyword, rule, in: schema)
        }
        return problems
    }

    private func problems(
        of value: Any, _ keyword: String, _ rule: Any, in schema: Object
    ) throws -> [String] {
        switch (keyword, rule) {
        case ("$ref", let path as String):
            let name = path.replacingOccurrences(of: "#/$defs/", with: "")
            guard let target = (root["$defs"] as? Object)?[name] as? Object else {
                throw UnknownSchema(text: path)
            }
            return try problems(of: value, target)
        case ("oneOf", let choices as [Object]):
            let all = try choices.map { try problems(of: value, $0) }
            let matches = all.count { $0.isEmpty }
            return matches == 1 ? [] : ["\(matches) of oneOf match: \(all)"]
        case ("type", let name as String): return Self.typeProblems(value, [name])
        case ("type", let names as [String]): return Self.typeProblems(value, names)
        case ("const", let constant as NSObject):
            return constant.isEqual(value) && Self.isBool(constant) == Self.isBool(value)
                ? [] : ["\(value) is not \(constant)"]
        case ("enum", let choices as [String]):
            return choices.contains(value as? String ?? "") ? [] : ["\(value) is no choice"]
        case ("minimum", let least as Double):
            return (value as? Double ?? least) >= least ? [] : ["\(value) is below \(least)"]
        case ("properties", let members as Object):
            let object = value as? Object ?? [:]
            return try members.flatMap { name, member -> [String] in
                guard let member = member as? Object else { throw UnknownSchema(text: name) }
                return try object[name].map { try problems(of: $0, member) }?.map {
                    "\(name): \($0)"
                } ?? []
            }
        case ("required", let names as [String]):
            let object = value as? Object ?? [:]
            return names.filter { object[$0] == nil }.map { "\($0) is missing" }
        case ("additionalProperties", let allowed as Bool) where !allowed:
            let known = Set((schema["properties"] as? Object ?? [:]).keys)
            return (value as? Object ?? [:]).keys.filter { !known.contains($0) }.map {
                "\($0) is unknown"
            }
        default: throw UnknownSchema(text: keyword)
        }
    }

    private static func typeProblems(_ value: Any, _ names: [String]) -> [String] {
        let isNumber = value is NSNumber && !isBool(value)
        let holds = names.contains { name in
            switch name {
            case "null": value is NSNull
            case "number": isNumber
            case "integer": isNumber && (value as? Double).map { $0.rounded() == $0 } == true
            case "string": value is String
            case "object": value is Object
            default: false
            }
        }
        return holds ? [] : ["\(value) is none of \(names)"]
    }

    /// Returns whether a value that `JSONSerialization` read is true or false.
    private static func isBool(_ value: Any) -> Bool {
        // The encoding of a Boolean is that of a C character.
        (value as? NSNumber).map { String(cString: $0.objCType) == "c" } ?? false
    }
}
