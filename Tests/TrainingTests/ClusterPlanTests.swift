import Recipes
import Support
import TestSupport
import Testing
import Training

/// Tests of the plan of a cluster with a step that is not measured but made up.
@Suite struct ClusterPlanTests {
    private static let toml = """
        [model]
        layers = 4
        heads = 4
        width = 128
        context_length = 64
        vocabulary_size = 65
        [training]
        steps = 100
        global_batch = 64
        [reduction]
        lanes = 64
        """

    private static let network = """
        gigabits_per_second = 8
        latency_us = 100
        """

    /// Returns the JSON of a step of 0.1 seconds, in which each rank trains some lanes of one
    /// sequence.
    private static func measurement(
        _ overrides: [String] = [], ranks: Int = 4, lanesPerRank: Int = 1, deviation: Double = 0,
        hosts: [String] = ["a", "a"]
    ) throws -> String {
        let lanes = lanesPerRank * ranks
        let recipe = try Recipe(toml: toml, name: "test.toml").applying(
            ["training.global_batch=\(lanes)", "reduction.lanes=\(lanes)"] + overrides)
        let step: JSONObject = [
            "recipe": .string(recipe.tomlWithoutComments), "sequence_length": 64,
            "ranks": .integer(ranks), "threads_per_rank": 2, "step_seconds": 0.1,
            "mean_step_seconds": 0.2, "data_seconds": 0.01, "forward_seconds": 0.05,
            "backward_seconds": 0.1, "exposed_reduce_seconds": 0.01, "update_seconds": 0.02,
            "other_seconds": 0.01, "planned_gib": 0.1,
            "step_seconds_deviation": .number(deviation),
            "rank_times": .array(hosts.map { ["host": .string($0)] }),
        ]
        return step.text
    }

    private func plan(
        _ overrides: String..., measurement: String? = nil, mostRanks: Int = 4096,
        change: (inout ClusterPlan.Request) -> Void = { _ in }
    ) throws -> ClusterPlan {
        let step = try MeasuredStep(parsing: (measurement ?? Self.measurement()).utf8)
        var request = ClusterPlan.Request(
            recipe: try Recipe(toml: Self.toml, name: "test.toml").applying(overrides), step: step,
            network: try NetworkProfile(toml: Self.network, file: "n.toml", name: "n"),
            ranksPerHost: step.ranks, mostRanks: mostRanks, sequencesPerRank: 1, tokens: 1e6,
            criticalBatch: nil, executes: false)
        change(&request)
        return try ClusterPlan(request)
    }

    @Test("on the measured host a step takes as long as measured")
    func theMeasuredHostTakesAsLongAsMeasured() throws {
        let plan = try plan(mostRanks: 4)
        #expect(plan.rows.map(\.ranks) == [1, 2, 4])
        let host = try #require(plan.rows.last)
        #expect(abs(host.stepSeconds - 0.1) < 1e-9)
        #expect(abs(host.exposedSeconds - 0.005) < 1e-9)
        #expect(abs(host.tokensPerSecond - 2560) < 1e-6)
        #expect(abs(host.efficiency - 0.95) < 1e-9)
        #expect(abs(host.coreHours - 1e6 / 2560 / 3600 * 8) < 1e-9)
        #expect(abs(Double(host.rankBytes) / 0x1p30 - 0.1) < 0.001)
        #expect(plan.lastWorthwhile == nil && plan.criticalRanks == nil)
    }

    @Test("more hosts add the bytes of the exchange, its latency and stragglers")
    func moreHostsAddTheExchange() throws {
        let noisy = try plan(measurement: try Self.measurement(deviation: 0.001))
        let plan = try plan()
        let two = try #require(plan.rows.first { $0.hosts == 2 })
        // The tied head's share of the backward pass precedes all buckets, and only a sliver of the
        // 3.2 MB at 1 GB/s stays exposed.
        #expect(two.exposedSeconds > 0.005 + 3e-4 && two.exposedSeconds < 0.005 + 4e-3)
        #expect(plan.rows.last?.ranks == 4096)
        for (quiet, noisy) in zip(plan.rows, noisy.rows) {
            #expect(noisy.stragglerSeconds >= quiet.stragglerSeconds)
            #expect(quiet.ranks > 4 || noisy.stragglerSeconds == 0)
        }
        // The expected largest of 4096 normal numbers is 3.61, and that of 4 is 1.03.
        let last = try #require(noisy.rows.last)
        #expect(abs(last.stragglerSeconds - 0.00258) < 5e-5)
        let words = "The measured steps vary by"
        #expect(!noisy.text.contains(words))
        let varied = try self.plan(measurement: try Self.measurement(deviation: 0.02))
        #expect(varied.text.contains("\(words) 20 %, so waits"))
    }

