import MPI
import Testing

/// Tests of the activity that a rank reports to the others.
@Suite struct RankActivityTests {
    @Test("the innermost activity counts, and the one around it continues")
    func activitiesNest() {
        RankActivity.during(.writingCheckpoint) {
            #expect(RankActivity.now.activity == .writingCheckpoint)
            RankActivity.during(.waiting) { #expect(RankActivity.now.activity == .waiting) }
            #expect(RankActivity.now.activity == .writingCheckpoint)
        }
        #expect(RankActivity.now.activity == .computing)
    }
}
