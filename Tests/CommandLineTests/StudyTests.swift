import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of Tests/Studies/find-lr, whose measurements take too long for a test.
    @Suite struct StudyTests {
        /// Runs the script in a Python without other packages.
        private static func study(_ bench: Workbench, _ more: [String]) throws -> Outcome {
            let out = ["--out", bench.path("study"), "--text", bench.path("text.txt")]
            return try Launch.run(
                "bash",
                [
                    "-c", "PATH='\(Launch.products)':$PATH exec python3 -I -S \"$@\"", "bash",
                    "\(Launch.root)/Tests/Studies/find-lr",
                ] + out + more)
        }

        @Test(
            "finished runs give the table and the verdict",
            arguments: [("0.020", 0 as Int32), ("0.040", 1)])
        func table(lost: String, status: Int32) throws {
            let bench = try Workbench()
            let name = "chars-2-adamw-4"
            try FileManager.default.createDirectory(
                atPath: bench.path("study"), withIntermediateDirectories: false)
            let found = """
                {"recommended_learning_rate": 0.003, "lowest_good_rate": 0.002, "probes": [{}, {}],
                "highest_good_rate": 0.006, "shorter_probes": [{}, {}, {}], "seconds": 7}
                """
            try bench.write(found, to: "study/\(name)-found.json")
            for place in 0..<9 {
                let rate = String(format: "%.4g", 2.5e-4 * Double(1 << place))
                let loss = 2 + Double(abs(place - 3))
                try bench.write("\(loss)", to: "study/\(name)-\(rate)-2.json")
            }
            try bench.write("2\(lost.dropFirst())", to: "study/\(name)-0.003-2.json")
            let outcome = try Self.study(bench, ["--only", name, "--seeds", "1"])
            #expect(outcome.status == status, "\(outcome.errors)")
            #expect(outcome.output.contains("0.002  0.003  0.002 to 0.006"), "\(outcome.output)")
            #expect(outcome.output.hasPrefix("# Tests/Studies/find-lr --out "))
            #expect(outcome.output.contains("\n# processor: "))
            #expect(outcome.output.contains("\(lost)       5      7.0"), "\(outcome.output)")
            #expect(outcome.output.contains("nats lost: \(lost) in the median (at most 0.03)"))
        }

        @Test(
            "mistakes are refused",
            arguments: [
                (["--only", "chars-9"], "--only names \"chars-9\""),
                (["--seeds", "0"], "--seeds is 0"),
            ])
        func mistakesAreRefused(more: [String], words: String) throws {
            let outcome = try Self.study(try Workbench(), more)
            #expect(outcome.status == 64)
            #expect(outcome.sentences.count == 1 && outcome.output.isEmpty, "\(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
    }
}
