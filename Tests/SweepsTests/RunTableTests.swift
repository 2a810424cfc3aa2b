import Foundation
import Support
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of a table of runs of any trainer.
@Suite struct RunTableTests {
    /// Returns the analysis of a file's text.
    private func findings(
        _ text: String, contextLength: Int? = nil,
        _ change: (inout RunTableRequest) -> Void = { _ in }
    ) throws -> RunTableFindings {
        var request = RunTableRequest()
        change(&request)
        return try RunTable(reading: written(text), contextLength: contextLength)
            .findings(request)
    }

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func written(_ text: String) throws -> String { try folder.write("runs.csv", text) }

    /// Runs of one evaluation.
    private static var planted: PlantedSweep {
        PlantedSweep(
            batches: [8, 16, 32], rates: (0..<7).map { 2.5e-4 * Double(1 << $0) }, seeds: 2)
    }

    /// Returns a row for each planted run.
    private static func rows(_ fields: (TrainedPoint) -> [Any]) -> [String] {
        planted.points().map { fields($0).map { "\($0)" }.joined(separator: ",") }
    }

    private static let small = """
        batch,lr,seed,step,tokens,val_loss
        8,1e-3,1,10,80,3.2
        8,2e-3,1,10,80,3.1
        8,4e-3,1,10,80,3.3
        """

    @Test("seeds that hardly ever decide are not asked for")
    func hopelessSeeds() throws {
        let path = "\(Launch.root)/launch/recipes/studies/king-james-width.csv"
        var request = RunTableRequest()
        request.tolerance = 0.02
        let text = try RunTable(reading: path).findings(request).text
        #expect(text.contains("The transfer is undecided at width 64"))
        #expect(text.contains("  Next runs: rates "))
        #expect(!text.contains("with a probability of 0.0"))
    }

    @Test("a verdict states that one seed diverged at an undecided batch, even beyond a failure")
    func divergedSeed() throws {
        let sweep = PlantedSweep(
            seeds: 3, bestRate: { _ in 1e-3 }, rateNoise: 0.03,
            diverges: { rate, batch in batch == 64 && rate > 3e-3 }, divergingSeeds: [1])
        let text = try findings(sweep.points().csv) { $0.steps = [PlantedSweep.steps] }.text
        let verdict =
            "linear fails at B = 16, 32 and 128 and is undecided at B = 64 (1 of 3 seeds diverged)."
        #expect(text.contains(verdict), "\(text)")
    }

