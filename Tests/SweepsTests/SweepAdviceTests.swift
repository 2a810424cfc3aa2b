import Foundation
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the next runs that the analysis of a sweep's folder names.
@Suite struct SweepAdviceTests {
    private static let specification = """
        recipe = "r.toml"
        batches = [8, 16, 32]
        learning_rates = [5e-4, 1e-3, 2e-3, 4e-3]
        seeds = [1, 2]
        rules = ["none", "sqrt", "linear"]
        tokens = []
        steps = [100]
        """

    /// A sweep's folder whose runs have made-up losses.
    private final class Bench {
        let folder: SweepFolder
        let schedule: SweepSchedule
        private let temporary: TemporaryFolder
        private var noise = SeededNoise(seed: 7)

        init(_ specification: String = SweepAdviceTests.specification) throws {
            temporary = try TemporaryFolder()
            folder = SweepFolder("\(temporary.path)/sweep")
            try folder.create(
                specification: specification, recipe: PlantedSweep.recipe, dataPath: "data",
                fingerprint: "planted", trainingTokens: 1_000_000)
            try folder.prepareForGroups()
            schedule = try SweepSchedule(folder.readSpecification())
        }

        func plan() throws -> SweepPlan { try SweepPlan(folder, folder.readSpecification()) }

        func ledger(planned: Bool = true) throws -> SweepLedger {
            SweepLedger(
                folder, schedule: schedule, session: "planted", plan: planned ? try plan() : nil,
                groups: 2)
        }

        /// Records a made-up result; the square root is right.
        func record(_ point: SweepPoint, in ledger: SweepLedger, lossNoise: Double) throws {
            let best = 1e-3 * (Double(point.batch) / 8).squareRoot()
            let distance = log(point.rate / best)
            try record(
                point, loss: 2.5 + 0.1 * distance * distance + lossNoise * noise.normal(),
                in: ledger)
        }

        /// Records a result; without a loss, the run diverged.
        func record(_ point: SweepPoint, loss: Double?, in ledger: SweepLedger) throws {
            let tokens = PlantedSweep.steps * point.batch * PlantedSweep.contextLength
            try ledger.record(
                PointResult(
                    point: point, learningRate: point.rate, diverged: loss == nil,
                    curve: [CurvePoint(step: 0, tokens: 0, validationLoss: 4)]
                        + (loss.map {
                            [
                                CurvePoint(
                                    step: PlantedSweep.steps, tokens: tokens, validationLoss: $0)
                            ]
                        } ?? [])), secondsPerStep: 0.1, seconds: 12)
        }

        func next() throws -> NextRuns? { try folder.findings().analysis.designs[0].nextRuns }
    }

    /// Returns the names of the points of all runs of a plan.
    private func names(_ runs: NextRuns) -> Set<String> {
        Set(
            runs.sets.flatMap { set in
                set.batches.flatMap { batch in
                    set.rates.flatMap { rate in
                        set.seeds.map { SweepPoint(batch: batch, rate: rate, seed: $0).name }
                    }
                }
            })
    }

    @Test("the next runs of a planned sweep are those that resuming it trains")
    func agreement() throws {
        let bench = try Bench()
        let ledger = try bench.ledger()
        var expected: Set<String>?
        var (count, timed) = (0, 0)
        while case .train(let point) = try ledger.next().0 {
            let ended = Set(try ledger.results().map(\.point.name))
            let open = Set(try bench.plan().points().map(\.name)).subtracting(ended)
            if let expected { #expect(expected == open, "after \(count) runs") }
            try bench.record(point, in: ledger, lossNoise: 0.01)
            count += 1
            try #require(count < 400)
            let next = try bench.next()
            expected = next.map(names)
            #expect(next?.parts.isEmpty != true, "none after \(count) runs")
            if let next {
                #expect(next.runCount == expected?.count)
                #expect(
                    next.sentence.contains("; to train them and the rounds that follow, use "),
                    "\(next.sentence)")
                #expect(next.sentence.contains(" --resume --budget 20m --out "))
                // Before the first run of a batch, the duration of its runs is unknown.
                let hasDuration = next.sentence.contains(" on this layout); ")
                #expect(hasDuration == (next.secondsOnLayout != nil), "\(next.sentence)")
                timed += hasDuration ? 1 : 0
            }
        }
        #expect(expected == nil && count > 20 && timed > 10, "\(count) runs, \(timed) timed")
        let findings = try bench.folder.findings()
        #expect(findings.caveat == "Every rule is settled after \(count) runs.")
        #expect(findings.analysis.designs[0].isSettled)
    }

