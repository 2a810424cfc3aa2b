import Support

/// The result of a branch: a line of the ledger. It contains nothing that depends on where or when
/// the branch was trained.
package struct BranchResult: Sendable, Equatable {
    /// A point of a branch's loss curve.
    package struct CurvePoint: Sendable, Equatable {
        /// The number of tokens since the checkpoint.
        package let tokens: Int
        /// The loss over the first windows of the validation set.
        package let loss: Double

        package init(tokens: Int, loss: Double) {
            self.tokens = tokens
            self.loss = loss
        }
    }

    package let point: BranchDesign.Point
    /// The rate of the first step.
    package let learningRate: Double
    package let steps: Int
    /// The validation loss at the end, over the run's own windows; not a number if it diverged.
    package let validationLoss: Double
    /// The mean training loss of the last tenth of the tokens.
    package let trainingLoss: Double
    /// The losses from the checkpoint on.
    package let curve: [CurvePoint]
    /// The SHA-256 of the last parameters; empty if the branch diverged.
    package let parameterHash: String

    package init(
        point: BranchDesign.Point, learningRate: Double, steps: Int, validationLoss: Double,
        trainingLoss: Double, curve: [CurvePoint], parameterHash: String
    ) {
        self.point = point
        self.learningRate = learningRate
        self.steps = steps
        self.validationLoss = validationLoss
        self.trainingLoss = trainingLoss
        self.curve = curve
        self.parameterHash = parameterHash
    }

    /// The mean of the last points of the loss curve.
    ///
    /// Under a constant rate the parameters jitter around their path, and with them the loss of a
    /// single step.
    package var smoothedLoss: Double {
        let last = curve.dropFirst().suffix(Self.smoothedPoints)
        return last.reduce(0) { $0 + $1.loss } / Double(last.count)
    }

    /// The number of points that `smoothedLoss` averages: the last third of a branch.
    private static let smoothedPoints = 3

    /// Returns the loss by which branches are compared: the loss at the end if the rate has
    /// decayed, which leaves no jitter, and otherwise the smoothed loss.
    package func comparedLoss(decays: Bool) -> Double { decays ? validationLoss : smoothedLoss }

    /// Whether the losses stopped being finite.
    package var hasDiverged: Bool {
        !validationLoss.isFinite || !curve.allSatisfy(\.loss.isFinite)
    }
}

extension BranchResult: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        point = BranchDesign.Point(
            step: try json.read("checkpoint"), batch: try json.read("batch"),
            repetition: try json.read("repeat"))
        learningRate = try json.read("learning_rate")
        steps = try json.read("steps")
        // A loss that is not finite is null.
        guard case .object(let fields) = json, let validation = fields["validation_loss"],
            let training = fields["training_loss"]
        else { throw .mismatch("losses") }
        validationLoss = validation.number ?? .nan
        trainingLoss = training.number ?? .nan
        curve = try json.read("curve")
        parameterHash = try json.read("parameters_sha256")
    }

    /// The line of the ledger.
    package var line: JSONObject {
        [
            "checkpoint": .integer(point.step), "batch": .integer(point.batch),
            "repeat": .integer(point.repetition), "learning_rate": .number(learningRate),
            "steps": .integer(steps), "validation_loss": .number(validationLoss),
            "training_loss": .number(trainingLoss),
            "curve": .array(curve.map { [.integer($0.tokens), .number($0.loss)] }),
            "parameters_sha256": .string(parameterHash),
        ]
    }
}

extension BranchResult.CurvePoint: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        tokens = try json.read(0)
        loss = try json.read(1) ?? .nan
    }
}
