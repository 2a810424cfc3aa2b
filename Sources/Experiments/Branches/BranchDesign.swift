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
        package let phase: Phase
    }

    /// The phase of a run at a checkpoint.
    package enum Phase: String, Sendable {
        /// The checkpoint is before the rate's decay, or among its first steps.
        case training
        /// The rate has decayed, which alone raises the critical batch.
        case decay
        /// The checkpoint is the last one, after which the run has no steps left.
        case end
    }

    /// The path of the run.
    package let run: String
    package let dataPath: String
    package let dataFingerprint: String
    /// The checkpoints in ascending order of steps.
    package let starts: [Start]
    /// The steps of the checkpoints that were left out because they are not in the training phase.
    package let leftOut: [Int]
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

    /// The least number of validation windows at each point of a loss curve, and the fraction of a
    /// branch's sequences if that is more.
    ///
    /// All branches have the same windows, so few are enough to compare them. At this fraction, the
    /// points of a curve take about a fifth of the time of the steps. The loss at the end uses the
    /// run's own windows.
    private static let (leastWindows, windowPart) = (128, 16)

    /// Returns the largest number of validation windows at each point of a loss curve.
    func curveWindowLimit(of recipe: Recipe) -> Int {
        let own = recipe.evaluation.windows
        let enough = max(Self.leastWindows, sequences / Self.windowPart)
        return own == 0 ? enough : min(own, enough)
    }

    /// Returns the number of validation windows that a branch evaluates in all.
    ///
    /// - Parameter count: the windows of the validation set.
    func evaluatedWindows(of recipe: Recipe, of count: Int) -> Int {
        let own = recipe.evaluation.windows
        let limit = curveWindowLimit(of: recipe)
        let end = own == limit ? 0 : min(count, own == 0 ? count : own)
        return (marks.count + 1) * min(count, limit) + end
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
                        "phase": .string($0.phase.rawValue),
                        "parameters_sha256": .string($0.parameterHash),
                    ]
                }),
            "left_out": .array(leftOut.map(JSONValue.integer)),
            "run_batch": .integer(trunkBatch), "context_length": .integer(contextLength),
            "batches": .array(batches.map(JSONValue.integer)), "rule": .string(rule.rawValue),
            "sequences": .integer(sequences), "decay": .bool(decays),
            "tolerance": .number(tolerance), "repeats": .integer(repeats),
        ]
    }

    private static func isAscending(_ numbers: [Int]) -> Bool {
        zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }
    }
}

extension BranchDesign: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        run = try json.read("run")
        dataPath = try json.read("data")
        dataFingerprint = try json.read("data_fingerprint")
        starts = try json.read("checkpoints")
        // Designs of earlier versions have no phases and leave out no checkpoint.
        leftOut = try json.read("left_out") ?? []
        trunkBatch = try json.read("run_batch")
        contextLength = try json.read("context_length")
        batches = try json.read("batches")
        rule = try json.read("rule")
        sequences = try json.read("sequences")
        decays = try json.read("decay")
        tolerance = try json.read("tolerance")
        repeats = try json.read("repeats")
        let limit = Self.mostSequences
        guard !starts.isEmpty, Self.isAscending(starts.map(\.step)),
            starts.allSatisfy({ (0...limit).contains($0.step) && $0.learningRate > 0 }),
            batches.count >= 2, Self.isAscending(batches), batches.contains(trunkBatch),
            batches.allSatisfy({ (1...limit).contains($0) }), (1...limit).contains(contextLength),
            let unit = Self.commonMultiple(batches), sequences >= 1, sequences % unit == 0,
            sequences <= Self.mostTokens / contextLength + unit, (1...100).contains(repeats),
            tolerance > 0, let last = starts.last,
            !last.step.multipliedReportingOverflow(by: trunkBatch * contextLength).overflow
        else { throw .mismatch("design of branches") }
    }
}

extension BranchDesign.Start: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        step = try json.read("step")
        parameterHash = try json.read("parameters_sha256")
        learningRate = try json.read("learning_rate")
        phase = try json.read("phase") ?? .training
    }
}

extension BranchDesign.Phase: JSONReadable {}

extension ScalingConfiguration.Rule: JSONReadable {}
