import Glibc
import Support
import Testing
import Training

/// Tests of warnings about checkpoints that cannot be written.
@Suite struct LostCheckpointsTests {
    private let full = Failure.systemCall("written", "run/checkpoints", error: ENOSPC)

    @Test("only the first of several lost checkpoints is reported, and their number at the end")
    func oneWarning() throws {
        var lost = LostCheckpoints()
        #expect(lost.recover() == nil)
        let warning = lost.add(10, because: full)
        let first = try #require(warning)
        #expect(first.hasPrefix("no checkpoint at step 10; earlier ones are kept"))
        #expect(first.contains("No space left on device"))
        #expect(lost.add(20, because: full) == nil)
        #expect(lost.add(30, because: full) == nil)
        #expect(
            lost.recover()
                == "a checkpoint was written again after 3 checkpoints could not be written "
                + "(steps 10 to 30)")
        #expect(lost.recover() == nil)
    }

    @Test("a disk that fills up again is reported again")
    func newWarning() {
        var lost = LostCheckpoints()
        #expect(lost.add(10, because: full) != nil)
        #expect(
            lost.recover()
                == "a checkpoint was written again after 1 checkpoint could not be written (step 10)"
        )
        #expect(lost.add(30, because: full)?.contains("step 30") == true)
    }
}
