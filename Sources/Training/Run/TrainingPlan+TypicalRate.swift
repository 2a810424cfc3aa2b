import Model
import Recipes
import Support

extension GPTConfiguration {
    /// The typical peak rates of Adam and AdamW for the model's number of parameters.
    var typicalRates: ClosedRange<Double> {
        TypicalRates.range(parameters: Double(parameterCount))
    }

    /// The typical peak rates, such as "0.0003 to 0.001".
    var typicalRateText: String {
        let bounds = [typicalRates.lowerBound, typicalRates.upperBound]
        return bounds.map { Format.significant($0, digits: 2) }.joined(separator: " to ")
    }
}

extension TrainingPlan {
    /// Whether the guide to typical rates is about a recipe like this one.
    private var hasTypicalRates: Bool {
        let name = recipe.optimizer.name
        return name.isAdam && !name.hasTrustRatios && recipe.model.parametrization == .standard
    }

    /// The typical rates of the model's size; empty if there are none for the optimizer or the
    /// parametrization.
    var typicalRateText: String {
        hasTypicalRates
            ? "peak rates of \(recipe.model.typicalRateText) for models of this size with Adam or AdamW"
            : ""
    }

    /// A warning about a peak rate that is more than 10 times outside the typical range; nil
    /// otherwise.
    var typicalRateWarning: String? {
        let peak = rate.peakLearningRate
        guard hasTypicalRates, TypicalRates.isFar(peak, from: recipe.model.typicalRates) else {
            return nil
        }
        return
            "the peak rate \(Format.significant(peak, digits: 6)) is more than 10 times outside the "
            + "typical range of \(recipe.model.typicalRateText) for a model of this size; check "
            + "[optimizer] learning_rate and [scaling] base_batch"
    }
}
