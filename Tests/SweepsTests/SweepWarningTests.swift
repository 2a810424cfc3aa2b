import Foundation
import Support
import Sweeps
import TestSupport
import Testing

/// Tests of the warnings about confounds, which follow from a specification alone.
@Suite struct SweepWarningTests {
    /// Returns the warnings of a sweep over batches of 4, 8 and 16 sequences of 8 tokens.
    ///
    /// - Parameters:
    ///   - comparisons: the lines of the specification with tokens and steps.
    ///   - schedule: the lines of the recipe's [schedule].
    ///   - optimizer: the lines of the recipe's [optimizer].
    private static func warnings(
        _ comparisons: String, schedule: String, optimizer: String = "",
        trainingTokens: Int? = nil
    ) throws -> [SweepWarning] {
        try SweepSpecification(
            toml: """
                recipe = "r.toml"
                batches = [4, 8, 16]
                learning_rates = [1e-3, 2e-3, 4e-3]
                seeds = [1, 2]
                \(comparisons)
                """, name: "sweep.toml"
        ) { _ in
            "[model]\ncontext_length = 8\n[schedule]\n\(schedule)\n[optimizer]\n\(optimizer)\n"
        }.warnings(trainingTokens: trainingTokens)
    }

    private static let constant = "name = \"constant\"\n"

    @Test("a sweep without confounds has no warnings")
    func noConfounds() throws {
        let byTokens = "tokens = [128000]\nsteps = []"
        for name in ["constant", "cosine", "linear", "wsd"] {
            let warnings = try Self.warnings(
                byTokens, schedule: "name = \"\(name)\"", trainingTokens: 1000)
            #expect(warnings.isEmpty, "\(name): \(warnings)")
        }
    }

