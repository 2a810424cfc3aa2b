import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that many more ranks than cores train with the same bits, and leave no more files.
    @Suite(.serialized) struct ManyRanksTests {
        /// The model of the quick start, with a lane for each of 64 ranks.
        private static let recipe = """
            [model]
            layers = 4
            heads = 4
            width = 128
            context_length = 64
            [training]
            steps = 20
            global_batch = 64
            [optimizer]
            learning_rate = 2e-3
            [reduction]
            lanes = 64
            [evaluation]
            every = 10
            [checkpoint]
            every = 10
            """

        /// The ranks of a run, and the ranks of the run with which it must agree.
        private static let layouts = Launch.runsAll ? [(16, 4), (64, 8)] : [(16, 4)]

        @Test(
            "many ranks train with the bits and the files of a few", arguments: layouts,
            [false, true])
        func manyRanks(ranks: (many: Int, few: Int), isSharded: Bool) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("many", Self.recipe)
            var first = FirstRun()
            var files: [[String]] = []
            for count in [ranks.few, ranks.many] {
                let run = bench.run("ranks-\(count)")
                let outcome = try bench.train(
                    [recipe, "--data", bench.data, "--set", "optimizer.sharded=\(isSharded)"],
                    ranks: count, into: run)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(try run.rankCount(step: 20) == count)
                try first.expectSame(run, steps: [10, 20], "\(count) ranks")
                files.append(
                    try FileManager.default.subpathsOfDirectory(atPath: run.folder.path).sorted())
            }
            #expect(files[0] == files[1])
        }
    }
}