    @Test("a batch that grows has rates by each rule, more tokens and a critical number of ranks")
    func aBatchThatGrows() throws {
        let plan = try plan {
            $0.criticalBatch = 300
            $0.sequencesPerRank = 3
        }
        #expect(plan.criticalRanks == 100)
        let row = try #require(plan.rows.first { $0.ranks == 256 })
        #expect(row.globalBatch == 768)
        #expect(abs(row.tokens / 1e6 - (1 + 768.0 / 300) / (1 + 64.0 / 300)) < 1e-9)
        let rates = Dictionary(uniqueKeysWithValues: zip(plan.rules, row.rates))
        let base = Recipe().optimizer.learningRate
        #expect(try abs(#require(rates[.linear] ?? nil) / base - 12) < 1e-9)
        #expect(try abs(#require(rates[.sqrt] ?? nil) / base - 12.0.squareRoot()) < 1e-9)
        // The betas of AdamW's rule end at 1 / (1 - beta1) times the batch.
        #expect(rates[.adamSDE] == .some(nil))
        #expect(plan.lastWorthwhile != nil)
        #expect(plan.text.contains("Beyond 100 ranks, the batch exceeds the critical batch"))
    }

    @Test("the documentation lists every field of the JSON")
    func documentedFields() throws {
        let page = try DocumentationPage("PlanACluster")
        let plan = try plan { $0.sequencesPerRank = nil }
        page.expectNames(plan.json)
        guard case .array(let rows)? = plan.json["rows"], case .object(let row)? = rows.first else {
            Issue.record("the plan has rows")
            return
        }
        page.expectNames(row)
    }

    @Test("a fixed batch ends at its lanes, with the reason")
    func aFixedBatchEndsAtItsLanes() throws {
        let plan = try plan { $0.sequencesPerRank = nil }
        #expect(plan.rows.map(\.ranks) == [1, 2, 4, 8, 16, 32, 64])
        #expect(plan.limit?.sentence.hasPrefix("128 ranks: are more than the 64 lanes") == true)
        #expect(plan.rows.allSatisfy { $0.globalBatch == 64 && $0.tokens == 1e6 })
    }

    @Test("the exchange that is executed agrees with the formula")
    func theExecutedExchangeAgrees() throws {
        let plan = try plan(mostRanks: 1024) { $0.executes = true }
        #expect(plan.rows.last?.ranks == 1024)
        for row in plan.rows {
            let executed = try #require(row.executedSeconds)
            // On many hosts, the messages of a small gradient also wait for one another.
            let most = row.ranks <= 64 ? 0.03 : 0.12
            #expect(abs(executed / row.stepSeconds - 1) < most, "\(row.ranks) ranks")
        }
    }

