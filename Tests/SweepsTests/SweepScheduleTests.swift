import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

extension SweepSchedule {
    /// The points of the specified grid, before it has grown.
    var firstPoints: [SweepPoint] { points([]) }
}

/// Tests of the points that a sweep requests, given made-up results.
@Suite struct SweepScheduleTests {
    private static let recipe =
        "[model]\ncontext_length = 8\n[schedule]\nname = \"constant\"\n"

    private static func text(_ more: String, batches: [Int] = [4, 8]) -> String {
        """
        recipe = "r.toml"
        batches = \(batches)
        learning_rates = [1e-3, 2e-3, 4e-3]
        seeds = [1, 2]
        tokens = [3200]
        \(more)
        """
    }

    private static func specification(
        _ more: String = "", batches: [Int] = [4, 8]
    ) throws -> SweepSpecification {
        try SweepSpecification(toml: text(more, batches: batches), name: "sweep.toml") { _ in recipe
        }
    }

    /// Returns a result whose loss rises with the rate's relative distance from `best`.
    private static func result(
        _ point: SweepPoint, best: Double, diverged: Bool = false
    ) -> PointResult {
        let distance = abs(point.rate / best - 1)
        return PointResult(
            point: point, learningRate: point.rate, diverged: diverged,
            curve: [
                CurvePoint(step: 0, tokens: 0, validationLoss: 4),
                CurvePoint(
                    step: 3200 / (8 * point.batch), tokens: 3200, validationLoss: 2 + distance),
            ].dropLast(diverged ? 1 : 0))
    }

    /// Makes up results for all requested points until no more are requested.
    private static func complete(
        _ schedule: SweepSchedule, best: (Int) -> Double,
        diverges: (SweepPoint) -> Bool = { _ in false }
    ) -> [PointResult] {
        var results: [PointResult] = []
        while true {
            let names = Set(results.map(\.point.name))
            let open = schedule.points(results).filter { !names.contains($0.name) }
            if open.isEmpty { return results }
            results += open.map { result($0, best: best($0.batch), diverged: diverges($0)) }
        }
    }

    @Test("a sweep starts with the points of the grid")
    func startsWithTheGridLongestFirst() throws {
        let points = try SweepSchedule(try Self.specification()).firstPoints
        #expect(points.count == 12)
        #expect(Set(points.map(\.name)).count == 12)
        #expect(points.allSatisfy { $0.rule == TrainedPoint.grid })
    }

    @Test("the grid moves with the batch")
    func theGridMovesWithTheBatch() throws {
        let specification = try Self.specification("grid_exponent = 1")
        #expect(specification.rates(ofBatch: 8) == [2e-3, 4e-3, 8e-3])
        #expect(specification.rates(ofBatch: 4) == [1e-3, 2e-3, 4e-3])
    }

    /// The grid grows upward at batch 8 and downward at batch 4, only as far as the specification
    /// allows.
    @Test("the grid grows if the best rate is at its edge")
    func gridGrowsIfTheBestIsAtTheEdge() throws {
        let schedule = try SweepSchedule(try Self.specification("extend = 2"))
        let results = Self.complete(schedule) { $0 == 8 ? 8e-3 : 1e-9 }
        let rates = { (batch: Int) in
            Set(results.filter { $0.point.batch == batch }.map(\.point.rate)).sorted()
        }
        #expect(rates(8).count == 5, "8e-3 and its neighbor above")
        #expect(abs((rates(8).last ?? 0) - 1.6e-2) < 1e-9)
        #expect(rates(4).count == 5, "two more below, and then no more")
        #expect(abs((rates(4).first ?? 0) - 2.5e-4) < 1e-9)
        #expect(results.count == 20)
    }

