import Recipes
import Support

/// The branches that a command trains: every batch at every checkpoint, several times.
///
/// All branches use the same number of tokens. The branches of one repeat use the same tokens in
/// the same order, at every batch: those with which the run itself continues, or for later repeats
/// those that follow them.
package struct BranchDesign: Sendable, Equatable {
    /// A checkpoint from which branches start.
    package struct Start: Sendable, Equatable {
        package let step: Int
        /// The SHA-256 of the parameters.
        package let parameterHash: String
        /// The learning rate of the run's next step.
        package let learningRate: Double
    }

    /// The path of the run.
    package let run: String
    package let dataPath: String
    package let dataFingerprint: String
    /// The checkpoints in ascending order of steps.
    package let starts: [Start]
    /// The run's global batch in sequences.
    package let trunkBatch: Int
    package let contextLength: Int
    /// The global batches of the branches in sequences, in ascending order.
    package let batches: [Int]
    package let rule: ScalingConfiguration.Rule
    /// The number of sequences that each branch trains on, a multiple of every batch.
    package let sequences: Int
    /// Whether the rate falls to 0 over a branch; otherwise it is constant.
    package let decays: Bool
    /// The loss, in nats, by which a branch may end above the one with the smallest batch.
    package let tolerance: Double
    /// The number of times that each branch is trained, each time on different tokens.
    package let repeats: Int

    /// A branch.
    package struct Point: Sendable, Equatable, Hashable {
        /// The step of the checkpoint.
        package let step: Int
        package let batch: Int
        /// The number of the repeat, from 1.
        package let repetition: Int
    }

    /// All branches in the order in which they are trained.
    package var points: [Point] {
        starts.flatMap { start in
            (1...repeats).flatMap { repetition in
                batches.map { Point(step: start.step, batch: $0, repetition: repetition) }
            }
        }
    }

    /// The number of tokens that each branch trains on.
    package var tokens: Int { sequences * contextLength }

    /// Returns the number of steps of a branch.
    package func steps(ofBatch batch: Int) -> Int { sequences / batch }

    /// Returns the number of a branch's first sequence in the run's order of samples.
    func firstSample(of point: Point) -> Int {
        point.step * trunkBatch + (point.repetition - 1) * sequences
    }

    /// The largest number of points of a branch's loss curve after its start.
    private static let markCount = 10

    /// The numbers of sequences at which the branches are evaluated, in ascending order.
    ///
    /// Branches of every batch have a step that ends there. The last one is `sequences`.
    var marks: [Int] {
        let unit = Self.commonMultiple(batches) ?? sequences
        let units = sequences / unit
        let count = min(units, Self.markCount)
        return (1...count).map { units * $0 / count * unit }
    }

    /// The largest number of sequences of a batch, and of the least common multiple of batches.
    ///
    /// Products of two such numbers do not overflow.
    static let mostSequences = 1_000_000_000
    /// The largest number of tokens of a branch.
    static let mostTokens = 1 << 50

    /// Returns the least common multiple of batches; nil if it is above `mostSequences`.
    ///
    /// - Parameter batches: numbers from 1 to `mostSequences`.
    static func commonMultiple(_ batches: [Int]) -> Int? {
        var multiple = 1
        for batch in batches {
            var (a, b) = (multiple, batch)
            while b > 0 { (a, b) = (b, a % b) }
            multiple = multiple / a * batch
            guard multiple <= mostSequences else { return nil }
        }
        return multiple
    }
}

// MARK: - JSON

extension BranchDesign {
    package var json: JSONObject {
        [
            "run": .string(run), "data": .string(dataPath),
            "data_fingerprint": .string(dataFingerprint),
            "checkpoints": .array(
                starts.map {
                    [
                        "step": .integer($0.step), "learning_rate": .number($0.learningRate),
                        "parameters_sha256": .string($0.parameterHash),
                    ]
                }),
            "run_batch": .integer(trunkBatch), "context_length": .integer(contextLength),
            "batches": .array(batches.map(JSONValue.integer)), "rule": .string(rule.rawValue),
            "sequences": .integer(sequences), "decay": .bool(decays),
            "tolerance": .number(tolerance), "repeats": .integer(repeats),
        ]
    }

    private static func isAscending(_ numbers: [Int]) -> Bool {
        zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }
    }

    /// Reads a design; returns nil if the object is not one.
    package init?(_ fields: JSONObject) {
        guard let run = fields["run"]?.string, let data = fields["data"]?.string,
            let fingerprint = fields["data_fingerprint"]?.string,
            case .array(let checkpoints)? = fields["checkpoints"], !checkpoints.isEmpty,
            let trunkBatch = fields["run_batch"]?.naturalNumber,
            let contextLength = fields["context_length"]?.naturalNumber,
            case .array(let sizes)? = fields["batches"],
            let rule = fields["rule"]?.string.flatMap(ScalingConfiguration.Rule.init(rawValue:)),
            let sequences = fields["sequences"]?.naturalNumber,
            case .bool(let decays)? = fields["decay"],
            let tolerance = fields["tolerance"]?.number,
            let repeats = fields["repeats"]?.naturalNumber, repeats >= 1
        else { return nil }
        let batches = sizes.compactMap(\.naturalNumber)
        guard batches.count == sizes.count, batches.count >= 2, batches.allSatisfy({ $0 > 0 })
        else { return nil }
        var starts: [Start] = []
        for case .object(let start) in checkpoints {
            guard let step = start["step"]?.naturalNumber,
                let rate = start["learning_rate"]?.number,
                let hash = start["parameters_sha256"]?.string
            else { return nil }
            starts.append(Start(step: step, parameterHash: hash, learningRate: rate))
        }
        let limit = Self.mostSequences
        guard starts.count == checkpoints.count, Self.isAscending(starts.map(\.step)),
            starts.allSatisfy({ $0.step <= limit && $0.learningRate > 0 }),
            Self.isAscending(batches), batches.contains(trunkBatch),
            batches.allSatisfy({ $0 <= limit }), (1...limit).contains(contextLength),
            let unit = Self.commonMultiple(batches), sequences >= 1, sequences % unit == 0,
            sequences <= Self.mostTokens / contextLength + unit, repeats <= 100, tolerance > 0
        else { return nil }
        self.init(
            run: run, dataPath: data, dataFingerprint: fingerprint, starts: starts,
            trunkBatch: trunkBatch, contextLength: contextLength, batches: batches, rule: rule,
            sequences: sequences, decays: decays, tolerance: tolerance, repeats: repeats)
    }
}
