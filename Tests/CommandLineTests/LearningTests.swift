import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that models learn real text.
    @Suite(.serialized) struct LearningTests {
        private static let bible = ["/usr/bin/bible", "/usr/games/bible"]
            .first(where: FileManager.default.isExecutableFile)
        /// nanoGPT's text, which is not part of the repository, in the folder of test data.
        private static let shakespeare = ProcessInfo.processInfo.environment["LOCKSTEP_DATA"]
            .map { "\($0)/tinyshakespeare.txt" }
            .flatMap { FileManager.default.fileExists(atPath: $0) ? $0 : nil }

        /// Trains on two ranks and returns the last validation loss and that of a bigram model.
        private func train(
            _ recipe: String, on text: String, in bench: Workbench, set: [String] = []
        ) throws -> (loss: Double, bigram: Double) {
            let tokenized = try bench.lockstep("tokenize", text, "--out", bench.path("corpus"))
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            let match = try #require(
                tokenized.output.firstMatch(of: /validation loss is ([0-9.]+) nats/))
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "2", "--", Workbench.lockstep, "train",
                    "\(Launch.root)/launch/recipes/\(recipe).toml", "--data", bench.path("corpus"),
                    "--out", bench.path("run"),
                ] + set.flatMap { ["--set", $0] }, seconds: 600)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return (try bench.lastValidationLoss(), try #require(Double(match.1)))
        }

        /// One sixth of the quickstart's steps on Genesis alone is enough.
        @Test(
            "the quickstart has a lower loss than a bigram model",
            .enabled(
                if: bible != nil,
                "needs the King James Bible, from Debian's bible-kjv"))
        func theQuickstartBeatsABigramModel() throws {
            let bench = try Workbench()
            let genesis = try Launch.run(#require(Self.bible), ["-f", "gen1:1-gen50:26"])
            try bench.write(genesis.output, to: "genesis.txt")
            let (loss, bigram) = try train(
                "quickstart", on: bench.path("genesis.txt"), in: bench,
                set: ["training.steps=250"])
            #expect(bigram > 2 && bigram < 2.6)
            #expect(loss < bigram - 0.2, "GPT \(loss), bigram \(bigram)")
        }

        /// nanoGPT's published figure for this recipe is 1.88.
        @Test(
            "the Shakespeare recipe reaches its published loss",
            .enabled(
                if: Launch.runsAll && shakespeare != nil,
                "needs launch/test --all, and nanoGPT's tinyshakespeare.txt in $LOCKSTEP_DATA"))
        func theShakespeareRecipeReachesItsLoss() throws {
            let bench = try Workbench()
            let (loss, bigram) = try train(
                "nanogpt-shakespeare-cpu", on: #require(Self.shakespeare), in: bench)
            #expect(loss <= 1.90, "GPT \(loss), bigram \(bigram)")
        }
    }
}