    /// Each new rate is halfway between the best one and the one that diverges, up to the allowed
    /// number.
    @Test("the grid is refined near a rate that diverges")
    func gridIsRefinedNearADivergence() throws {
        let schedule = try SweepSchedule(try Self.specification("extend = 2"))
        let results = Self.complete(schedule) { _ in
            1e-2
        } diverges: {
            $0.rate > 2.5e-3
        }
        let rates = Set(results.filter { $0.point.batch == 8 }.map(\.point.rate)).sorted()
        #expect(rates.count == 5)
        #expect(rates[2] == 2.37842e-3 && rates[3] == 2.82843e-3, "2e-3 * 2^(1/4) and 2^(1/2)")
        #expect(results.count == 20)
    }

    /// The best rate of one comparison is below the grid, which has grown as far as it may; that of
    /// the other is above.
    @Test("the grid grows for every comparison")
    func gridGrowsForEveryComparison() throws {
        let specification = try Self.specification("extend = 1\nsteps = [200]")
        let schedule = try SweepSchedule(specification)
        var results: [PointResult] = []
        while true {
            let names = Set(results.map(\.point.name))
            let open = schedule.points(results).filter { !names.contains($0.name) }
            if open.isEmpty { break }
            results += open.map { point in
                PointResult(
                    point: point, learningRate: point.rate, diverged: false,
                    curve: [
                        CurvePoint(step: 0, tokens: 0, validationLoss: 4),
                        CurvePoint(
                            step: 3200 / (8 * point.batch), tokens: 3200,
                            validationLoss: 2 + point.rate),
                        CurvePoint(
                            step: 200, tokens: 1600 * point.batch, validationLoss: 2 - point.rate),
                    ])
            }
        }
        let rates = Set(results.filter { $0.point.batch == 4 }.map(\.point.rate))
        #expect(rates.count == 5)
        #expect(rates.contains { $0 < 6e-4 } && rates.contains { $0 > 7e-3 })
    }

    /// Creates the folder of a sweep that is ready for its groups.
    private static func sweep(
        _ more: String, in folder: TemporaryFolder
    ) throws -> SweepFolder {
        let sweep = SweepFolder("\(folder.path)/sweep")
        try sweep.create(
            specification: text(more), recipe: recipe, dataPath: "data", fingerprint: "planted",
            trainingTokens: 1_000_000)
        try sweep.prepareForGroups()
        return sweep
    }

