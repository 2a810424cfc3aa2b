import Foundation
import Recipes
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of specifications with several sizes of the model, and of their points.
@Suite struct SizeSweepTests {
    private static func specification(
        _ more: String = "widths = [16, 32]\nparametrizations = [\"standard\", \"mup\"]",
        marks: String = "tokens = [3200]", model: String = "", tail: String = ""
    ) throws -> SweepSpecification {
        try SweepSpecification(
            toml: """
                recipe = "r.toml"
                batches = [4]
                learning_rates = [1e-3, 2e-3, 4e-3]
                seeds = [1, 2]
                \(marks)
                \(more)
                \(tail)
                """, name: "sweep.toml"
        ) { _ in
            """
            [model]
            layers = 2
            heads = 2
            width = 16
            context_length = 8
            \(model)
            [schedule]
            name = "constant"
            """
        }
    }

    /// Returns the findings of planted runs, whose best rate is proportional to N^-0.5 with the
    /// standard parametrization and the same for every size with muP.
    static func findings() throws -> SizeFindings {
        let specification = try Self.specification(
            "widths = [16, 32, 64]\nparametrizations = [\"standard\", \"mup\"]",
            marks: "tokens = [1600, 3200]")
        var noise = SeededNoise(seed: 7)
        let members = try specification.members.map { member in
            let isStandard = member.variant?.parametrization == .standard
            let best = 1e-3 * pow(Double(member.parameterCount) / 100_096, isStandard ? -0.5 : 0)
            let points = (0..<9).flatMap { place in
                (UInt64(1)...4).map { seed in
                    let rate = 2.5e-4 * pow(2, Double(place))
                    let distance = log(rate / best)
                    let loss = 2.5 + 0.1 * distance * distance + 0.004 * noise.normal()
                    return TrainedPoint(
                        batch: 4, learningRate: rate, seed: seed, initialLoss: 4,
                        curve: [
                            CurvePoint(step: 50, tokens: 1600, validationLoss: loss + 0.2),
                            CurvePoint(step: 100, tokens: 3200, validationLoss: loss),
                        ], secondsPerStep: 0)
                }
            }
            return (member: member, points: points)
        }
        return specification.sizeFindings(members, analyses: [])
    }

