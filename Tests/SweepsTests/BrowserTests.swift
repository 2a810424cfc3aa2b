import Foundation
import Recipes
import Report
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the page of a finished sweep with planted optima in a browser.
@Suite struct BrowserTests {
    private static let specification = """
        recipe = "recipe.toml"
        batches = [8, 16, 32, 64, 128]
        learning_rates = [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3, 1.28e-2, 2.56e-2]
        seeds = [0, 1, 2, 3]
        steps = [100]
        evaluations = 1
        extend = 0
        rules = ["sqrt", "linear"]
        """

    /// Records made-up results for every run of a sweep and returns the sweep's page.
    private func page(_ folder: TemporaryFolder) throws -> Page {
        let sweep = SweepFolder("\(folder.path)/sweep")
        try sweep.create(
            specification: Self.specification, recipe: PlantedSweep.recipe, dataPath: "data",
            fingerprint: "planted", trainingTokens: 1_000_000)
        try sweep.prepareForGroups()
        var planted = PlantedSweep()
        planted.rates = Array(planted.rates.prefix(9))
        let ledger = SweepLedger(
            sweep, schedule: try SweepSchedule(sweep.readSpecification()), session: "planted")
        for point in planted.points() {
            let start = CurvePoint(step: 0, tokens: 0, validationLoss: point.initialLoss)
            let run = SweepPoint(
                rule: point.rule, batch: point.batch, rate: point.learningRate, seed: point.seed)
            try ledger.record(
                PointResult(
                    point: run, learningRate: point.learningRate, diverged: point.diverged,
                    curve: [start] + point.curve), secondsPerStep: point.secondsPerStep)
        }
        return try sweep.report()
    }

    @Test(
        "every chart is drawn and can be saved, and every table fits",
        arguments: [(1300, false), (400, false), (400, true)])
    func sweep(width: Int, dark: Bool) throws {
        let page = try page(TemporaryFolder())
        let captions = page.sections.flatMap(\.items).compactMap {
            if case .table(let table) = $0 { table.caption } else { nil }
        }
        #expect(captions.contains { $0.hasPrefix("Laws of the best rate") }, "\(captions)")
        #expect(captions.contains("Regrets in nats"), "\(captions)")
        let html = page.html(vega: try VegaLibrary.script())
        let visit = try Browser.visit(html, width: width, dark: dark)
        visit.expectWholePage()
        let map = try #require(
            visit.saved.first { $0.name == "verdicts-by-equal-steps-100.csv" }?.content)
        #expect(map.hasPrefix("rule,\"batch, sequences\",verdict,"), "\(map)")
        #expect(map.contains("linear,128,fails,"), "\(map)")
    }

    /// The studies have intervals without upper ends, rates that diverged, and several models.
    @Test(
        "a page about the runs of a study fits a laptop and a phone",
        arguments: [("adamw", 256), ("sgd", 256), ("width", nil)] as [(String, Int?)], [1300, 400])
    func study(_ study: (name: String, steps: Int?), width: Int) throws {
        let path = "\(Launch.root)/launch/recipes/studies/king-james-\(study.name).csv"
        var request = RunTableRequest()
        if let steps = study.steps { (request.tokens, request.steps) = ([1_048_576], [steps]) }
        let page = try RunTable(reading: path).report(request)
        let visit = try Browser.visit(page.html(vega: VegaLibrary.script()), width: width)
        visit.expectWholePage()
    }
}