    @Test("resuming a planned sweep says which runs it does not train")
    func untrained() throws {
        let bench = try Bench()
        let ledger = try bench.ledger()
        func clause(_ gridRuns: Int) throws -> String? {
            try bench.plan().untrained(ledger.results(), gridRuns: gridRuns)
        }
        #expect(try clause(0) == nil)
        let grid = try #require(try clause(12))
        #expect(
            grid.hasPrefix(
                "the plan chooses the rates and seeds, so it trains 12 further runs of the "),
            "\(grid)")
        var count = 0
        while case .train(let point) = try ledger.next().0 {
            try bench.record(point, in: ledger, lossNoise: 0.01)
            count += 1
            try #require(count < 400)
        }
        #expect(try clause(12) == "every rule is settled, so no further run is trained")
        let diverging = try Bench()
        let other = try diverging.ledger()
        while case .train(let point) = try other.next().0 {
            try diverging.record(point, loss: nil, in: other)
        }
        let none = try diverging.plan().untrained(other.results(), gridRuns: 12)
        #expect(none?.hasPrefix("no further run is expected to settle a rule, so none") == true)
    }

    @Test("the next runs of a planned sweep state probabilities")
    func probabilities() throws {
        let bench = try Bench()
        let ledger = try bench.ledger()
        var stated = 0
        while case .train(let point) = try ledger.next().0 {
            try bench.record(point, in: ledger, lossNoise: 0.03)
            guard try ledger.results().count < 150, let next = try bench.next(),
                !next.probabilities.isEmpty
            else { continue }
            stated += 1
            #expect(next.sentence.contains(" would decide "), "\(next.sentence)")
            #expect(next.sentence.contains(" with a probability of "))
            if stated > 5 { break }
        }
        #expect(stated > 0)
    }

    @Test("a planned sweep has no next runs only if its planner has none")
    func exhausted() throws {
        let bench = try Bench()
        let ledger = try bench.ledger()
        var sentences: [String] = []
        while sentences.count < 200, case .train(let point) = try ledger.next().0 {
            try bench.record(point, loss: nil, in: ledger)
            let next = try #require(try bench.next())
            let ended = Set(try ledger.results().map(\.point.name))
            let isOpen = try bench.plan().points().contains { !ended.contains($0.name) }
            let isExhausted = try !isOpen && bench.plan().next(ledger.results()) == .exhausted
            #expect(next.parts.isEmpty == isExhausted, "\(next.sentence)")
            let caveat = try #require(try bench.folder.findings().caveat)
            #expect(caveat.contains("no further run is expected") == isExhausted, "\(caveat)")
            sentences.append(next.sentence)
        }
        #expect(try #require(sentences.last).hasPrefix("Next runs: none, because no further run"))
        #expect(sentences.dropLast().allSatisfy { !$0.contains("none") })
    }

    @Test("a grid's next runs are its rest, and then those that a budget would plan")
    func grid() throws {
        let bench = try Bench()
        let ledger = try bench.ledger(planned: false)
        for point in bench.schedule.points([]).prefix(12) {
            try bench.record(point, in: ledger, lossNoise: 0.05)
        }
        let rest = try #require(try bench.next())
        let open = bench.schedule.openPoints(try ledger.results())
        #expect(names(rest) == Set(open.map(\.name)) && !open.isEmpty)
        #expect(
            rest.sentence.contains("; to train them, use `launch/mpirun -- lockstep sweep --resume")
        )
        while let point = bench.schedule.openPoints(try ledger.results()).first {
            try bench.record(point, in: ledger, lossNoise: 0.05)
        }
        let further = try #require(try bench.next())
        guard case .runs(let round) = try bench.plan().next(ledger.results()) else {
            Issue.record("the planner has no runs")
            return
        }
        #expect(names(further) == Set(round.map { SweepPoint($0).name }), "\(further.sentence)")
        #expect(further.sentence.contains("--resume --budget 20m"), "\(further.sentence)")
        let other = try bench.folder.findings(tolerance: 0.011).analysis.designs[0].nextRuns
        #expect(
            try #require(other).sentence.contains(
                "; with tolerance = 0.011 in the specification, to train them"))
    }

    @Test("the durations of runs are those on the latest layout")
    func layouts() throws {
        let bench = try Bench()
        let points = bench.schedule.points([])
        for (point, groups) in zip(points, [2, 4, 4]) {
            let ledger = SweepLedger(
                bench.folder, schedule: bench.schedule, session: "planted", groups: groups)
            try bench.record(point, in: ledger, lossNoise: 0)
        }
        let ledger = try bench.ledger()
        let trained = try ledger.trainedPoints(ledger.results())
        #expect(trained.map(\.seconds) == [nil, 12, 12])
        #expect(trained.allSatisfy { $0.secondsPerStep == 0.1 })
    }

    @Test("a sweep without a planner says how to add the runs to its specification")
    func withoutPlanner() throws {
        let bench = try Bench(
            Self.specification.replacing("\"linear\"]", with: "\"linear\", \"adam-sde\"]"))
        let ledger = try bench.ledger(planned: false)
        while let point = bench.schedule.openPoints(try ledger.results()).first {
            try bench.record(point, in: ledger, lossNoise: 0.05)
        }
        let runs = try #require(try bench.next())
        #expect(
            runs.sentence.contains(
                "add them to the specification and use `launch/mpirun -- lockstep sweep "
                    + "SPECIFICATION --resume --out "), "\(runs.sentence)")
    }
}
