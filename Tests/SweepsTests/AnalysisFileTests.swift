import Foundation
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the analysis as JSON.
@Suite struct AnalysisFileTests {
    /// Returns the keys of all objects in a value.
    private static func keys(_ value: JSONValue) -> Set<String> {
        switch value {
        case .array(let values): values.reduce(into: []) { $0.formUnion(keys($1)) }
        case .object(let object):
            object.members.reduce(into: []) { $0.formUnion(keys($1.value).union([$1.key])) }
        default: []
        }
    }

    /// Returns analyses that have all kinds of findings.
    private func analyses() throws -> [Analysis] {
        var diverging = PlantedSweep(batches: [8, 16, 32, 64, 128, 256])
        diverging.diverges = { rate, _ in rate > 0.02 }
        var bent = PlantedSweep(
            batches: [8, 16, 32, 64, 128, 256], lossNoise: 1e-4, rateNoise: 0.01)
        bent.bestRate = { 1e-3 * min(8, Double($0) / 8) }
        let trained = TrainedPoint.planted(rule: "sqrt", batch: 16, rate: 1e-3, seed: 0, loss: 3)
        let curves = diverging.points().filter { !$0.diverged }.map { point in
            let last = point.curve[0]
            let early = CurvePoint(step: 1, tokens: last.tokens / 100, validationLoss: 3.9)
            return TrainedPoint(
                batch: point.batch, learningRate: point.learningRate, seed: point.seed,
                initialLoss: 4, curve: [early, last], secondsPerStep: 0.1)
        }
        return [
            try Analysis(diverging.points() + [trained]), try Analysis(bent.points()),
            try Analysis(curves),
        ]
    }

    @Test("the page describes every field, and no other")
    func fieldsAreDescribed() throws {
        let path = "\(Launch.root)/Sources/lockstep/Lockstep.docc/AnalysisFile.md"
        let page = try String(contentsOfFile: path, encoding: .utf8)
        let described = Set(page.matches(of: /`([a-zA-Z_]+)`/).map { String($0.1) })
        // Only a sweep's folder has warnings.
        var keys = try analyses().reduce(into: Set(["warnings"])) {
            $0.formUnion(Self.keys(.object($1.json())))
        }
        keys.formUnion(Self.keys(.object(try SizeSweepTests.findings().json(notes: []))))
        #expect(keys.subtracting(described).isEmpty, "\(keys.subtracting(described).sorted())")
        let fields = Set(page.matches(of: /(?m)^\| `(\w+)` \|/).map { String($0.1) })
        #expect(fields.subtracting(keys).isEmpty, "\(fields.subtracting(keys).sorted())")
    }

    /// Returns the value at a path of keys and places in lists.
    private static func value(_ path: String, in object: JSONObject) -> JSONValue? {
        path.split(separator: ".").reduce(JSONValue.object(object)) { value, key in
            switch value {
            case .object(let object)?: object[String(key)]
            case .array(let values)?: Int(key).map { values[$0] }
            default: nil
            }
        }
    }

    @Test("the file has the numbers of the analysis")
    func numbers() throws {
        let analysis = try Analysis(
            PlantedSweep().points(), settings: AnalysisSettings(designs: [PlantedSweep.design]))
        let json = analysis.json(notes: ["a note"])
        let design = analysis.designs[0]
        let optimum = design.optima[1]
        let best = try #require(optimum.optimum.best)
        let valley = try #require(design.valley)
        #expect(abs(valley.curvature - 0.1) < 0.01)
        #expect(json["schema"] == 1 && json["notes"] == .array(["a note"]))
        let numbers: [(String, Double?)] = [
            ("best_rates.1.rate", best.rate), ("best_rates.1.lower", best.interval?.lower),
            ("best_rates.1.standard_error", best.error?.value),
            ("best_rates.1.noise", optimum.noise),
            ("best_rates.1.seeds.2.loss", optimum.seeds[2].leastLoss),
            ("best_rates.1.seeds.2.rate", optimum.seeds[2].logRate.map { exp($0) }),
            ("valley.curvature", valley.curvature), ("valley.misfit", valley.misfit),
            ("valley.seed_standard_deviation", valley.seedDeviation),
            ("exponent.value", design.exponent.exponent?.value),
            ("rules.0.regrets.1.greatest", design.verdicts[0].regrets[1].upper),
        ]
        for (path, number) in numbers {
            #expect(Self.value("designs.0." + path, in: json)?.number == number, "\(path)")
        }
    }

    @Test("a model of a transfer has its seeds' best rates, its curve and the errors")
    func modelsOfTransfers() throws {
        let findings = try SizeSweepTests.findings()
        let json = findings.json(notes: [])
        let analysis = findings.transfers[0].analysis
        let optimum = analysis.optima[1]
        let best = try #require(optimum.optimum.best)
        let valley = try #require(analysis.valley)
        #expect(abs(valley.curvature - 0.1) < 0.01)
        let numbers: [(String, Double?)] = [
            ("models.1.best_rate", best.rate), ("models.1.curvature", optimum.curvature),
            ("models.1.noise", optimum.noise),
            ("models.1.standard_error", best.error?.value),
            ("models.1.seeds.2.loss", optimum.seeds[2].leastLoss),
            ("models.1.seeds.2.rate", optimum.seeds[2].logRate.map { exp($0) }),
            ("valley.misfit", valley.misfit), ("valley.noise", valley.noise),
        ]
        for (path, number) in numbers {
            #expect(number != nil, "\(path)")
            #expect(
                Self.value("transfers.0." + path, in: json)?.number == number, "\(path)")
        }
        let guess = Self.value("transfers.0.best_guess", in: json)
        #expect(guess == .string(analysis.bestGuess))
    }
}
