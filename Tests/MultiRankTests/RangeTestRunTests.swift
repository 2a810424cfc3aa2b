import TestSupport
import Testing

/// Tests of the range test on a real training step under mpirun.
@Suite(.serialized) struct RangeTestRunTests {
    private func reports(_ ranks: Int, words: [String]) throws -> [RangeTestReport] {
        let outcome = try Launch.run(
            "\(Launch.root)/launch/mpirun",
            [
                "--ranks", "\(ranks)", "--oversubscribe", "--",
                "\(Launch.products)/multirank-probe", "range-test",
            ] + words)
        try #require(outcome.status == 0, "\(outcome.errors)")
        let reports: [RangeTestReport] = try outcome.reports()
        try #require(reports.map(\.size) == Array(repeating: ranks, count: ranks))
        return reports
    }

    @Test(
        "a range test changes no bit of parameters, moments, counters and later steps",
        arguments: [
            (1, ["optimizer=adamw"]), (2, ["optimizer=adamw"]),
            (2, ["optimizer=adamw", "sharded=1"]), (1, ["optimizer=sgd", "averaged=1"]),
        ])
    func restored(ranks: Int, words: [String]) throws {
        let settings = words.joined(separator: ",")
        let all = try reports(ranks, words: words)
        for piece in all[0].before.indices {
            // With such a small model, a rank may have no shard.
            #expect(
                all.contains { $0.during[piece] != $0.before[piece] },
                "the test changes every piece of the state: \(settings)")
        }
        let others = try reports(ranks, words: words + ["steps=10", "to=1e-3"])
        for (report, other) in zip(all, others) {
            #expect(report.after == report.before, "\(settings)")
            #expect(report.following.count == 3)
            // A different range test has the same training after it.
            #expect(report.losses != other.losses)
            #expect(report.following == other.following, "\(settings)")
            #expect(Set(report.following).count == 3, "the training continues")
        }
    }

    @Test("the curve has the same bits on 1, 2 and 3 ranks, sharded or not")
    func layouts() throws {
        let one = try reports(1, words: ["to=1"])[0].losses
        #expect(one.count == 30)
        for (ranks, words) in [(2, []), (3, []), (2, ["sharded=1"])] {
            for report in try reports(ranks, words: words + ["to=1"]) {
                #expect(report.losses == one, "\(ranks) ranks \(words)")
            }
        }
    }

    @Test("unlimited rates end the test, and the state is still restored")
    func divergence() throws {
        let report = try reports(1, words: ["optimizer=sgd", "to=1e30", "steps=100"])[0]
        #expect(report.ending == "not finite" || report.ending == "diverged")
        #expect(report.losses.count < 100)
        #expect(report.after == report.before)
    }
}
