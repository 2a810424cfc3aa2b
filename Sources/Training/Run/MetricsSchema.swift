import Support

extension MetricsFields {
    /// The JSON schema of a line of metrics.jsonl.
    package static var schema: JSONObject {
        [
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A line of metrics.jsonl",
            "description":
                "A step, an evaluation or a diagnosis of a run that `lockstep train` trains.",
            "oneOf": .array(
                ["step", "evaluation", "diagnosis"].map { ["$ref": .string("#/$defs/\($0)")] }),
            "$defs": [
                "step": kind("A step.", members(step) + members(noise)),
                "evaluation": kind("An evaluation.", members(evaluation)),
                "diagnosis": kind("A diagnosis.", members(diagnosis)),
            ],
        ]
    }

    /// A field of any kind of line, in the schema.
    private struct Member {
        let name: String
        let schema: JSONValue
        let isRequired: Bool
    }

    private static func kind(_ description: String, _ members: [Member]) -> JSONValue {
        [
            "type": "object", "description": .string(description),
            "properties": .object(JSONObject(members.map { ($0.name, $0.schema) })),
            "required": .array(members.filter(\.isRequired).map { .string($0.name) }),
            "additionalProperties": false,
        ]
    }

    private static func members<Record>(_ fields: [MetricsField<Record>]) -> [Member] {
        fields.map { field in
            var schema = field.kind.schema
            schema["description"] = .string(field.meaning)
            return Member(
                name: field.name, schema: .object(schema), isRequired: field.isRequired)
        }
    }
}

extension MetricsKind {
    fileprivate var schema: JSONObject {
        switch self {
        case .count: ["type": "integer", "minimum": 0]
        case .number: ["type": ["number", "null"]]
        case .text: ["type": "string"]
        case .choice(let texts): ["enum": .array(texts.map { .string($0) })]
        case .truth: ["const": true]
        }
    }
}
