import Statistics
import Support

extension Analysis {
    /// Everything as JSON, for other programs.
    package var json: JSONObject {
        [
            "base_batch": .integer(baseBatch), "tolerance": .number(tolerance),
            "level": .number(level), "designs": .array(designs.map { .object($0.json) }),
        ]
    }
}

extension DesignAnalysis {
    fileprivate var json: JSONObject {
        let kind: (String, Int) =
            switch design {
            case .equalTokens(let tokens): ("tokens", tokens)
            case .equalSteps(let steps): ("steps", steps)
            }
        return [
            "equal": .string(kind.0), "mark": .integer(kind.1), "verdict": .string(sentence),
            "best_rates": .array(optima.map { .object($0.json) }),
            "exponent": exponent.exponent.map { .object($0.json) } ?? .null,
            "exponent_sentence": .string(exponent.sentence),
            "rules": .array(verdicts.map { .object($0.json) }),
            "laws": .array(models.models.map { .object($0.json) }),
            "sensitivity": .array(
                sensitivities.map {
                    ["batch": .integer($0.batch), "nats": .object($0.value.json)]
                }),
            "targets": .array(targets.map { .object($0.json) }),
        ]
    }
}

extension Estimate {
    fileprivate var json: JSONObject {
        [
            "value": .number(value), "lower": interval.map { .number($0.lower) } ?? .null,
            "upper": interval.map { .number($0.upper) } ?? .null,
        ]
    }
}

extension BatchOptimum {
    fileprivate var json: JSONObject {
        var object: JSONObject = ["batch": .integer(batch)]
        switch optimum {
        case .found(let best):
            object["state"] = "found"
            object["rate"] = .number(best.rate)
            object["loss"] = .number(best.loss)
            object["lower"] = best.interval.map { .number($0.lower) } ?? .null
            object["upper"] = best.interval.map { .number($0.upper) } ?? .null
        case .unbracketed(let side): object["state"] = .string("\(side.rawValue) the grid")
        case .flat: object["state"] = "flat"
        case .coarse: object["state"] = "coarse"
        case .insufficient: object["state"] = "insufficient"
        }
        return object
    }
}

extension RuleVerdict {
    fileprivate var json: JSONObject {
        [
            "rule": .string(rule), "trained": .bool(isTrained),
            "holds_up_to": holdsUpTo.map { .integer($0) } ?? .null,
            "fails_from": failsFrom.map { .integer($0) } ?? .null,
            "sentence": .string(sentence), "regrets": .array(regrets.map { .object($0.json) }),
        ]
    }
}

extension Regret {
    fileprivate var json: JSONObject {
        var object: JSONObject = [
            "batch": .integer(batch), "rate": rate.map { .number($0) } ?? .null,
            "seeds": .integer(seedCount), "is_lower_bound": .bool(isLowerBound),
        ]
        switch outcome {
        case .measured(let estimate, _):
            object["state"] = "measured"
            object["nats"] = .object(estimate.json)
        case .diverged(let seeds):
            object["state"] = "diverged"
            object["diverged_seeds"] = .integer(seeds)
        case .belowDivergence: object["state"] = "below divergence"
        case .outsideGrid(let side): object["state"] = .string("\(side.rawValue) the grid")
        case .unavailable: object["state"] = "unavailable"
        }
        return object
    }
}

extension RateModel {
    fileprivate var json: JSONObject {
        [
            "law": .string(law.rawValue), "aicc": criterion.map { .number($0) } ?? .null,
            "delta": delta.map { .number($0) } ?? .null,
            "weight": weight.map { .number($0) } ?? .null,
            "parameters": .object(
                JSONObject(parameters.map { ($0.name, .object($0.estimate.json)) })),
        ]
    }
}

extension TargetLoss {
    fileprivate var json: JSONObject {
        [
            "loss": .number(loss), "fastest_batch": fastestBatch.map { .integer($0) } ?? .null,
            "critical_batch_sequences": criticalBatch.map { .object($0.sequences.json) } ?? .null,
            "critical_batch_tokens": criticalBatch.map { .object($0.tokens.json) } ?? .null,
            "costs": .array(
                costs.map { cost in
                    [
                        "batch": .integer(cost.batch), "rate": .number(cost.rate),
                        "steps": cost.steps.map { .object($0.json) } ?? .null,
                        "tokens": cost.tokens.map { .object($0.json) } ?? .null,
                        "seconds": cost.seconds.map { .object($0.json) } ?? .null,
                    ]
                }),
        ]
    }
}
