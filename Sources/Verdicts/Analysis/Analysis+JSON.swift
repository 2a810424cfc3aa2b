import Glibc
import Statistics
import Support

extension Analysis {
    /// The version of the JSON fields. It changes if a field changes its meaning or is removed.
    package static let schema = 1

    /// Returns the findings as JSON, for other programs.
    ///
    /// The page `AnalysisFile` of the documentation describes every field.
    ///
    /// - Parameter notes: sentences about the limits of the runs.
    package func json(notes: [String] = []) -> JSONObject {
        [
            "schema": .integer(Self.schema), "base_batch": .integer(baseBatch),
            "tolerance": .number(tolerance), "level": .number(level), "notes": .strings(notes),
            "designs": .objects(designs.map(\.json)),
        ]
    }
}

extension JSONValue {
    static func strings(_ values: [String]) -> JSONValue {
        .array(values.map(JSONValue.string))
    }

    static func integers(_ values: [Int]) -> JSONValue {
        .array(values.map(JSONValue.integer))
    }

    static func objects(_ values: [JSONObject]) -> JSONValue {
        .array(values.map(JSONValue.object))
    }

    init(_ value: Double?) { self = value.map(JSONValue.number) ?? .null }
    init(_ value: Int?) { self = value.map(JSONValue.integer) ?? .null }
    init(_ value: String?) { self = value.map(JSONValue.string) ?? .null }
    init(_ value: JSONObject?) { self = value.map(JSONValue.object) ?? .null }
}

extension DesignAnalysis {
    fileprivate var json: JSONObject {
        [
            "equal": .string(design.unit), "mark": .integer(design.mark),
            "verdict": .string(sentence), "best_guess": .string(bestGuess),
            "best_rates": .objects(optima.map(\.json)), "valley": JSONValue(valley?.json),
            "exponent": JSONValue(exponent.json),
            "exponent_sentence": .string(exponent.sentence),
            "next_runs": JSONValue(nextRuns?.json),
            "rules": .objects((verdicts + fittedVerdicts).map(\.json)),
            "trained_elsewhere": JSONValue(trainedElsewhere),
            "laws": .objects(models.models.map(\.json)), "law_sentence": JSONValue(lawSentence),
            "sensitivity": .objects(sensitivities.map(\.json)),
            "targets": .objects(targets.map(\.json)),
        ]
    }
}

extension NextRuns {
    fileprivate var json: JSONObject { json(sentence: sentence) }

    func json(sentence: String) -> JSONObject {
        [
            "sentence": .string(sentence), "runs": .integer(runCount),
            "seconds": JSONValue(seconds), "seconds_on_layout": JSONValue(secondsOnLayout),
            "parts": .objects(sets.map(\.json)),
            "probabilities": .objects(
                probabilities.map {
                    ["rule": .string($0.rule), "probability": .number($0.probability)]
                }),
        ]
    }
}

extension RunSet {
    fileprivate var json: JSONObject {
        [
            "batches": .integers(batches), "rates": .array(rates.map(JSONValue.number)),
            "seeds": .strings(seeds.map(String.init)), "runs": .integer(count),
        ]
    }
}

extension Estimate {
    fileprivate var json: JSONObject {
        [
            "value": .number(value), "lower": JSONValue(interval?.lower),
            "upper": JSONValue(interval?.upper),
        ]
    }
}

extension BatchOptimum {
    var json: JSONObject {
        let best = optimum.best
        let state =
            switch optimum {
            case .found: "found"
            case .unbracketed(let side): "\(side.rawValue) the grid"
            case .flat: "flat"
            case .misfit: "misfit"
            case .insufficient: "insufficient"
            }
        return [
            "batch": .integer(batch), "state": .string(state), "rate": JSONValue(best?.rate),
            "loss": JSONValue(best?.loss), "lower": JSONValue(best?.interval?.lower),
            "upper": JSONValue(best?.interval?.upper),
            "standard_error": JSONValue(best?.error?.value),
            "degrees_of_freedom": JSONValue(best?.error?.degreesOfFreedom),
            "resolution": JSONValue(best?.resolution), "curvature": JSONValue(curvature),
            "noise": JSONValue(noise), "reason": JSONValue(reason.isEmpty ? nil : reason),
            "to_decide": JSONValue(decidingRuns?.phrase),
            "seeds": .objects(
                seeds.map {
                    [
                        "seed": .string("\($0.seed)"),
                        "rate": JSONValue($0.logRate.map { exp($0) }),
                        "loss": JSONValue($0.leastLoss),
                    ]
                }),
            "losses": .objects(
                typical.entries.map {
                    ["rate": .number(exp($0.logRate)), "loss": .number($0.loss)]
                }),
        ]
    }
}