    @Test("a sweep's own table gives the analysis of its folder")
    func ownTable() throws {
        let sweep = SweepFolder("\(folder.path)/sweep")
        try sweep.create(
            specification: """
                recipe = "recipe.toml"
                batches = [8, 16, 32]
                learning_rates = [2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2]
                seeds = [0, 1]
                steps = [100]
                rules = ["sqrt", "linear"]
                tolerance = 0.02
                """,
            recipe: PlantedSweep.recipe, dataPath: "data", fingerprint: "planted",
            trainingTokens: 1_000_000)
        try sweep.prepareForGroups()
        var planted = Self.planted
        planted.diverges = { rate, batch in rate > 4e-4 * Double(batch) }
        let ledger = SweepLedger(
            sweep, schedule: try SweepSchedule(sweep.readSpecification()), session: "planted")
        let trained = planted.points().filter { $0.learningRate == 1e-3 }.map {
            TrainedPoint.planted(
                rule: "formula min(lr, 2)", batch: $0.batch, rate: $0.learningRate, seed: $0.seed,
                loss: $0.diverged ? 3 : $0.curve[0].validationLoss)
        }
        for point in planted.points() + trained {
            let half = CurvePoint(
                step: 50, tokens: 50 * point.batch * PlantedSweep.contextLength, validationLoss: 3.5
            )
            try ledger.record(
                PointResult(
                    point: SweepPoint(
                        rule: point.rule, batch: point.batch, rate: point.learningRate,
                        seed: point.seed), learningRate: point.learningRate,
                    diverged: point.diverged,
                    curve: [CurvePoint(step: 0, tokens: 0, validationLoss: 4)]
                        + (point.seed == 0 || !point.diverged ? [half] : []) + point.curve),
                secondsPerStep: 0)
        }
        let own = try sweep.findings()
        try sweep.write(own)
        // Only a sweep knows the command that trains its next runs.
        var ofSweep = own.analysis
        ofSweep.replaceNextRuns { _ in nil }
        let table = try RunTable(reading: sweep.table)
        var request = RunTableRequest()
        (request.tolerance, request.rules) = (0.02, ["sqrt", "linear"])
        (request.tokens, request.steps) = ([51200], [100])
        #expect(own.specification.designs == [.equalTokens(51200), .equalSteps(100)])
        let findings = try table.findings(request)
        var ofTable = findings.analysis
        ofTable.replaceNextRuns { _ in nil }
        #expect(ofTable == ofSweep)
        #expect(own.analysis.designs[0].verdicts.contains { $0.rule == "formula min(lr, 2)" })
        #expect(!own.analysis.designs[0].targets.isEmpty)
        #expect(
            ofTable.json(notes: []).text == ofSweep.json(notes: []).text)
    }

    @Test("the names and the order of columns, quotes, line ends and blank lines do not matter")
    func foreignHeaders() throws {
        let plain = Self.rows {
            [
                $0.batch, $0.learningRate, $0.seed, 100, $0.curve[0].tokens,
                $0.curve[0].validationLoss,
            ]
        }
        let expected = try findings(
            (["batch,rate,seed,step,tokens,loss"] + plain).joined(separator: "\n"))
        #expect(expected.analysis.designs.map(\.design) == [.equalSteps(100)])
        let foreign = Self.rows {
            [
                "\"a \"\"note\"\", with\r\na line\"", $0.curve[0].validationLoss, "\"100\"",
                " \($0.learningRate) ", $0.batch, $0.curve[0].tokens, 9, $0.seed,
            ]
        }
        let header = "Note,Val Loss,STEPS, Learning-Rate ,\"Batch size\",tokens,train_loss,Seed"
        let text =
            "\u{FEFF}" + ([header, "", ",,,,,,,"] + foreign).joined(separator: "\r\n") + "\r\n"
        #expect(try findings(text).analysis == expected.analysis)
        let reversed =
            "batch,rate,seed,step,tokens,loss\r" + plain.reversed().joined(separator: "\r")
        #expect(
            try findings(reversed).analysis.designs[0].verdicts.map(\.sentence)
                == expected.analysis.designs[0].verdicts.map(\.sentence))
    }

    @Test("runs of one row are compared where all batches have a loss")
    func oneRowPerRun() throws {
        let rows = Self.rows {
            [$0.batch, $0.learningRate, $0.seed, 6400 / $0.batch, $0.curve[0].validationLoss]
        }
        let text = (["batch,lr,seed,steps,val_loss"] + rows).joined(separator: "\n")
        // Batches have no number of steps in common, and the file has no tokens.
        expectFailure(.badData, "has no mark with losses of every batch") { _ = try findings(text) }
        let derived = try findings(text, contextLength: 64)
        #expect(derived.analysis.designs.map(\.design) == [.equalTokens(6400 * 64)])
        #expect(derived.notes.count == 1)
        #expect(derived.text.hasPrefix("Batches are not compared by equal steps, because"))
        #expect(try derived.analysis.designs[0].verdict("sqrt").regrets.count == 3)
        #expect(derived.analysis.designs[0].targets.isEmpty)
    }

    @Test("steps and tokens follow from each other and the context length")
    func contextLength() throws {
        let steps = Self.rows {
            [$0.batch, $0.learningRate, $0.seed, 100, 64, $0.curve[0].validationLoss]
        }
        let tokens = Self.rows {
            [$0.batch, $0.learningRate, $0.seed, $0.curve[0].tokens, $0.curve[0].validationLoss]
        }
        let first = try findings(
            (["batch,lr,seed,step,context_length,loss"] + steps).joined(separator: "\n"))
        let text = (["batch,lr,seed,tokens,loss"] + tokens).joined(separator: "\n")
        let second = try findings(text, contextLength: 64)
        #expect(first.analysis == second.analysis && first.analysis.designs.count == 1)
        #expect(first.analysis.designs[0].design == .equalSteps(100))
    }

    @Test("a loss that is not a number marks a run that diverged")
    func divergedRuns() throws {
        for loss in ["", "nan", "inf", "-Infinity", "9.5,true", "9.5,1"] {
            let header = "batch,lr,seed,step,tokens,val_loss,diverged\n"
            let rows = [1e-3, 2e-3, 4e-3].map { "8,\($0),1,10,80,\(3 + $0),false" }
            let last = "8,8e-3,1,10,80,\(loss.contains(",") ? loss : loss + ",")"
            let table = try RunTable(
                reading: written(header + (rows + [last]).joined(separator: "\n")))
            #expect(table.points.map(\.diverged) == [false, false, false, true])
            #expect(table.points[3].loss(at: .equalSteps(10)) == .infinity, "\(loss)")
        }
    }

    @Test("an initial loss is read from the row of step 0, and may be unknown")
    func initialLoss() throws {
        let start = Self.small + "\n8,1e-3,1,0,0,5"
        let points = try RunTable(reading: written(start)).points
        #expect(points.map(\.initialLoss) == [5, .infinity, .infinity])
        #expect(points[0].curve.count == 1)
        // Without it, no loss before the first evaluation is known.
        #expect(points[0].loss(at: .equalSteps(5)) == 4.1)
        #expect(points[1].loss(at: .equalSteps(5)) == nil)
        let diverged = try findings(Self.small + "\n8,8e-3,1,10,80,").analysis.designs[0]
        #expect(diverged.sensitivities.isEmpty)
        #expect(try findings(Self.small).analysis.designs[0].sensitivities.count == 1)
    }

    @Test("a formula and the surge rule are judged by their rates")
    func scalingRules() throws {
        let rules = ["formula:lr * k^0.5", "sqrt", "surge:16"]
        let verdicts = try findings(Self.planted.points().csv) { $0.rules = rules }.analysis
            .designs[0].verdicts
        #expect(verdicts.map(\.rule) == rules)
        for (formula, squareRoot) in zip(verdicts[0].regrets, verdicts[1].regrets) {
            let (rate, other) = (try #require(formula.rate), try #require(squareRoot.rate))
            #expect(abs(rate / other - 1) < 1e-12)
        }
        // 2 / (sqrt(Bn/B) + sqrt(B/Bn)) is the same at half and at twice the noise scale.
        let surge = verdicts[2].regrets.compactMap(\.rate)
        #expect(surge.count == 3 && abs(surge[2] / surge[0] - 1) < 1e-12 && surge[1] > surge[0])
    }

    @Test("rules and the base batch are chosen")
    func choices() throws {
        let text =
            Self.small + "\n"
            + Self.small.split(separator: "\n").dropFirst().map { "16" + $0.dropFirst() }
            .joined(separator: "\n").replacing(",80,", with: ",160,")
        let analysis = try findings(text) {
            $0.baseBatch = 16
            $0.rules = ["linear"]
            $0.steps = [10]
        }.analysis
        #expect(analysis.baseBatch == 16 && analysis.designs.count == 1)
        #expect(analysis.designs[0].verdicts.map(\.rule) == ["linear"])
        let cases: [(String, (inout RunTableRequest) -> Void)] = [
            ("--base-batch 9: is not a batch", { $0.baseBatch = 9 }),
            ("did you mean \"linear\"?", { $0.rules = ["liner"] }),
            (
                "must be one of none, sqrt, linear, power:EXPONENT, formula:FORMULA, "
                    + "surge:NOISE_SCALE", { $0.rules = [""] }
            ),
            ("--rules \"formula:lr * q\": formula = ", { $0.rules = ["formula:lr * q"] }),
            (
                "--rules \"formula:2*lr\": formula = \"2*lr\": gives 0.002 at the base batch with "
                    + "lr = 0.001; write one that gives lr where B = B0",
                { $0.rules = ["formula:2*lr"] }
            ),
            ("--rules \"formula:-lr\": formula = ", { $0.rules = ["formula:-lr"] }),
            (
                "--rules \"formula:lr * (9 - B)\": formula = ",
                { $0.rules = ["formula:lr * (9 - B)"] }
            ),
            ("--rules \"surge:0\": noise_scale = 0", { $0.rules = ["surge:0"] }),
            ("\"surge:fast\": has no number as the noise scale", { $0.rules = ["surge:fast"] }),
            ("\"power\": needs an exponent from -4 to 4", { $0.rules = ["power"] }),
            ("write one such as power:0.7", { $0.rules = ["power:fast"] }),
            ("needs an exponent", { $0.rules = ["power:5"] }),
            ("needs an exponent", { $0.rules = ["power:0x1"] }),
            ("must be distinct", { $0.rules = ["power:0.7", "power:0.70"] }),
            ("must be distinct", { $0.rules = ["sqrt", "sqrt"] }),
            ("--steps 11: is not a mark", { $0.steps = [11] }),
            ("has a loss; use one of 10.", { $0.steps = [11] }),
            ("has a loss; use one of 80, 160.", { $0.tokens = [-1] }),
            ("--tokens -1: is not a mark", { $0.tokens = [-1] }),
            ("tolerance", { $0.tolerance = .nan }),
        ]
        for (phrase, change) in cases {
            expectFailure(.usage, phrase) { _ = try findings(text, change) }
        }
        expectFailure(.usage, "has steps and tokens") {
            _ = try findings(text, contextLength: 8)
        }
        let steps = "batch,lr,step,loss\n8,1,1,3"
        expectFailure(.usage, "must be from 1") { _ = try findings(steps, contextLength: 0) }
        expectFailure(.usage, "--tokens 8: ", "has no tokens") {
            _ = try findings(steps) { $0.tokens = [8] }
        }
    }

    /// The texts after the file's name.
    private static let mistakes: [(text: String, says: String)] = [
        ("", "is empty; give a file with a header"),
        ("\n\n , \n", "is empty"),
        ("batch,lr,step,loss\n", "has a header but no row of data"),
        ("lr,step,loss\n", "no column batch, batch_size, global_batch, global_batch_size or bs;"),
        ("batch,step,loss\n", "no column learning_rate, lr, rate or max_lr;"),
        ("\nbatch,lr,step\n", "line 2: the header has no column validation_loss, val_loss"),
        (
            "batch,lr,loss\n",
            "no column step, steps, iter, iteration, iterations, "
                + "global_step, _step, tokens, tokens_seen or total_tokens;"
        ),
        ("batch lr step loss\n", "with commas, semicolons or tabs between columns"),
        ("batch;lr;step;loss\n", "has a header but no row of data"),
        (
            "batch,lr,LR,step,loss\n",
            "line 1: lr and LR could each be the column"
        ),
        ("batch,lr,step,loss\n8,1,1", "line 2: has 3 fields, but the header has 4"),
        ("batch,lr,step,loss\n8,1,1,3,4", "line 2: has 5 fields"),
        ("batch,lr,step,loss\nx,1,1,3", "line 2: batch = \"x\": is not a number;"),
        ("batch,lr,step,loss\n,1,1,3", "line 2: batch: is empty"),
        ("batch,lr,step,loss\n0,1,1,3", "batch = \"0\": must be a whole number from 1"),
        ("batch,lr,step,loss\n1.5,1,1,3", "batch = \"1.5\": must be a whole number"),
        ("batch,lr,step,loss\n1e300,1,1,3", "must be a whole number from 1 to 1000000000"),
        ("batch,Rate,step,loss\n8,0,1,3", "Rate = \"0\": must be a number from 1e-30 to 1e30"),
        ("batch,lr,step,loss\n8,-1,1,3", "must be a number from 1e-30 to 1e30"),
        ("batch,lr,step,loss\n8,nan,1,3", "must be a number from 1e-30 to 1e30"),
        ("batch,lr,step,loss\n8,,1,3", "lr: is empty"),
        ("batch,lr,step,loss\n8,1,-1,3", "step = \"-1\": must be a whole number from 0"),
        ("batch,lr,step,loss\n8,1,,3", "line 2: step: is empty"),
        ("batch,lr,tokens,loss\n8,1,,3", "line 2: tokens: is empty"),
        ("batch,lr,step,loss\n8,1,1,three", "loss = \"three\": is not a number"),
        ("batch,lr,step,loss\n0x10,1,1,3", "batch = \"0x10\": is not a number"),
        ("batch,lr,step,loss\n8,1e300,1,3", "lr = \"1e300\": must be a number from 1e-30 to 1e30"),
        ("batch,lr,step,loss\n8,1,1,3\n8,2,1,-0.5", "line 3: loss = \"-0.5\": is negative, but"),
        ("batch,lr,step,loss\n8,1,1,1e12", "must be from 0 to 1e9 nats; write nan"),
        ("batch,lr,seed,step,loss\n8,1,-1,1,3", "seed = \"-1\": must be a whole number, 0 or more"),
        ("batch,lr,diverged,step,loss\n8,1,yes,1,3", "diverged = \"yes\": must be true or false"),
        ("batch,lr,seconds_per_step,step,loss\n8,1,-1,1,3", "must be from 0 to 1e9"),
        (
            "batch,lr,step,loss\n8,1,1,3\n\n8,1,1,3",
            "line 4: evaluates a run after 1 step, but line 2"
        ),
        ("batch,lr,tokens,loss\n8,1,5,3\n8,1,5,3", "line 3: evaluates a run after 5 tokens"),
        (
            "batch,lr,step,tokens,loss\n8,1,2,9,3\n8,1,1,9,3",
            "line 2: has more steps of a run, but line 3 has as many tokens"
        ),
        (
            "rule,batch,lr,step,loss\n,8,1,1,3\nsqrt,8,1,1,3\nsqrt,8,2,2,3",
            "line 4: gives the rate 2.0 to a run of sqrt, but line 3 has 1.0"
        ),
        ("rule,batch,lr,step,loss\nsqrt,8,1,1,3", "has no run of the rule grid"),
        (
            "n_layer,batch,lr,step,loss\n1,8,1,1,3\n2,8,1,1,3",
            "has runs of several models, but no column parameters; add it"
        ),
        ("parameters,batch,lr,step,loss\n,8,1,1,3", "line 2: parameters: is empty"),
        (
            "width,parameters,batch,lr,step,loss\n8,100,8,1,1,3\n16,100,8,1,1,3",
            "has two models with 100 parameters and the same parametrization"
        ),
        (
            "batch,lr,step,tokens,loss\n8,1,1,,3\n8,2,,8,3",
            "line 3: has no steps, and other rows have no tokens"
        ),
        (
            "batch,lr,tokens,context_length,loss\n8,1,100,8,3",
            "tokens = \"100\": is not a multiple of 64"
        ),
        (
            "batch,lr,step,context_length,loss\n8e8,1,1e9,1e9,3", "would be more than 1e15 tokens"
        ),
        ("batch,lr,step,loss\n8,1,1,nan\n", "every run diverged"),
        ("batch,lr,step,loss\n8,1,1,\"3", "line 2: a quoted field is not closed"),
        ("batch,lr,step,loss\n8,1,1,\"3\"4", "line 2: a quoted field does not end with its quote"),
    ]

    @Test("a mistake is named with its line and a remedy", arguments: mistakes.indices)
    func mistakesAreNamed(index: Int) throws {
        let mistake = Self.mistakes[index]
        expectFailure(.badData, "runs.csv: ", mistake.says) { _ = try findings(mistake.text) }
    }

    @Test("a file that is missing is refused")
    func missingFile() throws {
        expectFailure(.missingInput, "none.csv") { _ = try RunTable(reading: "none.csv") }
    }

    @Test("damaged text is analyzed or refused, but never ends the process")
    func damagedText() throws {
        let rows = Self.rows {
            [
                $0.batch, $0.learningRate, $0.seed, 100, $0.curve[0].tokens,
                $0.curve[0].validationLoss,
            ]
        }
        let text = Array((["batch,rate,seed,step,tokens,loss"] + rows).joined(separator: "\n").utf8)
        let bytes = Array("0123456789-.,e\"\n\r naif".utf8)
        var random = SeededNoise(seed: 1)
        func below(_ bound: Int) -> Int { min(bound - 1, Int(random.uniform() * Double(bound))) }
        for _ in 0..<100 {
            var damaged = text
            for _ in 0...below(6) {
                let place = 34 + below(damaged.count - 34)
                switch below(3) {
                case 0: damaged[place] = bytes[below(bytes.count)]
                case 1: damaged.remove(at: place)
                default: damaged.insert(bytes[below(bytes.count)], at: place)
                }
            }
            let path = try folder.write("damaged.csv", damaged)
            do throws(Failure) {
                let findings = try RunTable(reading: path).findings(RunTableRequest())
                #expect(!findings.text.isEmpty && !findings.json.text.isEmpty)
            } catch {
                #expect([.badData, .usage].contains(error.code), "\(error)")
            }
        }
    }
}

extension RunTableFindings {
    /// The analysis of runs of one model.
    fileprivate var analysis: Analysis {
        guard case .batches(let analysis) = result else { fatalError("there are several models") }
        return analysis
    }
}
