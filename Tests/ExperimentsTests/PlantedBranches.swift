import Experiments
import Foundation
import Support
import Testing

/// Branches with planted losses.
struct PlantedBranches {
    var steps = [100, 200]
    var batches = [8, 16, 32, 64]
    var repeats = 3
    var decays = false
    var sequences = 640
    var tolerance = 0.01
    /// The loss that a batch adds at a checkpoint; not a number for a branch that diverges.
    var excess: (_ step: Int, _ batch: Int) -> Double = { _, _ in 0 }
    /// The loss of a batch after some sequences, without the noise.
    var curve: (_ batch: Int, _ sequences: Int) -> Double = { _, sequences in
        3 - Double(sequences) / 1000
    }
    var noise = 0.002
    /// The phases of the run at the steps; the training phase for those without one.
    var phases: [Int: String] = [:]
    /// The steps that the design leaves out.
    var leftOut: [Int] = []

    func design() throws -> BranchDesign {
        let object: JSONObject = [
            "run": "/runs/planted", "data": "/data", "data_fingerprint": "a-b",
            "checkpoints": .array(
                steps.map {
                    [
                        "step": .integer($0), "learning_rate": 0.001,
                        "phase": .string(phases[$0] ?? "training"), "parameters_sha256": "ab",
                    ]
                }),
            "left_out": .array(leftOut.map(JSONValue.integer)),
            "run_batch": 8, "context_length": 4,
            "batches": .array(batches.map(JSONValue.integer)), "rule": "sqrt",
            "sequences": .integer(sequences), "decay": .bool(decays),
            "tolerance": .number(tolerance), "repeats": .integer(repeats),
        ]
        let design = try BranchDesign(json: .object(object))
        #expect(design.json == object, "a design reads back what it writes")
        return design
    }

    func branches() throws -> Branches {
        let design = try design()
        let results = design.points.map { point in
            // A repeat moves all batches alike; the rest differs by a fixed pattern.
            let place = batches.firstIndex(of: point.batch) ?? 0
            let pattern = [[1.0, -1, 0], [-1, 0, 1], [0, 1, -1], [1, 0, -1]][place % 4]
            let shift =
                0.3 * Double(point.repetition) + noise * pattern[(point.repetition - 1) % 3]
                + excess(point.step, point.batch)
            let marks = stride(from: 0, through: sequences, by: 64)
            return BranchResult(
                point: point, learningRate: 1e-3, steps: sequences / point.batch,
                validationLoss: curve(point.batch, sequences) + shift, trainingLoss: 2,
                curve: marks.map {
                    .init(tokens: $0 * 4, loss: curve(point.batch, $0) + shift)
                }, parameterHash: "cd")
        }
        return try Branches(design, results: results.map { try .init(parsing: $0.line.text.utf8) })
    }
}