extension ValleySummary {
    var json: JSONObject {
        [
            "curvature": .number(curvature), "asymmetry": .number(asymmetry),
            "noise": .number(noise), "seed_standard_deviation": JSONValue(seedDeviation),
            "degrees_of_freedom": JSONValue(seedDegreesOfFreedom), "misfit": .number(misfit),
            "shift": .number(shift),
        ]
    }
}

extension RateExponent {
    /// The exponent, or nil if there is none.
    fileprivate var json: JSONObject? {
        guard var object = exponent?.json else { return nil }
        object["batches"] = .integers(batches)
        object["seeds"] = .objects(
            seeds.map { ["seed": .string("\($0.seed)"), "exponent": .number($0.exponent)] })
        object["fit_probability"] = JSONValue(fitProbability)
        object["break"] = JSONValue(
            bend.map {
                [
                    "batch": .integer($0.batch), "below": .number($0.below),
                    "above": .number($0.above),
                ]
            })
        object["possible_exponents"] = .array(possibleExponents.map(JSONValue.number))
        object["is_conclusive"] = .bool(isConclusive)
        return object
    }
}

extension RuleVerdict {
    fileprivate var json: JSONObject {
        let conclusion =
            switch conclusion {
            case .holds: "holds"
            case .fails: "fails"
            case .inconclusive: "undecided"
            }
        return [
            "rule": .string(rule), "trained": .bool(isTrained),
            "constant_fitted": .bool(basis == .fittedConstant), "conclusion": .string(conclusion),
            "holds_up_to": JSONValue(holdsUpTo), "fails_from": JSONValue(failsFrom),
            "holds_beyond_failure": .integers(holdsBeyondFailure), "sentence": .string(sentence),
            "undecided": .objects(undecided.map(\.json)),
            "undecided_beyond_failure": .objects(undecidedBeyondFailure.map(\.json)),
            "regrets": .objects(regrets.map(\.json)),
        ]
    }
}

extension RuleVerdict.Undecided {
    fileprivate var json: JSONObject {
        [
            "batch": .integer(batch), "reason": .string(reason),
            "to_decide": JSONValue(decidingRuns?.phrase),
        ]
    }
}

extension Regret {
    fileprivate var json: JSONObject {
        var object: JSONObject = [
            "batch": .integer(batch), "rate": JSONValue(rate), "seeds": .integer(seedCount),
            "is_lower_bound": .bool(isLowerBound), "least": JSONValue(lower),
            "greatest": JSONValue(upper),
        ]
        switch outcome {
        case .measured(let estimate):
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
            "law": .string(law.rawValue), "aicc": JSONValue(criterion),
            "delta": JSONValue(delta), "weight": JSONValue(weight),
            "residual_sum_of_squares": .number(residualSumOfSquares),
            "scale_outside": JSONValue(noiseScaleOutside?.rawValue),
            "parameters": .object(
                JSONObject(parameters.map { ($0.name, .object($0.estimate.json)) })),
        ]
    }
}

extension Sensitivity {
    fileprivate var json: JSONObject {
        [
            "batch": .integer(batch), "nats": .object(value.json),
            "lowest_rate": .number(lowestRate), "highest_rate": .number(highestRate),
        ]
    }
}

extension TargetLoss {
    fileprivate var json: JSONObject {
        [
            "loss": .number(loss), "fastest_batch": JSONValue(fastestBatch),
            "sentences": .strings(sentences),
            "critical_batch_sequences": JSONValue(criticalBatch?.sequences.json),
            "critical_batch_tokens": JSONValue(criticalBatch?.tokens.json),
            "critical_batch_outside": JSONValue(criticalBatch?.outside?.rawValue),
            "least_steps": JSONValue(criticalBatch?.leastSteps.json),
            "least_tokens": JSONValue(criticalBatch?.leastTokens.json),
            "costs": .objects(
                costs.map { cost in
                    [
                        "batch": .integer(cost.batch), "rate": .number(cost.rate),
                        "is_upper_bound": .bool(cost.isUpperBound),
                        "steps": JSONValue(cost.steps?.json),
                        "tokens": JSONValue(cost.tokens?.json),
                        "seconds": JSONValue(cost.seconds?.json),
                        "noise_scale": JSONValue(cost.noiseScale),
                    ]
                }),
        ]
    }
}