    @Test("a grid that may not grow further toward its best rate is named")
    func stoppedGrid() throws {
        let folder = try TemporaryFolder()
        let sweep = try Self.sweep("extend = 2", in: folder)
        let specification = try sweep.readSpecification()
        let schedule = try SweepSchedule(specification)
        // The best rate of batch 4 is within the grown grid, and that of batch 8 is far above it.
        let results = Self.complete(schedule) { $0 == 4 ? 5e-3 : 1 }
        let ledger = SweepLedger(sweep, schedule: schedule, session: "planted")
        for result in results { try ledger.record(result, secondsPerStep: 0) }
        #expect(
            try sweep.findings().caveat
                == "The best rate lies outside the grid at B = 8, and extend = 2 allows no more "
                + "rates; to continue, resume the sweep with a larger extend.")
    }

    @Test("a problem in a file of a sweep names that file")
    func namesDamagedFiles() throws {
        let folder = try TemporaryFolder()
        let sweep = try Self.sweep("", in: folder)
        let schedule = try SweepSchedule(try sweep.readSpecification())
        let ledger = SweepLedger(sweep, schedule: schedule, session: "planted")
        let result = Self.result(schedule.firstPoints[0], best: 1)
        for _ in 1...2 { try ledger.record(result, secondsPerStep: 0) }
        let repetition = try #require(throws: Failure.self) { try sweep.findings() }
        #expect(repetition.sentence.hasPrefix("\(sweep.ledger): the run of rule "))
        #expect(repetition.sentence.contains("is in the sweep twice"))
        try AtomicFile.write(Self.recipe + "[model]\nheads = 1.5\n", to: sweep.recipe)
        let damage = try #require(throws: Failure.self) { try sweep.readSpecification() }
        #expect(damage.sentence.hasPrefix(sweep.recipe))
    }

    @Test("the grid grows only once all seeds have results")
    func gridGrowsOnceAllSeedsHaveResults() throws {
        let schedule = try SweepSchedule(try Self.specification())
        let first = schedule.firstPoints
        let oneSeed = first.filter { $0.seed == 1 }.map { Self.result($0, best: 1) }
        #expect(schedule.points(oneSeed) == first)
    }

    /// The runs of such a rule start from the base batch's best rate once it is known.
    @Test("rules that change more than the rate are trained")
    func rulesBeyondTheRateAreTrained() throws {
        let schedule = try SweepSchedule(
            try Self.specification("rules = [\"linear\", \"adam-sde\"]"))
        #expect(schedule.firstPoints.allSatisfy { $0.rule == TrainedPoint.grid })
        let results = Self.complete(schedule) { _ in 2e-3 }
        let trained = results.filter { $0.point.rule != TrainedPoint.grid }
        #expect(Set(trained.map(\.point.rule)) == ["adam-sde"])
        #expect(trained.count == 4)
        #expect(Set(trained.map(\.point.rate)).count == 1)
        #expect(trained.allSatisfy { $0.point.rate > 1e-3 && $0.point.rate < 4e-3 })
    }

    /// With beta1 = 0.9 the rule has no betas at ten times the base batch, so only smaller batches
    /// are judged.
    @Test("a rule is trained only at batches where it has values")
    func ruleIsTrainedWhereItHasValues() throws {
        let specification = try Self.specification(
            "rules = [\"linear\", \"adam-sde\"]", batches: [4, 8, 40])
        try specification.validate()
        let results = Self.complete(try SweepSchedule(specification)) { _ in 2e-3 }
        let trained = results.filter { $0.point.rule == "adam-sde" }
        #expect(Set(trained.map(\.point.batch)) == [4, 8])
        #expect(trained.count == 4)
    }

    @Test("the order of results does not matter")
    func orderOfResultsDoesNotMatter() throws {
        let schedule = try SweepSchedule(
            try Self.specification("rules = [\"adam-sde\"]"))
        let results = Self.complete(schedule) { $0 == 8 ? 8e-3 : 2e-3 }
        #expect(schedule.points(results) == schedule.points(results.reversed()))
    }

    /// An unset comparison takes its mark from the other one if no run has to be longer for it.
    @Test("both comparisons are made even if only one is set")
    func bothComparisonsAreMade() throws {
        // 3200 tokens are 50 steps of batch 8.
        let unset = try Self.specification()
        #expect(unset.tokens == [3200] && unset.steps == [50])
        #expect(unset.designs == [.equalTokens(3200), .equalSteps(50)])
        #expect(try Self.specification("steps = []").steps.isEmpty)
        func bySteps(_ steps: Int, schedule: String = "constant") throws -> SweepSpecification {
            try SweepSpecification(
                toml: """
                    recipe = "r.toml"
                    batches = [4, 8]
                    learning_rates = [1e-3, 2e-3, 4e-3]
                    seeds = [1, 2]
                    steps = [\(steps)]
                    """, name: "sweep.toml"
            ) { _ in "[model]\ncontext_length = 8\n[schedule]\nname = \"\(schedule)\"\n" }
        }
        #expect(try bySteps(100).tokens == [3200])
        #expect(try bySteps(101).tokens.isEmpty, "101 steps of 4 are no whole steps of 8")
        // Such a rate has decayed only after the last step, which fits only one comparison.
        #expect(try bySteps(1000, schedule: "cosine").tokens.isEmpty)
        #expect(throws: Failure.self) { _ = try bySteps(.max) }
    }

    @Test("evaluations include the comparisons and the start")
    func evaluationsIncludeTheComparisonsAndTheStart() throws {
        let specification = try Self.specification("steps = [30]\nevaluations = 5")
        // 3200 tokens are 100 steps of batch 4, and 50 of batch 8.
        for (batch, last) in [(4, 100), (8, 50)] {
            let marks = specification.marks(ofBatch: batch, contextLength: 8)
            #expect(marks.first == 0 && marks.last == last)
            #expect(marks.contains(30))
            #expect(marks.count >= 6)
            #expect(zip(marks, marks.dropFirst()).allSatisfy(<))
        }
    }
}
