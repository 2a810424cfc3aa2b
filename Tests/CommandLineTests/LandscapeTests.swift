import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of losses around a run.
    @Suite(.serialized) struct LandscapeTests {
        private let small = ["--grid", "5", "--sequences", "7"]

        private func landscape(
            _ bench: Workbench, _ out: String, _ options: [String], ranks: Int = 0
        ) throws -> Data {
            let outcome = try bench.lockstep(
                ["landscape", bench.path("run"), "--out", bench.path(out)] + small + options,
                ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("\(out)/report.html"))
            #expect(try bench.names(in: out) == ["landscape.csv", "landscape.json", "report.html"])
            return try bench.bytes(of: "\(out)/landscape.csv")
        }

        private func json(_ bench: Workbench, _ out: String) throws -> [String: Any] {
            try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: "\(out)/landscape.json"))
                    as? [String: Any])
        }

        @Test("any layout gives the same bytes")
        func anyLayoutGivesTheSameBytes() throws {
            let bench = try Workbench()
            try bench.train()
            let one = try landscape(bench, "one", [])
            let lines = String(decoding: one, as: UTF8.self).split(separator: "\n")
            #expect(lines.count == 26)
            #expect(lines[0] == "x,y,loss,plane")
            #expect(try landscape(bench, "two", [], ranks: 2) == one)
            #expect(try landscape(bench, "three", ["--threads-per-rank", "2"], ranks: 3) == one)
            #expect(
                try bench.bytes(of: "one/landscape.json") == bench.bytes(of: "two/landscape.json"))
            #expect(try landscape(bench, "seed", ["--seed", "2"]) != one)
            // The loss in the middle of the grid equals the checkpoint's to the last digit.
            let middle = try #require(lines[13].split(separator: ",").dropLast().last)
            let facts = String(decoding: try bench.bytes(of: "one/landscape.json"), as: UTF8.self)
            #expect(facts.contains("\"loss\":\(middle),"))
        }

        @Test("several planes have their own directions, and the first is that of one plane")
        func severalPlanes() throws {
            let bench = try Workbench()
            try bench.train()
            let one = try landscape(bench, "one", [])
            let options = ["--planes", "3"]
            let three = try landscape(bench, "three", options)
            #expect(three.starts(with: one) && three.count > 2 * one.count)
            let lines = String(decoding: three, as: UTF8.self).split(separator: "\n").dropFirst()
            let planes = Dictionary(grouping: lines) { $0.last }
            #expect(planes.count == 3 && planes.values.allSatisfy { $0.count == 25 })
            #expect(planes["1"]?[0].dropLast() != planes["2"]?[0].dropLast())
            #expect(try landscape(bench, "shared", options, ranks: 2) == three)
            for name in ["landscape.json", "report.html"] {
                #expect(
                    try bench.bytes(of: "shared/\(name)") == bench.bytes(of: "three/\(name)"))
            }
            let json = try json(bench, "three")
            #expect((json["more_planes"] as? [Any])?.count == 2)
            // The run has two checkpoints, and the newest is the origin of every plane.
            let path = try #require(json["path"] as? [[String: Double]])
            #expect(path.map { $0["step"] } == [4, 6])
            #expect(path[1]["x"] == 0 && path[1]["y"] == 0 && path[0]["x"] != 0)
            let held = try #require(json["held"] as? Double)
            #expect(held > 0 && held < 0.1, "a random plane has little of a path")
        }

        @Test("the charts are drawn, and no label covers another")
        func charts() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(set: "checkpoint.keep=0", "checkpoint.every=1"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            for (out, options) in [
                ("planes", ["--planes", "5"]), ("path", ["--directions", "pca"]),
            ] {
                _ = try landscape(bench, out, options)
                try expectDrawn(bench, out, charts: out == "planes" ? 3 : 2)
            }
        }

        @Test("the whole validation set gives the evaluation's loss")
        func theWholeValidationSetGivesTheEvaluationsLoss() throws {
            let bench = try Workbench()
            try bench.train()
            _ = try landscape(bench, "all", ["--sequences", "1000000"])
            let loss = try #require(try json(bench, "all")["loss"] as? Double)
            // The sum has the order of micro-batches of an evaluation.
            #expect(abs(loss - (try bench.lastValidationLoss())) < 1e-12)
        }

        @Test("the run's path is on its principal plane")
        func runPathIsOnItsPrincipalPlane() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(set: "checkpoint.keep=0", "checkpoint.every=1"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            let one = try landscape(bench, "one", ["--directions", "pca"])
            #expect(try landscape(bench, "two", ["--directions", "pca"], ranks: 2) == one)
            let json = try json(bench, "one")
            let path = try #require(json["path"] as? [[String: Double]])
            #expect(path.map { $0["step"] } == [1, 2, 3, 4, 5, 6])
            // The plane contains the newest checkpoint.
            #expect(abs(path[5]["x"] ?? 1) < 1e-6 && abs(path[5]["y"] ?? 1) < 1e-6)
            let explained = try #require(json["explained"] as? [Double])
            #expect(explained[0] > explained[1] && explained[1] > 0)
            #expect(explained[0] + explained[1] <= 1 + 1e-12)
        }

        @Test("impossible landscapes are refused")
        func impossibleLandscapesAreRefused() throws {
            let bench = try Workbench()
            try bench.train()
            let run = bench.path("run")
            for (options, word) in [
                (["--grid", "2"], "--grid 2: "), (["--grid", "502"], "--grid 502: "),
                (["--sequences", "0"], "--sequences 0: "), (["--extent", "0"], "--extent 0.0: "),
                (["--extent", "nan"], "--extent nan: "),
                (["--directions", "hessian"], "filter or pca"),
                (["--planes", "0"], "--planes 0: "), (["--planes", "26"], "--planes 26: "),
                (["--planes", "2", "--directions", "pca"], "use --directions filter"),
            ] {
                expectRefusal(try bench.lockstep(["landscape", run] + options), 64, [word])
            }
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep("landscape", run, "--directions", "pca", ranks: ranks), 66,
                    ["has 2 whole checkpoints", "at least 3", "checkpoint.keep=0"])
                expectRefusal(
                    try bench.lockstep("landscape", bench.path("data"), ranks: ranks), 66,
                    ["holds no run"])
                expectRefusal(
                    try bench.lockstep("landscape", run, "--out", run, ranks: ranks), 64,
                    ["run: already exists", "--out"])
            }
            #expect(try bench.names(in: "run").allSatisfy { !$0.hasPrefix("landscape") })
        }
    }

    /// Tests of runs at three rates.
    @Suite(.serialized) struct RegimesTests {
        private static let files = ["regimes.csv", "regimes.json", "report.html"]

        /// Runs the command on a number of ranks, and requires that it had them.
        private func regimes(
            _ bench: Workbench, _ out: String, _ options: String..., ranks: Int = 0
        ) throws -> String {
            let outcome = try bench.lockstep(
                [
                    "regimes", bench.path("recipe.toml"), "--data", bench.path("data"), "--out",
                    bench.path(out), "--grid", "3", "--sequences", "5",
                ] + options, ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains(ranks < 2 ? "on 1 rank x" : "on \(ranks) ranks x"))
            #expect(outcome.errors.contains("takes about"))
            #expect(try bench.names(in: out) == Self.files.sorted())
            return outcome.output
        }

        @Test("any layout gives the same bytes")
        func anyLayoutGivesTheSameBytes() throws {
            let bench = try Workbench()
            // Shards of the optimizer's state make up one preconditioner.
            let recipe = Workbench.recipe.replacing(
                "[optimizer]", with: "[optimizer]\nsharded = true")
            try bench.write(
                recipe + "\n[schedule]\nname = \"constant\"\nwarmup_steps = 0\n",
                to: "recipe.toml")
            let output = try regimes(bench, "one", "--probe-steps", "20")
            #expect(output.split(separator: "\n").count == 4, "a sentence a run, and where it is")
            for ranks in [2, 3] {
                _ = try regimes(bench, "\(ranks)", "--probe-steps", "20", ranks: ranks)
                for name in Self.files {
                    #expect(
                        try bench.bytes(of: "one/\(name)") == bench.bytes(of: "\(ranks)/\(name)"))
                }
            }
            let json = try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: "one/regimes.json"))
                    as? [String: Any])
            let probes = try #require(json["probes"] as? [[String: Any]])
            #expect(json["probe_steps"] as? Int == 20 && probes.count > 4)
            #expect(probes.contains { $0["learning_rate"] as? Double == 0.01 }, "the recipe's rate")
            let tried = probes.compactMap { $0["learning_rate"] as? Double }
            let runs = try #require(json["runs"] as? [[String: Any]])
            let chosen = runs.compactMap { $0["learning_rate"] as? Double }
            #expect(chosen.count == 3 && chosen == chosen.sorted())
            #expect(chosen.allSatisfy(tried.contains))
            #expect((json["choice"] as? [String])?.count == 5)
            #expect(abs((json["stable_product"] as? Double ?? 0) - 38) < 1e-9)
            let lines = String(decoding: try bench.bytes(of: "one/regimes.csv"), as: UTF8.self)
                .split(separator: "\n").map {
                    $0.split(separator: ",", omittingEmptySubsequences: false)
                }
            #expect(lines.count == 1 + 3 * 7, "six steps, and the parameters after the last")
            for start in [1, 8, 15] {
                #expect(lines[start][4] == lines[1][4], "the same first loss")
                #expect(lines[start][6...8] == ["0.0", "0.0", "0.0"], "the same start")
            }
            #expect(lines[14][4].isEmpty)
            // The sharpness is measured after every third step, but never before the first.
            for start in [1, 8, 15] {
                let sharpness = lines[start..<start + 7].map { Double($0[9]) }
                let isMeasured = sharpness.map { $0 != nil }
                #expect(isMeasured == [false, false, false, true, false, false, true])
                let bound = try #require(Double(lines[start + 6][10]))
                let rate = try #require(Double(lines[start][1]))
                #expect(abs(bound * rate / 38 - 1) < 1e-9, "the rate is constant")
            }
        }

        @Test("the charts are drawn, and no label covers another")
        func charts() throws {
            let bench = try Workbench()
            _ = try regimes(bench, "out")
            try expectDrawn(bench, "out", charts: 7)
        }

        @Test("the good run equals that of `train`")
        func goodRunEqualsTraining() throws {
            let bench = try Workbench()
            try bench.train()
            _ = try regimes(bench, "out", "--rates", "1e-4,1e-2,5e-2")
            let trained = try bench.metrics().compactMap { $0["loss"] as? Double }
            let lines = String(decoding: try bench.bytes(of: "out/regimes.csv"), as: UTF8.self)
                .split(separator: "\n").filter { $0.hasPrefix("good,") }
            let losses = lines.compactMap {
                Double($0.split(separator: ",", omittingEmptySubsequences: false)[4])
            }
            #expect(losses.count == 6)
            let page = String(decoding: try bench.bytes(of: "out/report.html"), as: UTF8.self)
            #expect(page.contains("Loss after the run at each rate"))
            // `JSONSerialization` is not exact to the last bit.
            for (loss, wanted) in zip(losses, trained) { #expect(abs(loss - wanted) < 1e-12) }
        }

        @Test("impossible rates and missing options are refused")
        func impossibleRatesAreRefused() throws {
            let bench = try Workbench()
            let data = bench.path("data")
            let out = ["--out", bench.path("out")]
            for ranks in [0, 2] {
                for rates in ["1e-3", "1e-3,1e-4,1", "0,1,2", "a,b,c", "1,2,inf"] {
                    expectRefusal(
                        try bench.lockstep(
                            ["regimes", "--data", data, "--rates", rates] + out, ranks: ranks), 64,
                        ["--rates \(rates): ", "three rates above 0 in ascending order"])
                }
            }
            expectRefusal(try bench.lockstep(["regimes"] + out), 64, ["--data: is missing"])
            expectRefusal(try bench.lockstep("regimes", "--data", data), 64, ["--out: is missing"])
            expectRefusal(
                try bench.lockstep(
                    ["regimes", bench.path("none.toml"), "--data", data] + out), 66,
                ["none.toml: cannot be opened"])
            for (options, words) in [
                (["--probe-steps", "5"], "--probe-steps 5: must be from 20"),
                (["--rates", "1e-4,1e-3,1e-2", "--probe-steps", "20"], "no effect with --rates"),
            ] {
                expectRefusal(
                    try bench.lockstep(
                        ["regimes", "--data", data] + options + out), 64, [words])
            }
            expectRefusal(
                try bench.lockstep(["regimes", "--data", data, "--out", data]), 64,
                ["data: already exists"])
            #expect(!bench.exists("out"))
        }
    }
}

/// Expects that a browser draws a report's charts at two widths, with readable labels.
private func expectDrawn(_ bench: Workbench, _ out: String, charts: Int) throws {
    let page = String(decoding: try bench.bytes(of: "\(out)/report.html"), as: UTF8.self)
    for width in [1300, 400] {
        let visit = try Browser.visit(page, width: width)
        #expect(visit.console == [])
        #expect(visit.recorded("charts") == "ok \(charts)", "\(visit.recorded("failures") ?? "")")
        #expect(visit.recorded("overflow") == "0" && visit.recorded("wide") == "0")
        if width > 1000 { #expect(visit.recorded("clipped") == "0") }
        let covered = try #require(visit.recorded("covered")).split(separator: " ")
        #expect(covered.allSatisfy { $0 == "0" }, "\(width): \(covered)")
    }
}
