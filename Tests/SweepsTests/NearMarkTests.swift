import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of runs of other trainers that narrowly miss the mark at which they are compared.
@Suite struct NearMarkTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The tokens after which the runs of a batch end.
    private typealias End = (batch: Int, tokens: Int)

    /// Returns the findings about runs of these batches.
    private func findings(
        _ ends: [End], hasSteps: Bool = false, start: Bool = false,
        _ change: (inout RunTableRequest) -> Void = { _ in }
    ) throws -> RunTableFindings {
        let planted = PlantedSweep(
            batches: ends.map(\.batch), rates: (0..<7).map { 2.5e-4 * Double(1 << $0) }, seeds: 2)
        var lines = ["batch,lr,seed,tokens,val_loss" + (hasSteps ? ",step" : "")]
        for point in planted.points() {
            let run = "\(point.batch),\(point.learningRate),\(point.seed)"
            let tokens = ends.first { $0.batch == point.batch }?.tokens ?? 0
            if start { lines.append("\(run),0,11" + (hasSteps ? ",0" : "")) }
            lines.append(
                "\(run),\(tokens),\(point.curve[0].validationLoss)"
                    + (hasSteps ? ",\(tokens / (point.batch * 64))" : ""))
        }
        var request = RunTableRequest()
        change(&request)
        let path = try folder.write("runs.csv", lines.joined(separator: "\n"))
        return try RunTable(reading: path).findings(request)
    }

    private func optima(_ findings: RunTableFindings) throws -> [BatchOptimum] {
        guard case .batches(let analysis) = findings.result else { return [] }
        #expect(analysis.designs.count == 1)
        return try #require(analysis.designs.first).optima
    }

    private static let near: [End] = [
        (batch: 8, tokens: 1_048_576), (24, 1_049_088), (48, 1_047_552),
    ]

    @Test("tokens within 1 % are compared as equal, and a note says so")
    func nearlyEqualTokens() throws {
        let equal = try optima(findings(Self.near.map { ($0.batch, 1_048_576) }))
        #expect(equal.allSatisfy { $0.optimum.best != nil })
        let near = try findings(Self.near)
        #expect(try optima(near) == equal)
        let note = "B = 8 and 24 miss the mark of equal tokens (1,047,552) by up to 0.15 %;"
        #expect(near.notes.contains { $0.contains(note) }, "\(near.notes)")
        #expect(!near.notes.contains { $0.contains("continue beyond") })
        let named = try findings(Self.near) { $0.tokens = [1_048_576] }
        #expect(try optima(named) == equal)
        #expect(named.notes.contains { $0.contains("B = 24 and 48 miss the mark") })
        // A row before the first step must not pull the last loss up.
        #expect(
            try optima(findings(Self.near, start: true)).map(\.optimum.best?.loss)
                == optima(findings(Self.near.map { ($0.batch, 1_048_576) }, start: true))
                .map(\.optimum.best?.loss))
    }

    @Test("more than 1 % and more than a step is no longer near")
    func distantTokens() throws {
        let near: [End] = [(batch: 8, tokens: 1_000_000), (24, 1_010_000), (48, 1_000_000)]
        #expect(try optima(findings(near)).count == 3)
        let far: [End] = [(batch: 8, tokens: 1_000_000), (24, 1_010_001), (48, 1_000_000)]
        expectFailure(.badData, "has no mark with losses of every batch") {
            _ = try findings(far)
        }
    }

    @Test("a step's tokens of the run's own batch are near, also if they exceed 1 %")
    func oneStep() throws {
        // Batch 48 has 3072 tokens in a step, and 10 steps; batch 8 has 512.
        let ends: [End] = [(batch: 8, tokens: 27_648), (16, 27_648), (48, 30_720)]
        let near = try findings(ends, hasSteps: true) { $0.tokens = [27_648] }
        #expect(try optima(near).allSatisfy { $0.optimum.best != nil })
        #expect(
            near.notes == [
                "Runs at B = 48 miss the mark of equal tokens (27,648) by up to 11 %; their last "
                    + "evaluations count as evaluations there."
            ])
        let far = try findings(ends, hasSteps: true) { $0.tokens = [27_136] }
        #expect(try optima(far).last?.optimum.best == nil)
    }

    @Test("one batch has its best rate, but neither rules nor laws")
    func oneBatch() throws {
        let findings = try findings([(batch: 8, tokens: 1_048_576)])
        let text = findings.text
        #expect(findings.notes.isEmpty)
        #expect(
            text.contains("only one batch has runs, but rules need at least two, so no rule is"))
        #expect(text.contains("Best rates") && text.contains("Sensitivity"))
        for absent in ["Regrets", "Laws", "exponent", "is not judged", "A rule scales"] {
            #expect(!text.contains(absent), "\(text)")
        }
        let page = try RunTable(reading: "\(folder.path)/runs.csv").report(RunTableRequest())
        let html = page.html(vega: "")
        #expect(html.contains("Best rates") && html.contains("The runs have only one batch, so"))
        #expect(!html.contains("Regrets in nats") && !html.contains("Verdicts"))
    }

    @Test("a power of the batch ratio is judged like the named rules")
    func powerRule() throws {
        let findings = try findings([(batch: 8, tokens: 1000), (16, 1000), (32, 1000)]) {
            $0.rules = ["sqrt", "power:0.5", "power:1", "linear"]
        }
        guard case .batches(let analysis) = findings.result else { return }
        let verdicts = analysis.designs[0].verdicts
        #expect(verdicts.map(\.rule) == ["sqrt", "power:0.5", "power:1.0", "linear"])
        #expect(verdicts[0].regrets.count == 3 && verdicts[0].regrets == verdicts[1].regrets)
        #expect(verdicts[2].regrets == verdicts[3].regrets)
        #expect(verdicts[0].regrets != verdicts[3].regrets)
    }
}