    @Test("findings have a verdict for each parametrization and comparison, and a joint fit")
    func findingsOfPlantedRuns() throws {
        let findings = try Self.findings()
        #expect(findings.transfers.count == 4)
        for transfer in findings.transfers {
            let isStandard = transfer.parametrization.name == "standard"
            #expect(
                transfer.sentence.contains(
                    isStandard ? "fails from width 32" : "transfers up to width 64"),
                "\(transfer.sentence)")
            #expect(findings.text.contains(transfer.sentence))
        }
        #expect(findings.fits.map(\.parametrization.name) == ["standard", "mup"])
        for (parametrization, fit) in findings.fits {
            #expect(fit.exponents.map(\.variable) == [.parameters, .tokens])
            let exponent = fit.exponents[0].exponent.value
            #expect(abs(exponent - (parametrization.name == "standard" ? -0.5 : 0)) < 0.05)
        }
    }

    @Test("every size is trained in every parametrization, the largest first")
    func pointsOfAllModels() throws {
        let specification = try Self.specification()
        let schedule = try SweepSchedule(specification)
        let points = schedule.firstPoints
        // The largest size is the base, where muP is standard.
        #expect(points.count == 3 * 3 * 2)
        #expect(Set(points.map(\.name)).count == points.count)
        #expect(points.first?.variant?.size.width == 32)
        #expect(points.last?.variant?.size.width == 16)
        for point in points {
            let model = try specification.recipe(for: point).model
            let variant = try #require(point.variant)
            #expect(model.size == variant.size && model.headWidth == 8)
            #expect(model.parametrization == variant.parametrization)
            #expect(model.baseWidth == (variant.parametrization == .mup ? 32 : nil))
        }
        #expect(specification.designs == [.equalTokens(3200)], "equal steps would be the same")
    }

    @Test("each model's grid grows by itself")
    func eachGridGrowsByItself() throws {
        let schedule = try SweepSchedule(try Self.specification())
        let small = SweepVariant(.mup, ModelSize(width: 16, layers: 2))
        // The loss of one model falls toward its lowest rate.
        let results = schedule.firstPoints.map { point in
            let distance = point.variant == small ? point.rate : abs(point.rate - 2e-3)
            return PointResult(
                point: point, learningRate: point.rate, diverged: false,
                curve: [
                    CurvePoint(step: 0, tokens: 0, validationLoss: 4),
                    CurvePoint(step: 100, tokens: 3200, validationLoss: 2 + 100 * distance),
                ])
        }
        let open = schedule.openPoints(results)
        #expect(open.map(\.variant) == [small, small])
        #expect(open.map(\.rate) == [5e-4, 5e-4])
    }

    @Test("tokens per parameter give each model its own tokens, in whole steps")
    func tokensPerParameter() throws {
        let specification = try Self.specification(
            "widths = [16, 32]", marks: "tokens_per_parameter = [1, 4]")
        let members = try specification.members
        #expect(members.count == 2)
        for member in members {
            let exact = [1, 4].map { Double($0 * member.parameterCount) }
            #expect(member.specification.tokens.count == 2)
            for (tokens, exact) in zip(member.specification.tokens, exact) {
                #expect(tokens % 32 == 0 && abs(Double(tokens) - exact) <= 16)
            }
        }
        // 12 C^2 + 13 C in a block, and 2 C in the final norm.
        #expect(members.map(\.parameterCount) == [6_592, 25_472])
    }

    @Test("parametrizations that are equal share their runs")
    func equalModelsAreTrainedOnce() throws {
        let keys = "parametrizations = [\"standard\", \"mup\", \"completep\"]"
        let widths = try Self.specification("widths = [16, 32]\n\(keys)").members
        #expect(
            widths.compactMap(\.variant?.name) == [
                "standard-w16-l2", "standard-w32-l2", "mup-w16-l2",
            ])
        let layers = try Self.specification("layers = [1, 2]\n\(keys)").members
        #expect(
            layers.compactMap(\.variant?.name) == [
                "standard-w16-l1", "standard-w16-l2", "completep-w16-l1",
            ])
    }

    @Test("a recipe's own base is kept")
    func baseOfTheRecipeIsKept() throws {
        let specification = try Self.specification(
            "widths = [16, 32]", model: "parametrization = \"mup\"\nbase_width = 8")
        #expect(specification.parametrizations == [.mup])
        #expect(specification.baseSize.width == 8)
    }

    @Test(
        "impossible sizes are refused",
        arguments: [
            ("widths = [16, 20]", "", "must be a multiple of 8"),
            ("widths = [32, 16]", "", "ascending"),
            ("widths = [16, 32]\nparametrizations = [\"mu\"]", "", "did you mean \"mup\"?"),
            ("widths = [16, 32]\nparametrizations = []", "", "distinct names"),
            ("parametrizations = [\"standard\", \"mup\"]", "", "needs several sizes"),
            ("tokens_per_parameter = [20]", "", "cannot be combined with tokens"),
            ("layers = [0, 2]", "", "1 or more"),
            ("widths = [16, 32]\nrules = [\"adam-sde\"]", "", "needs runs of its own"),
            (
                "widths = [16, 32]\nparametrizations = [\"mup\"]",
                "[set]\n\"optimizer.name\" = \"sgd\"", "AdamW's update"
            ),
        ])
    func impossibleSizes(keys: String, tail: String, words: String) throws {
        let failure = #expect(throws: Failure.self) {
            try Self.specification(keys, tail: tail).validate()
        }
        #expect(failure?.sentence.contains(words) == true, "\(failure?.sentence ?? "")")
    }
}
