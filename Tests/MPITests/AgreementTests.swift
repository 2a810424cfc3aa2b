import TestSupport
import Testing

/// Tests that any failure of ranks is reported in one sentence and ends the job with its code.
@Suite struct AgreementTests {
    @Test("without a failure every rank has its own value")
    func everyRankHasItsOwnValue() throws {
        let outcome = try Launch.probe(ranks: 3, "agree", "failing=")
        #expect(outcome.status == 0)
        #expect(outcome.output == "{\"value\":0}\n{\"value\":1}\n{\"value\":2}\n")
    }

    @Test(
        "a failure of rank 0 or of all ranks is reported unchanged",
        arguments: [
            ("0", "no", "The file x0 is not there; give another."),
            ("0,1,2", "no", "The file x0 is not there; give another."),
            ("0,1,2", "yes", "The file x is not there; give another."),
        ])
    func failuresOfRankZeroAreReportedUnchanged(
        failing: String, alike: String, sentence: String
    ) throws {
        let outcome = try Launch.probe(ranks: 3, "agree", "failing=\(failing)", "alike=\(alike)")
        #expect(outcome.status == 66)
        #expect(outcome.sentences == ["lockstep: \(sentence)"])
        #expect(outcome.output.isEmpty)
    }

    @Test(
        "the failure of another rank is reported with its rank and host",
        arguments: [("2", "no", 2, "x2"), ("1,2", "no", 1, "x1"), ("1,2", "yes", 1, "x")])
    func otherFailuresAreReportedWithRankAndHost(
        failing: String, alike: String, rank: Int, file: String
    ) throws {
        let outcome = try Launch.probe(ranks: 3, "agree", "failing=\(failing)", "alike=\(alike)")
        #expect(outcome.status == 66)
        let sentence = try #require(outcome.sentences.first)
        #expect(outcome.sentences.count == 1)
        #expect(sentence.hasPrefix("lockstep: rank \(rank) on "))
        #expect(sentence.hasSuffix(": The file \(file) is not there; give another."))
    }

    @Test("a rank that fails while others wait ends the job", arguments: [0, 1, 2])
    func rankThatFailsEndsTheJob(rank: Int) throws {
        let outcome = try Launch.probe(ranks: 3, "fail", "rank=\(rank)")
        #expect(outcome.status == 74)
        let sentence = try #require(outcome.sentences.first)
        #expect(outcome.sentences.count == 1)
        #expect(sentence.hasPrefix(rank == 0 ? "lockstep: The" : "lockstep: rank \(rank) on "))
        #expect(sentence.hasSuffix("The disk is full; free some space."))
    }

    @Test("equal strings pass")
    func equalStringsPass() throws {
        let outcome = try Launch.probe(ranks: 3, "same", "different=")
        #expect(outcome.status == 0)
        #expect(outcome.output.split(separator: "\n").count == 3)
    }

    @Test("different strings name the ranks")
    func differentStringsNameTheRanks() throws {
        let two = try Launch.probe(ranks: 4, "same", "different=1,3")
        #expect(two.status == 78)
        #expect(
            two.sentences == [
                "lockstep: the build: differs between ranks, because ranks 1 and 3 do not have rank "
                    + "0's “build A”; copy one build to all hosts."
            ])
        let one = try Launch.probe(ranks: 2, "same", "different=1")
        #expect(one.status == 78)
        #expect(one.sentences.count == 1)
        #expect(one.sentences.first?.contains("because rank 1 on ") == true)
        #expect(one.sentences.first?.contains(" does not have rank 0's") == true)
    }
}