    @Test("a sharded optimizer divides the update and gathers the parameters")
    func aShardedOptimizer() throws {
        let sharded = "optimizer.sharded=true"
        let plans = [
            try plan(), try plan(sharded, measurement: try Self.measurement([sharded])),
        ]
        let rows = try plans.map { plan in try #require(plan.rows.first { $0.ranks == 64 }) }
        #expect(rows[1].exposedSeconds > rows[0].exposedSeconds)
        #expect(rows[1].rankBytes < rows[0].rankBytes)
    }

    @Test("a lone rank that was measured adds its lanes, which is not communication")
    func aLoneRankAddsItsLanes() throws {
        let plan = try plan(measurement: try Self.measurement(ranks: 1, lanesPerRank: 4)) {
            $0.sequencesPerRank = nil
        }
        let (lone, two) = (plan.rows[0], plan.rows[1])
        #expect(lone.exposedSeconds == 0 && lone.globalBatch == 64)
        // All but the update and the rest, 15 ms of 100, grow with the lanes from 4 to 64.
        #expect(abs(lone.stepSeconds - (0.015 + 16 * 0.085)) < 1e-9)
        #expect(abs(two.stepSeconds - two.exposedSeconds - (0.015 + 8 * 0.085)) < 1e-9)
    }

    @Test("an unset vocabulary is that of the measured model, and another recipe is refused")
    func theRecipeMustMatch() throws {
        let plan = try plan("model.vocabulary_size=0")
        #expect(plan.request.recipe.model.vocabularySize == 65)
        for (override, key) in [
            ("model.heads=2", "[model] heads = 4: differs from the measured step, which has 2"),
            ("training.precision=bf16", "[training] precision = \"fp32\": differs"),
            ("optimizer.name=sgd", "[optimizer] name = \"adamw\": differs"),
        ] {
            expectFailure(.badData, [key]) {
                _ = try self.plan(measurement: try Self.measurement([override]))
            }
        }
    }

    @Test(
        "a report that is not of a recipe's step on one host is refused",
        arguments: [
            ("\"ranks\":4", "\"ranks\":0", "measured step"),
            ("\"step_seconds\":0.1", "\"step_seconds\":-1", "measured step"),
            ("\"step_seconds\":0.1", "\"step_seconds\":1e-300", "measured step"),
            ("\"backward_seconds\":0.1", "\"backward_seconds\":0", "measured step"),
            ("\"update_seconds\":0.02", "\"update_seconds\":1e300", "measured step"),
            (
                "\"step_seconds_deviation\":0.0", "\"step_seconds_deviation\":1e300",
                "measured step"
            ),
            ("\"threads_per_rank\":2", "\"threads_per_rank\":9000000000000000000", "measured step"),
            (
                "\"sequence_length\":64", "\"sequence_length\":9000000000000000000",
                "measured step"
            ),
            ("[model]", "[models]", "recipe"), ("\"recipe\"", "\"size\"", "string"),
        ])
    func badReports(text: String, replacement: String, form: String) throws {
        let report = try Self.measurement().replacing(text, with: replacement)
        #expect {
            _ = try MeasuredStep(parsing: report.utf8)
        } throws: {
            guard case .mismatch(form, _)? = $0 as? JSONProblem else { return false }
            return true
        }
        let hosts = try Self.measurement(hosts: ["a", "b"])
        #expect(throws: JSONProblem.mismatch("step of a single host", path: "rank_times")) {
            _ = try MeasuredStep(parsing: hosts.utf8)
        }
    }

    @Test("the rates are those of the recipe's rule and of all rules without a further number")
    func rates() throws {
        let formula = "scaling.formula=lr * (B / B0)^0.7"
        let plan = try plan("scaling.rule=formula", formula)
        #expect(plan.rules == [.linear, .sqrt, .none, .adamSDE, .beta2HalfLife, .formula])
        let row = try #require(plan.rows.first { $0.globalBatch == 128 })
        let rate = try #require(row.rates.last ?? nil)
        #expect(abs(rate / Recipe().optimizer.learningRate - 1.6245) < 1e-4)
        let known = try self.plan { $0.criticalBatch = 100 }
        #expect(known.rules.contains(.noiseScale) && known.rules.contains(.surge))
        #expect(plan.text.contains("The critical batch is unknown"))
    }

    @Test(
        "a bad profile is refused by key",
        arguments: [
            ("latency_us = 1", "n.toml: has no gigabits_per_second"),
            ("gigabits_per_second = 0\nlatency_us = 1", "n.toml: gigabits_per_second = 0: must be"),
            ("gigabits_per_second = 1\nlatency_us = -1", "n.toml: latency_us = -1: must be"),
            ("gigabits_per_second 1", "n.toml: is not valid TOML"),
            ("gigabit = 1", "n.toml: has the unknown key \"gigabit\""),
            ("latency_us = \"a\"\ngigabits_per_second = 1", "n.toml: latency_us = \"a\": must be"),
        ])
    func badProfiles(toml: String, start: String) {
        expectFailure(.configuration, [start]) {
            _ = try NetworkProfile(toml: toml, file: "n.toml", name: "n")
        }
    }

    @Test("hosts on several switches share the links between them")
    func switches() throws {
        let toml = Self.network + "\nhosts_per_switch = 2\noversubscription = 4"
        let network = try NetworkProfile(toml: toml, file: "n.toml", name: "n")
        let slow = try plan { $0.network = network }
        let fast = try plan()
        for (slow, fast) in zip(slow.rows, fast.rows) {
            #expect(
                slow.hosts > 2
                    ? slow.exposedSeconds > fast.exposedSeconds : slow.hosts == fast.hosts)
        }
    }
}
