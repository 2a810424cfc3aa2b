import Statistics

/// Looks for a validation loss that falls and then rises while the training loss goes on falling.
struct OverfittingDetector: Sendable {
    /// Evaluations in a row above the best one.
    static let rising = 3
    /// Evaluations before there is a verdict: what the noise is estimated from.
    static let fewest = 5
    /// The least rise above the best: in standard deviations of the evaluations' noise, and as a
    /// part of the loss. The best is taken with its neighbours: alone it may be an outlier.
    static let leastRise = (deviations: 4.0, ofLoss: 0.01)
    /// Standard errors by which the training loss must have fallen since the best evaluation.
    static let errors = 3.0

    /// An evaluation and the training losses since the one before it.
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

    /// Takes a step whose loss is finite.
    mutating func add(_ step: ObservedStep) {
        training.add(step.loss)
        rates = (max(rates.highest, step.learningRate), step.learningRate)
    }

    mutating func add(_ evaluation: ObservedEvaluation) -> Diagnosis? {
        guard evaluation.validationLoss.isFinite else { return nil }
        // One without steps before it, as at step 0, says nothing of the training loss.
        guard training.count > 0 else { return nil }
        stages.append(Stage(validationLoss: evaluation.validationLoss, training: training))
        training = Moments()
        guard stages.count >= Self.fewest, let place = bestPlace else { return nil }
        let best = stages[place]
        let around = median(
            stages[max(0, place - 1)...min(place + 1, stages.count - 1)].map(\.validationLoss))
        let last = stages.suffix(Self.rising).map(\.validationLoss)
        let rise = last.reduce(0, +) / Double(last.count) - around
        let least = max(
            deviations * noise, Self.leastRise.ofLoss * best.validationLoss)
        guard rise > least, last.allSatisfy({ $0 > around + least / 2 }),
            trainingFell(since: best)
        else { return nil }
        return diagnosis(evaluation, best: best)
    }

    /// Where the lowest evaluation before the last ones is.
    private var bestPlace: Int? {
        stages.indices.dropLast(Self.rising).min {
            stages[$0].validationLoss < stages[$1].validationLoss
        }
    }

    /// `leastRise.deviations`, and more while few evaluations say how large the noise is.
    private var deviations: Double {
        Self.leastRise.deviations * (1 + 4 / Double(stages.count - 2))
    }

    /// The standard deviation of an evaluation about a smooth course, from second differences, the
    /// variance of which is six times as large.
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

    private func diagnosis(_ evaluation: ObservedEvaluation, best: Stage) -> Diagnosis {
        let decays = rates.last < 0.9 * rates.highest
        return Diagnosis(
            step: evaluation.step, sign: .overfitting,
            cause: "the validation loss was \(lossText(best.validationLoss)) and has risen to "
                + "\(lossText(evaluation.validationLoss)) while the training loss goes on falling: "
                + "the model learns its text by heart"
                + (decays ? "" : ", or the learning rate needs to decay"),
            remedy: "stop earlier, train on more data or a smaller model, or raise [model] dropout "
                + "or [optimizer] weight_decay"
                + (decays ? "" : ", and let [schedule] decay the rate"))
    }
}
