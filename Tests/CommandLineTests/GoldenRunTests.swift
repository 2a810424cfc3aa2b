import Compute
import Foundation
import Support
import TestSupport
import Testing

/// A way to train the workbench's recipe, and the digest of the result.
struct GoldenRun: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var settings: [String] = []
    var options: [String] = []
    /// The number of ranks if there are several.
    var ranks = 3
    /// At most this many ranks share memory; nil for all of a host.
    var ranksPerHost: Int?
    /// The SHA-256 of the parameters' file followed by the optimizer's.
    let digest: String

    static let all = [
        GoldenRun(
            testDescription: "fp32 and AdamW",
            digest: "53b79038ef4de883e96a2e03067627d691c9dd02dc4c28f88f38032d5d4ee420"),
        GoldenRun(
            testDescription: "dropout", settings: ["model.dropout=0.1"],
            digest: "4ab849ee7f76246bfd3697fa1584fc31e9665547d817a80310a0b54544306bf1"),
        // Recomputation gives the bits of the run above.
        GoldenRun(
            testDescription: "dropout and recomputation",
            settings: ["model.dropout=0.1", "training.recompute=true"],
            digest: "4ab849ee7f76246bfd3697fa1584fc31e9665547d817a80310a0b54544306bf1"),
        GoldenRun(
            testDescription: "sharded, with sums in bf16 between two hosts",
            settings: ["optimizer.sharded=true", "reduction.wire=bf16"], ranks: 2,
            ranksPerHost: 1,
            digest: "3664bece058a6c271695e4492537491781eb8bd293f49c40181a6188f807ba96"),
        GoldenRun(
            testDescription: "SGD", settings: ["optimizer.name=sgd", "optimizer.momentum=0.9"],
            digest: "38fabc508f3436c44b43403d6177dc04684ee887d88fbaa3fc79bb62a3862855"),
        GoldenRun(
            testDescription: "Adam",
            settings: ["optimizer.name=adam", "optimizer.weight_decay=0.1"],
            digest: "a36db421a104e1ff759c97e61ad60bad5293818fcb97cf27088f0b14e18a4da9"),
        GoldenRun(
            testDescription: "LAMB", settings: ["optimizer.name=lamb"],
            digest: "fe00577003e2fb49e346fc0310ed352c8435d53ef3007711820d627d33781a32"),
        GoldenRun(
            testDescription: "LARS", settings: ["optimizer.name=lars", "optimizer.momentum=0.9"],
            digest: "6debef6424aab3c580daf57f1e7fc57b6afb2e6cedf4f89c5c9f3ea12c687157"),
    ]

    static let bf16 = GoldenRun(
        testDescription: "bf16", settings: ["training.precision=bf16"],
        options: ["--emulate-bf16"],
        digest: "e1097f0b3ab336652d3665128820126e0a8bf80451fa10410566aa335c2e6489")
}

extension CommandLineTests {
    /// Tests that a change of the program does not change bits. The digests hold for every processor
    /// for which a test is enabled.
    ///
    /// The digests are those of version 0.1.0. An intended change of bits requires new digests and
    /// an entry in the changelog.
    @Suite struct GoldenRunTests {
        @Test("one rank and several give the bytes of version 0.1.0", arguments: GoldenRun.all)
        func bytesOfARun(golden: GoldenRun) throws { try expectDigest(of: golden) }

        /// AMX adds the products in another order than all other processors.
        @Test(
            "bf16 gives the bytes of version 0.1.0",
            .enabled(if: InstructionSet.best != .amx, "AMX gives other bits"))
        func bytesOfARunInBF16() throws { try expectDigest(of: .bf16) }

        /// The probes of version 0.1.0 had a constant rate.
        @Test("find-lr gives the curve and the rate of version 0.1.0", arguments: [0, 3])
        func findLR(ranks: Int) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                [
                    "find-lr", bench.path("recipe.toml"), "--data", bench.data, "--out",
                    bench.path("rates"), "--from", "1e-5", "--steps", "60", "--probe-steps", "20",
                    "--set", "schedule.name=constant",
                ], ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(
                try digest(of: bench.bytes(of: "rates/curve.csv"))
                    == "ee196d8139aea5557f88699eebaeb4fa390e1dbc7605e917bdbb5ca731adc36f")
            let result = String(decoding: try bench.bytes(of: "rates/find-lr.json"), as: UTF8.self)
            #expect(result.contains("\"recommended_learning_rate\":0.009104538901760563,"))
        }

        private func expectDigest(of golden: GoldenRun) throws {
            let bench = try Workbench()
            let environment = golden.ranksPerHost.map { ["LOCKSTEP_RANKS_PER_NODE": "\($0)"] }
            for ranks in [0, golden.ranks] {
                let run = "ranks-\(ranks)"
                let settings = golden.settings.flatMap { ["--set", $0] }
                let outcome = try bench.lockstep(
                    bench.training(into: run) + settings + golden.options, ranks: ranks,
                    environment: environment ?? [:])
                try #require(outcome.status == 0, "\(outcome.errors)")
                let state = try bench.state(6, of: run)
                #expect(digest(of: state[0] + state[1]) == golden.digest, "\(ranks) ranks")
            }
        }

        private func digest(of data: Data) -> String { data.withUnsafeBytes { SHA256.hash($0) } }
    }
}
