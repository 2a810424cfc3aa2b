import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the analysis and the report of a table of another trainer's runs.
    @Suite(.serialized) struct ForeignRunsTests {
        @Test("runs of another trainer are judged")
        func runsOfAnotherTrainer() throws {
            let bench = try Workbench()
            var rows = ["batch,lr,seed,steps,val_loss"]
            for (batch, best) in [(8, 2e-3), (32, 4e-3)] {
                for seed in 1...3 {
                    for factor in [0.25, 0.5, 1, 2, 4] {
                        let loss = 3 + 0.1 * log(factor) * log(factor) + 1e-3 * Double(seed)
                        rows.append("\(batch),\(best * factor),\(seed),100,\(loss)")
                    }
                }
            }
            try bench.write(rows.joined(separator: "\r\n"), to: "runs.csv")
            let runs = bench.path("runs.csv")
            let outcome = try bench.lockstep("analyze", runs, "--rules", "sqrt,linear")
            try #require(outcome.status == 0, "\(outcome.errors)")
            let verdict = "sqrt holds up to B = 32, the largest batch that was trained."
            #expect(outcome.output.contains(verdict))
            #expect(outcome.output.contains("linear fails from B = 32"))
            #expect(outcome.output.hasPrefix("Batches are not compared by equal tokens"))
            let json = try bench.lockstep("analyze", runs, "--context-length", "16", "--json")
            try #require(json.status == 0, "\(json.errors)")
            let analysis = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
            let designs = (analysis as? [String: Any])?["designs"] as? [[String: Any]]
            #expect(designs?.compactMap { $0["mark"] as? Int } == [100])
            #expect(try bench.names().filter { $0.hasSuffix(".json") }.isEmpty)

            let page = bench.path("study.html")
            let report = try bench.lockstep(
                "report", runs, "--rules", "sqrt,linear", "--out", page)
            try #require(report.status == 0, "\(report.errors)")
            let html = String(decoding: try bench.bytes(of: "study.html"), as: UTF8.self)
            let answer =
                "When the batch grows from 8 to 32, the square-root rule&#39;s rate is still good"
            #expect(html.contains(answer))
            #expect(html.contains("the linear rule&#39;s rate is too high at batch 32."))
            expectRefusal(
                try bench.lockstep("report", runs), 64,
                ["--out: is missing; name the page's file", "runs.csv"])
            expectRefusal(
                try bench.lockstep("report", runs, runs, "--out", bench.path("two.html")), 64,
                ["one CSV file", "alone"])
            expectRefusal(
                try bench.lockstep("report", bench.path("data"), "--base-batch", "8"), 64,
                ["--base-batch: is for CSV files"])

            for command in [["analyze", ""], ["report", "", "--out", bench.path("empty.html")]] {
                expectRefusal(
                    try Launch.run(Workbench.lockstep, command), 64,
                    [": is an empty name; give a folder or a CSV file."])
            }
            let help = try bench.lockstep("analyze", "--help").output
            for name in ["noise_scale", "n_embd", "learning_rate: lr, rate, max_lr"] {
                #expect(help.contains(name), "\(help)")
            }
            expectRefusal(try bench.lockstep("analyze", bench.path("no.csv")), 66, ["no.csv"])
            try bench.write(rows[0] + "\n8,fast,1,100,3\n", to: "runs.csv")
            expectRefusal(
                try bench.lockstep("analyze", runs), 65, ["line 2: lr = \"fast\": is not a number;"]
            )
            expectRefusal(
                try bench.lockstep("analyze", bench.path("data"), "--base-batch", "8"), 64,
                ["--base-batch: is for CSV files"])
        }
    }
}
