import Statistics

/// A detector of a validation loss that falls and then rises while the training loss keeps falling.
struct OverfittingDetector: Sendable {
    /// The required number of consecutive evaluations above the best one.
    static let rising = 3
    /// The number of evaluations required for a verdict; the noise is estimated from them.
    static let fewest = 5
    /// The least rise above the best evaluation: in standard deviations of the evaluations' noise,
    /// and as a fraction of the loss. The best evaluation is combined with its neighbors, because
    /// it may be an outlier.
    static let leastRise = (deviations: 4.0, ofLoss: 0.01)
    /// The number of standard errors by which the training loss must have fallen since the best
    /// evaluation.
    static let errors = 3.0

    /// An evaluation and the training losses since the previous evaluation.
    private struct Stage: Sendable {
        let validationLoss: Double
        let training: Moments
    }

    /// A running mean and variance (Welford 1962).
    private struct Moments: Sendable {
        var count = 0.0
        var mean = 0.0
        var squares = 0.0

        mutating func add(_ value: Double) {
            count += 1
            let difference = value - mean
            mean += difference / count
            squares += difference * (value - mean)
        }

        /// The mean's squared standard error; nil for fewer than two values.
        var squaredError: Double? { count < 2 ? nil : squares / (count - 1) / count }
    }

    private var stages: [Stage] = []
    private var training = Moments()
    private var rates = (highest: 0.0, last: 0.0)

    /// Adds a step whose loss is finite.
    mutating func add(_ step: ObservedStep) {
        training.add(step.loss)
        rates = (max(rates.highest, step.learningRate), step.learningRate)
    }

    /// Adds an evaluation after a step; returns a diagnosis if there is one.
    mutating func add(_ validationLoss: Double, step: Int) -> Diagnosis? {
        // An evaluation without steps before it, as at step 0, has no training losses.
        guard validationLoss.isFinite, training.count > 0 else { return nil }
        stages.append(Stage(validationLoss: validationLoss, training: training))
        training = Moments()
        guard stages.count >= Self.fewest, let place = bestPlace else { return nil }
        let best = stages[place]
        let around = median(
            stages[max(0, place - 1)...min(place + 1, stages.count - 1)].map(\.validationLoss))
        let last = stages.suffix(Self.rising).map(\.validationLoss)
        let rise = last.reduce(0, +) / Double(last.count) - around
        let least = max(deviations * noise, Self.leastRise.ofLoss * best.validationLoss)
        guard rise > least, last.allSatisfy({ $0 > around + least / 2 }),
            trainingFell(since: best)
        else { return nil }
        let decays = rates.last < 0.9 * rates.highest
        return Diagnosis(
            step: step, sign: .overfitting,
            cause: "the validation loss was \(lossText(best.validationLoss)) and has risen to "
                + "\(lossText(validationLoss)) while the training loss keeps falling: "
                + "the model memorizes its training text"
                + (decays ? "" : ", or the learning rate needs to decay"),
            remedy: "stop earlier, train on more data or a smaller model, or raise [model] dropout "
                + "or [optimizer] weight_decay"
                + (decays ? "" : ", and let [schedule] decay the rate"))
    }

    /// The index of the lowest evaluation before the last `rising` ones.
    private var bestPlace: Int? {
        stages.indices.dropLast(Self.rising).min {
            stages[$0].validationLoss < stages[$1].validationLoss
        }
    }

    /// The required rise in standard deviations: `leastRise.deviations`, and more while the noise
    /// is estimated from few evaluations.
    private var deviations: Double {
        Self.leastRise.deviations * (1 + 4 / Double(stages.count - 2))
    }

    /// The standard deviation of an evaluation about a smooth curve, estimated from second
    /// differences, whose variance is six times as large.
    private var noise: Double {
        let losses = stages.map(\.validationLoss)
        let second = losses.indices.dropFirst().dropLast().map {
            abs(losses[$0 - 1] - 2 * losses[$0] + losses[$0 + 1])
        }
        return deviationsPerMedianDeviation * median(second) / 6.0.squareRoot()
    }

    private func trainingFell(since best: Stage) -> Bool {
        guard let last = stages.last, let before = best.training.squaredError,
            let now = last.training.squaredError
        else { return false }
        return best.training.mean - last.training.mean
            > Self.errors * (before + now).squareRoot()
    }
}