    /// 8192 tokens are 256, 128 and 64 steps.
    @Test("a warmup that is longer than the run is reported")
    func unreachedPeak() throws {
        let comparisons = "tokens = [8192, 81920]\nsteps = []\nevaluations = 1"
        let warning = try #require(
            try Self.warnings(comparisons, schedule: Self.constant + "warmup_steps = 160").first)
        #expect(warning.confound == .unreachedPeak && warning.batches == [8, 16])
        #expect(
            warning.sentence
                == "By equal tokens (8,192), the rate does not reach its peak at B = 8 (79.4 % of it "
                + "in 128 steps) and 16 (39.4 % of it in 64 steps), so best rates come out too high "
                + "there; let the schedule reach its peak earlier, or compare after more tokens.")
    }

    /// Such a schedule has no warmup_steps.
    @Test("a sequence of schedules that stays below the peak is reported")
    func sequenceBelowThePeak() throws {
        let parts = """
            name = "sequence"
            parts = [{ name = "constant", steps = 10, start_factor = 0.2 },
                     { name = "constant", start_factor = PEAK }]
            """
        let comparisons = "tokens = [128000]\nsteps = []"
        func confounds(_ peak: String) throws -> [SweepWarning.Confound] {
            try Self.warnings(comparisons, schedule: parts.replacing("PEAK", with: peak))
                .map(\.confound)
        }
        #expect(try confounds("0.985") == [.unreachedPeak])
        #expect(try confounds("0.995").isEmpty)
        #expect(try confounds("1.0").isEmpty)
    }

    @Test("a warmup in steps is unequal by equal tokens")
    func unequalWarmup() throws {
        let byTokens = "tokens = [32000]\nsteps = []\nevaluations = 1"
        let warnings = try Self.warnings(byTokens, schedule: Self.constant + "warmup_steps = 50")
        #expect(warnings.map(\.confound) == [.unequalWarmup])
        #expect(warnings.map(\.batches) == [[8, 16]])
        #expect(
            warnings.first?.sentence
                == "By equal tokens (32,000), the warmup takes 5 % of the steps at B = 4 but 20 % at B "
                + "= 16, so a rule may fail because of the warmup; leave schedule.warmup_steps "
                + "unset, so that the warmup takes 2 % of every run.")
        // At most 2 % of the steps.
        #expect(
            try Self.warnings(byTokens, schedule: Self.constant + "warmup_steps = 5").isEmpty)
    }

    /// 2 % of 26 and 13 steps are 1 step and none.
    @Test("a warmup of 2 % that is rounded to whole steps is not unequal")
    func roundedWarmup() throws {
        let short = try Self.warnings(
            "tokens = [1664]\nsteps = []\nevaluations = 1", schedule: Self.constant)
        #expect(!short.map(\.confound).contains(.unequalWarmup), "\(short.map(\.sentence))")
    }

    /// Runs of 4000, 2000 and 1000 steps have warmups of 80, 40 and 20 steps.
    @Test("a warmup in proportion to the run is unequal by equal steps")
    func unequalWarmupBySteps() throws {
        let warnings = try Self.warnings(
            "tokens = [128000]\nsteps = [200]", schedule: Self.constant)
        #expect(warnings.map(\.confound) == [.unequalWarmup])
        #expect(warnings.map(\.batches) == [[4, 8]])
        #expect(
            warnings.first?.sentence
                == "By equal steps (200), the warmup takes 10 % of the steps at B = 16 but 40 % at B "
                + "= 4, so a rule may fail because of the warmup; set schedule.warmup_steps, so that "
                + "the warmup takes the same number of steps in every run.")
    }

    @Test("runs that end before the optimizer's averages have settled are reported")
    func fewSteps() throws {
        let comparisons = "tokens = [32000]\nsteps = []"
        func sentences(_ optimizer: String) throws -> [String] {
            try Self.warnings(comparisons, schedule: Self.constant, optimizer: optimizer)
                .map(\.sentence)
        }
        // Runs have 1000, 500 and 250 steps.
        #expect(
            try sentences("betas = [0.9, 0.99]") == [
                "By equal tokens (32,000), runs are compared after fewer than 500 steps (5 times "
                    + "the 100 over which the optimizer averages gradients) at B = 16 (250 steps), "
                    + "so they show the optimizer's start rather than its steady state; compare "
                    + "after more tokens."
            ])
        #expect(try sentences("betas = [0.9, 0.95]").isEmpty)
        #expect(try sentences("name = \"sgd\"\nbetas = [0.9, 0.999]").isEmpty)
        #expect(try sentences("name = \"sgd\"\nmomentum = 0.99").count == 1)
        let bySteps = try Self.warnings("tokens = []\nsteps = [50]", schedule: Self.constant)
        #expect(bySteps.map(\.batches) == [[4, 8, 16]])
        #expect(bySteps.first?.sentence.contains("5 times the 20 over") == true)
        #expect(bySteps.first?.sentence.contains("at B = 4, 8 and 16, so") == true)
    }

    /// After 200 steps the batches have seen 6400, 12,800 and 25,600 tokens.
    @Test("data that only some batches have seen repeatedly are reported")
    func repeatedData() throws {
        func warnings(_ trainingTokens: Int?) throws -> [SweepWarning] {
            try Self.warnings(
                "tokens = []\nsteps = [200]", schedule: Self.constant,
                trainingTokens: trainingTokens)
        }
        let some = try warnings(10_000)
        #expect(some.map(\.confound) == [.repeatedData] && some.map(\.batches) == [[8, 16]])
        #expect(
            some.first?.sentence
                == "By equal steps (200), runs have seen the training data more than once at B = 8 "
                + "(1.28 epochs) and 16 (2.56 epochs) but not at smaller batches, so repetition may "
                + "affect their losses; compare after fewer steps, or train on more data.")
        for tokens in [6000, 30_000, nil] { #expect(try warnings(tokens).isEmpty) }
    }

    @Test("evaluations before the end of the warmup are reported")
    func evaluationInWarmup() throws {
        // Batch 16 has 400 steps and is evaluated after 400, 283, 200, 141, 100 and 71.
        let warnings = try Self.warnings(
            "tokens = [51200]\nsteps = []\nevaluations = 6",
            schedule: Self.constant + "warmup_steps = 100")
        #expect(warnings.map(\.confound) == [.unequalWarmup, .evaluationInWarmup])
        #expect(warnings.last?.batches == [16])
        #expect(
            warnings.last?.sentence
                == "Evaluations begin during the warmup at B = 16 (step 71 of 100), so the steps to a "
                + "target loss that is reached there are those of the warmup; use fewer evaluations "
                + "or lower target_losses.")
    }

    /// The studies keep 100 or 50 steps of warmup at every batch, so by equal tokens the warmup is
    /// up to 32 times as large a share of the largest batch's runs. Their eight evaluations begin
    /// before step 100 at the largest batches. Their runs are long enough for a beta2 of 0.95, and
    /// shorter than an epoch of the King James text.
    @Test("the studies have the warnings that they deserve")
    func studies() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../launch/recipes/studies").standardized.path
        func warnings(_ name: String) throws -> [SweepWarning] {
            let path = "\(folder)/\(name).toml"
            return try SweepSpecification(toml: try readText(path), name: path) {
                (recipe) throws(Failure) in try readText("\(folder)/\(recipe)")
            }.warnings(trainingTokens: 4_300_000)
        }
        for name in ["king-james-adamw", "king-james-sgd"] {
            let warnings = try warnings(name)
            #expect(warnings.map(\.confound) == [.unequalWarmup, .evaluationInWarmup])
            #expect(warnings.map(\.batches) == [[2, 4, 8, 16, 32], [16, 32]])
            #expect(
                warnings[0].sentence.contains("takes 0.61 % of the steps at B = 1 but 19.5 % at B"))
            #expect(
                warnings[0].sentence.contains(
                    "unset, and compare only by equal tokens (steps = []), so that"))
            #expect(warnings[1].sentence.contains("16 (step 91 of 100) and 32 (step 45 of 100)"))
        }
        #expect(try warnings("first-sweep").isEmpty)
    }
}
