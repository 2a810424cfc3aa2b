import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the check that activations change equally at every size.
    @Suite(.serialized) struct CoordinatesTests {
        private func check(
            _ bench: Workbench, _ out: String, _ options: String..., ranks: Int = 0
        ) throws -> String {
            let outcome = try bench.lockstep(
                [
                    "coordinates", bench.path("recipe.toml"), "--data", bench.path("data"), "--out",
                    bench.path(out), "--seeds", "3", "--steps", "5", "--set",
                    "optimizer.learning_rate=3e-3",
                ] + options, ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(
                try bench.names(in: out) == [
                    "coordinates.csv", "coordinates.json", "report.html",
                ])
            return outcome.output
        }

        @Test("standard models grow with the width, muP models do not, on any layout")
        func widths() throws {
            let bench = try Workbench()
            let options = ["--widths", "16,32,64,128"]
            let output = try check(bench, "one", options[0], options[1])
            #expect(output.contains("standard: the changes depend on the width"))
            #expect(output.contains("muP: activations change about equally at every width"))
            _ = try check(bench, "three", options[0], options[1], ranks: 3)
            for name in ["coordinates.csv", "coordinates.json"] {
                #expect(
                    try bench.bytes(of: "one/\(name)") == bench.bytes(of: "three/\(name)"),
                    "\(name)")
            }
        }

        @Test("the number of layers can be varied instead")
        func layers() throws {
            let bench = try Workbench()
            let output = try check(
                bench, "depth", "--layers", "1,2,4", "--parametrizations", "completep")
            #expect(output.contains("CompleteP: "))
            let table = String(
                decoding: try bench.bytes(of: "depth/coordinates.csv"), as: UTF8.self)
            #expect(table.split(separator: "\n").count == 1 + 3 * 3 * 5 * 4)
        }

        @Test(
            "impossible requests are refused",
            arguments: [
                (["--widths", "16"], 64, "two or more whole numbers"),
                (["--widths", "16,8"], 64, "ascending"),
                (["--widths", "16,20"], 78, "multiple of 8"),
                (["--layers", "1,2", "--widths", "16,32"], 64, "cannot be combined"),
                (["--parametrizations", "mup,mup"], 64, "distinct"),
                (["--parametrizations", "mu"], 64, "standard, mup and completep"),
                (["--seeds", "0"], 64, "--seeds 0"), (["--steps", "-1"], 64, "--steps -1"),
                (["--set", "optimizer.name=sgd"], 78, "adamw"),
            ])
        func impossibleRequests(options: [String], status: Int32, words: String) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                [
                    "coordinates", bench.path("recipe.toml"), "--data", bench.path("data"), "--out",
                    bench.path("out"),
                ] + options)
            #expect(outcome.status == status)
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
            #expect(!bench.exists("out"))
        }
    }
}
