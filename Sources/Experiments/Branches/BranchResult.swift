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

extension BranchResult {
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

    /// Reads a line of the ledger; returns nil if it is not a result.
    package init?(_ fields: JSONObject) {
        guard let step = fields["checkpoint"]?.naturalNumber,
            let batch = fields["batch"]?.naturalNumber,
            let repetition = fields["repeat"]?.naturalNumber,
            let rate = fields["learning_rate"]?.number, let steps = fields["steps"]?.naturalNumber,
            let validation = fields["validation_loss"], let training = fields["training_loss"],
            case .array(let values)? = fields["curve"],
            let hash = fields["parameters_sha256"]?.string
        else { return nil }
        var curve: [CurvePoint] = []
        for value in values {
            guard case .array(let pair) = value, pair.count == 2,
                let tokens = pair[0].naturalNumber
            else { return nil }
            curve.append(CurvePoint(tokens: tokens, loss: pair[1].number ?? .nan))
        }
        self.init(
            point: BranchDesign.Point(step: step, batch: batch, repetition: repetition),
            learningRate: rate, steps: steps, validationLoss: validation.number ?? .nan,
            trainingLoss: training.number ?? .nan, curve: curve, parameterHash: hash)
    }
}
