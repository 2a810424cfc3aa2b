import Foundation
import Support
import TestSupport
import Testing
import Training

/// Tests of the JSON schema of metrics.jsonl.
@Suite struct MetricsSchemaTests {
    private static let path = "Sources/lockstep/Lockstep.docc/metrics.schema.json"

    private func problems(of line: String) throws -> [String] {
        let validator = try SchemaValidator(Data(MetricsFields.schema.text.utf8))
        return try validator.problems(
            of: try JSONSerialization.jsonObject(with: Data(line.utf8)))
    }

    @Test("the schema in the documentation is that of the program")
    func committedSchema() throws {
        let committed = try String(contentsOfFile: "\(Launch.root)/\(Self.path)", encoding: .utf8)
        #expect(
            committed == MetricsFields.schema.prettyText + "\n",
            "update it with `lockstep train --schema >\(Self.path)`")
    }

    @Test(
        "lines of each kind are valid",
        arguments: [
            #"{"step":0,"validation_loss":null,"validation_targets":7}"#,
            #"{"step":3,"diagnosis":"loss spike","cause":"a","remedy":"b"}"#,
            """
            {"step":1,"loss":2.5,"learning_rate":1e-3,"gradient_norm":null,"tokens":32,\
            "tokens_per_second":9,"step_seconds":1,"data_seconds":0,"forward_seconds":0.5,\
            "backward_seconds":0.5,"exposed_reduce_seconds":0,"reduce_seconds":0,\
            "update_seconds":0,"skipped":true}
            """,
        ])
    func validLines(line: String) throws {
        #expect(try problems(of: line).isEmpty)
    }

    @Test(
        "other lines are not valid",
        arguments: [
            "{}", "[]",
            #"{"step":0,"validation_loss":2}"#,
            #"{"step":-1,"validation_loss":2,"validation_targets":7}"#,
            #"{"step":0.5,"validation_loss":2,"validation_targets":7}"#,
            #"{"step":true,"validation_loss":2,"validation_targets":7}"#,
            #"{"step":0,"validation_loss":"2","validation_targets":7}"#,
            #"{"step":0,"validation_loss":2,"validation_targets":7,"more":1}"#,
            #"{"step":3,"diagnosis":"bad luck","cause":"a","remedy":"b"}"#,
            #"{"step":1,"loss":2.5}"#,
        ])
    func invalidLines(line: String) throws {
        #expect(try !problems(of: line).isEmpty)
    }
}
