import Testing
import Training

/// When steps without finite numbers end a run.
@Suite struct NonFiniteGuardTests {
    @Test func stopsAfterTheLimitInARowOnly() {
        var watch = NonFiniteGuard(limit: 3)
        for round in 1...5 {
            watch.skip()
            watch.skip()
            #expect(watch.failure(loss: .nan, step: round, peakLearningRate: 1) == nil)
            watch.passed()
            #expect(watch.skippedInARow == 0)
            #expect(watch.skipped == 2 * round, "skipped steps are counted over the whole run")
        }
        for _ in 0..<3 { watch.skip() }
        #expect(watch.failure(loss: .nan, step: 9, peakLearningRate: 1) != nil)
    }

    @Test func adviseBySaying() throws {
        var watch = NonFiniteGuard(limit: 1)
        watch.skip()
        let loss = try #require(watch.failure(loss: .nan, step: 7, peakLearningRate: 0.5))
        #expect(loss.code == .configuration)
        for words in ["The loss was not finite", "step 7", "0.5", "learning_rate", "warmup_steps"] {
            #expect(loss.sentence.contains(words))
        }
        let norm = try #require(watch.failure(loss: 2, step: 7, peakLearningRate: 0.5))
        #expect(norm.sentence.contains("The gradient norm was not finite"))
    }
}
