import Support
import Testing
import Training

/// Tests of the limit on steps without finite numbers.
@Suite struct NonFiniteGuardTests {
    @Test("only skipped steps in a row reach the limit")
    func onlyStepsInARowReachTheLimit() {
        var watch = NonFiniteGuard(limit: 3)
        for round in 1...5 {
            watch.skip()
            watch.skip()
            #expect(!watch.isHopeless)
            watch.passed()
            #expect(watch.skippedInARow == 0)
            #expect(watch.skipped == 2 * round, "skipped steps are counted over the whole run")
        }
        for _ in 0..<3 { watch.skip() }
        #expect(watch.isHopeless)
    }

    @Test("the failure names the step, the rate, the keys to change and the good checkpoint")
    func failureNamesTheRemedy() {
        let watch = NonFiniteGuard(limit: 4)
        func failure(loss: Double) -> Failure {
            watch.failure(
                loss: loss, step: 7, peakLearningRate: 0.5, goodCheckpoint: "the good one is step 3"
            )
        }
        let loss = failure(loss: .nan)
        #expect(loss.code == .configuration)
        for words in [
            "step 7: is the last of 4 steps in a row whose loss was not finite", "0.5",
            "learning_rate", "warmup_steps", "step 3",
        ] {
            #expect(loss.sentence.contains(words))
        }
        #expect(failure(loss: 2).sentence.contains("whose gradient norm was not finite"))
    }
}
