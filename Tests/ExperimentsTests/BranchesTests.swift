import Experiments
import Foundation
import Support
import Testing

/// Tests of findings from branches of a run.
@Suite struct BranchesTests {
    @Test("the critical batch grows from one checkpoint to the next, and with it the warmup")
    func growth() throws {
        var planted = PlantedBranches()
        planted.excess = { step, batch in
            switch (step, batch) {
            case (100, 16): 0.05
            case (100, 32): 0.1
            case (100, 64): 0.2
            case (_, 64): 0.06
            default: 0
            }
        }
        let branches = try planted.branches()
        let (early, late) = (branches.checkpoints[0], branches.checkpoints[1])
        #expect(early.critical.estimate == 8 && early.critical.least == 8)
        #expect(early.critical.below == 16 && !early.critical.isLargestTried)
        #expect(early.rows.map(\.standing) == [.reference, .above, .above, .above])
        #expect(early.doublingStanding == .above)
        #expect(
            early.doublingSentence.hasPrefix("Doubling the batch from 8 to 16 at step 100 is not"))
        #expect(late.critical.estimate == 32 && late.critical.least == 32)
        #expect(late.critical.below == 64 && !late.critical.isLargestTried)
        #expect(late.doublingStanding == .within)
        #expect(late.criticalSentence.contains("is 32 (at least 32 and below 64 at 95 %)"))
        #expect(branches.warmup.map(\.step) == [200, 200, nil])
        #expect(branches.warmupSentence.contains("batch warmup to batch 32 from step 200 is safe"))
    }

    @Test(
        "checkpoints in the decay and at the end are marked and do not count for a warmup",
        arguments: ["decay", "end"])
    func laterPhases(phase: String) throws {
        var planted = PlantedBranches()
        planted.excess = { step, batch in step == 100 && batch > 8 ? 0.1 : 0 }
        #expect(
            try planted.branches().warmupSentence.contains("batch 64 from step 200 is safe"))
        planted.phases = [200: phase]
        let branches = try planted.branches()
        #expect(branches.trainingCheckpoints.map(\.start.step) == [100])
        #expect(branches.warmup.allSatisfy { $0.step == nil })
        #expect(branches.warmupSentence.contains("support no batch warmup"))
        let text = branches.text
        #expect(text.contains { $0.contains("200*") && $0.contains("reference") })
        #expect(text.contains { $0.hasPrefix("* Step 200 does not count for a batch warmup: ") })
        #expect(text.contains { $0.hasPrefix("At step 200*, the critical batch is") })
        #expect(text.contains { $0.contains("at step 200* is safe") })
        #expect(!text.contains { $0.contains("100*") })
        #expect(branches.json.text.contains("\"phase\":\"\(phase)\""))
        planted.phases = [100: phase, 200: phase]
        #expect(try planted.branches().warmupSentence.hasPrefix("No checkpoint comes before"))
    }

    @Test("the difference between repeats is noise only as far as batches differ in it")
    func noise() throws {
        var planted = PlantedBranches(steps: [100])
        planted.excess = { _, batch in batch == 64 ? 0.02 : 0 }
        // The repeats differ by 0.3, which would hide an excess of 0.02.
        #expect(try planted.branches().checkpoints[0].rows[3].standing == .above)
        planted.noise = 0.02
        let noisy = try planted.branches().checkpoints[0]
        #expect(noisy.rows.dropFirst().allSatisfy { $0.standing == .undecided })
        #expect(noisy.critical.least == 8 && noisy.critical.below == nil)
        #expect(noisy.doublingSentence.contains("is undecided"))
        #expect(noisy.doublingSentence.contains("more repeats"))
    }

    @Test("one repeat gives no certainty")
    func oneRepeat() throws {
        let found = try PlantedBranches(steps: [100], repeats: 1).branches()
        #expect(found.checkpoints[0].doublingStanding == .undecided)
        #expect(
            found.checkpoints[0].criticalSentence.contains("from one branch per batch"))
        #expect(found.warmupSentence.contains("support no batch warmup"))
    }

    @Test("a batch that diverges is above the critical batch, and the others are compared")
    func divergence() throws {
        var planted = PlantedBranches(steps: [100])
        planted.excess = { _, batch in batch == 64 ? .nan : 0 }
        let found = try planted.branches()
        let checkpoint = found.checkpoints[0]
        #expect(checkpoint.rows.map(\.standing) == [.reference, .within, .within, .diverged])
        #expect(checkpoint.critical.below == 64 && checkpoint.allowsComparison)
        #expect(found.json.text.contains("\"loss\":null"))
        planted.excess = { _, batch in batch == 8 ? .nan : 0 }
        let refused = try planted.branches().checkpoints[0]
        #expect(refused.criticalSentence.contains("the smallest batch diverged"))
        #expect(refused.critical.least == 8)
        #expect(refused.doublingSentence.contains("cannot be judged: the branch with the run's"))
        planted.excess = { _, batch in batch > 8 ? .nan : 0 }
        #expect(try !planted.branches().checkpoints[0].allowsComparison)
    }

    @Test("tokens and steps on McCandlish's curve give its critical batch")
    func tokensAndSteps() throws {
        var planted = PlantedBranches(steps: [100])
        // Progress per token is that of Emin tokens at a batch of 0, divided by 1 + B / 20.
        planted.curve = { batch, sequences in
            3 - Double(sequences) / 1000 / (1 + Double(batch) / 20)
        }
        planted.noise = 0.0005
        let checkpoint = try planted.branches().checkpoints[0]
        guard case .measured(let measured) = checkpoint.efficiency else {
            Issue.record("\(checkpoint.efficiency)")
            return
        }
        let critical = try #require(measured.criticalBatch)
        // The noise of a batch does not cancel out of its mean over the repeats.
        #expect(abs(critical.value - 20) < 1, "\(critical)")
        #expect(try #require(critical.interval).contains(20))
        // The largest batch takes all of its tokens.
        #expect(measured.rows.last?.tokens == 2560)
        #expect(measured.rows.last?.steps == 10)
        #expect(abs(measured.rows[0].tokens / 2560 - (1 + 8.0 / 20) / (1 + 64.0 / 20)) < 0.01)
    }

    @Test("a large critical batch is a whole number, and the two critical batches are explained")
    func criticalBatches() throws {
        var planted = PlantedBranches(steps: [100])
        planted.curve = { batch, sequences in
            3 - Double(sequences) / 1000 / (1 + Double(batch) / 1234)
        }
        planted.noise = 0
        let text = try planted.branches().text
        let sentence = try #require(text.first { $0.contains("Emin = ") })
        #expect(sentence.contains(", a critical batch of 1,2") && !sentence.contains("e+"))
        #expect(text.contains { $0.hasPrefix("The two critical batches answer different") })
        planted.decays = true
        #expect(try !planted.branches().text.contains { $0.hasPrefix("The two critical") })
    }

    @Test("without a clear fall, or with a decayed rate, tokens and steps are not stated")
    func noTokensAndSteps() throws {
        func reason(_ planted: PlantedBranches) throws -> String {
            guard case .impossible(let reason) = try planted.branches().checkpoints[0].efficiency
            else { return "measured" }
            return reason
        }
        var planted = PlantedBranches()
        #expect(try reason(planted) == "measured")
        planted.decays = true
        #expect(try reason(planted).contains("decayed rate"))
        planted.decays = false
        planted.curve = { _, sequences in 3 - Double(sequences) / 1e6 }
        #expect(try reason(planted).contains("hardly more than the noise"))
        planted.curve = { _, sequences in 3 + Double(sequences) / 1e6 }
        #expect(try reason(planted).contains("three batches"))
    }

    @Test("the same tokens at every batch are not evidence of a critical batch")
    func flatTokens() throws {
        var planted = PlantedBranches(steps: [100])
        // The larger the batch, the fewer tokens, as under a constant rate.
        planted.curve = { batch, sequences in
            3 - Double(sequences) / 1000 * (1 + Double(batch) / 1000)
        }
        let branches = try planted.branches()
        guard case .measured(let measured) = branches.checkpoints[0].efficiency else {
            Issue.record("\(branches.checkpoints[0].efficiency)")
            return
        }
        #expect(measured.criticalBatch == nil && measured.leastSteps <= 0)
        #expect(branches.text.contains { $0.contains("do not grow with the batch") })
    }

    @Test("damaged designs and lines are not read")
    func damage() throws {
        let planted = PlantedBranches()
        let design = try planted.design()
        for key in design.json.text.matches(of: /"([a-z_0-9]+)":/).map({ String($0.1) }) {
            var damaged = design.json
            damaged[key] = nil
            // Designs of version 0.1.0 leave out nothing.
            let isTopLevel = design.json[key] != nil && key != "left_out"
            #expect(((try? BranchDesign(json: .object(damaged))) == nil) == isTopLevel, "\(key)")
        }
        let result = try planted.branches().results[0]
        for key in ["checkpoint", "batch", "repeat", "curve", "validation_loss"] {
            var damaged = result.line
            damaged[key] = nil
            #expect((try? BranchResult(json: .object(damaged))) == nil, "\(key)")
        }
    }
}
