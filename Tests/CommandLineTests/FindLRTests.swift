import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep find-lr`.
    @Suite(.serialized) struct FindLRTests {
        private func arguments(_ bench: Workbench, _ more: String...) -> [String] {
            ["find-lr", bench.path("recipe.toml"), "--data", bench.path("data")] + more
        }

        /// Rates and steps with which the tiny recipe learns.
        private static let ramp = [
            "--from", "1e-5", "--to", "10", "--steps", "60", "--probe-steps", "20",
        ]

        @Test("layouts give the same curve and probes")
        func layoutsGiveTheSameResult() throws {
            let bench = try Workbench()
            var outputs: [String] = []
            for (ranks, name) in [(0, "alone"), (2, "two"), (4, "four")] {
                let outcome = try bench.lockstep(
                    arguments(
                        bench, "--out", bench.path(name), "--set", "schedule.name=constant")
                        + Self.ramp, ranks: ranks)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(
                    outcome.errors.contains("trying learning rates from 1e-05 to 10.0, geometric"))
                #expect(outcome.errors.contains("then the best ones in about 7 runs of 20 steps"))
                #expect(outcome.errors.contains(ranks == 0 ? "1 rank x" : "\(ranks) ranks x"))
                #expect(outcome.output.contains("the 20 steps behind the best, so chance may"))
                outputs.append(outcome.output.replacing(bench.path(name), with: "OUT"))
                #expect(
                    try bench.names(in: name) == ["curve.csv", "find-lr.json", "report.html"])
            }
            #expect(Set(outputs).count == 1)
            for file in ["curve.csv", "find-lr.json", "report.html"] {
                let alone = try bench.bytes(of: "alone/\(file)")
                #expect(try bench.bytes(of: "two/\(file)") == alone, "\(file)")
                #expect(try bench.bytes(of: "four/\(file)") == alone, "\(file)")
            }
            try expectWholeFiles(in: bench)
        }

        private func expectWholeFiles(in bench: Workbench) throws {
            let rows = String(decoding: try bench.bytes(of: "alone/curve.csv"), as: UTF8.self)
                .split(separator: "\n")
            #expect(rows.first == "step,learning_rate,loss,smoothed_loss")
            let points = rows.dropFirst().map { $0.split(separator: ",").map { Double($0) } }
            #expect(points.allSatisfy { $0.count == 4 && $0[1] != nil })
            #expect(points.first?[1] == 1e-5)
            // The vocabulary has 21 symbols, and the model is untrained at the first loss.
            let first = try #require(points.first?[2])
            #expect(abs(first / log(21) - 1) < 0.1, "\(first)")
            let json = try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: "alone/find-lr.json"))
                    as? [String: Any])
            #expect(json["global_batch"] as? Int == 4)
            #expect(json["steps_taken"] as? Int == points.count)
            // Twenty steps do not settle the rates, so they are doubled.
            for (key, steps) in [("shorter_probe", 20), ("probe", 40)] {
                let probes = try #require(json["\(key)s"] as? [[String: Any]])
                #expect(json["\(key)_steps"] as? Int == steps && probes.count >= 4)
                #expect(probes.contains { $0["learning_rate"] as? Double == 0.01 }, "the recipe's")
                for probe in probes where probe["diverged"] as? Bool == false {
                    #expect(probe["steps_taken"] as? Int == steps)
                    let loss = try #require(probe["loss"] as? Double)
                    #expect(loss > 0 && loss < 2 * first)
                }
            }
            let rates = ["lowest_good_rate", "recommended_learning_rate", "highest_good_rate"]
                .map { json[$0] as? Double ?? .nan }
            #expect(rates[0] < rates[1] && rates[1] < rates[2], "\(rates)")
            #expect((json["tolerance"] as? Double ?? 0) > 0)
            #expect(json["good_ranges"] as? [[Double]] == [[rates[0], rates[2]]])
            let page = String(decoding: try bench.bytes(of: "alone/report.html"), as: UTF8.self)
            #expect(page.contains("Learning-rate range test"))
            #expect(page.contains("Loss after 20 steps") && page.contains("Loss after 40 steps"))
            #expect(page.contains("highest good rate") && page.contains("Not settled: rates from"))
        }

        /// The recommended rate is for the trained batch; the recipe's rate is for its base batch.
        @Test("the written recipe has the rate at its base batch")
        func writtenRecipeHasTheRateAtItsBaseBatch() throws {
            let bench = try Workbench()
            let recipe = Workbench.recipe.replacing(
                "learning_rate = 1e-2", with: "learning_rate  = 1e-2   # by hand")
            try bench.write("# mine\n" + recipe, to: "recipe.toml")
            let outcome = try bench.lockstep(
                arguments(
                    bench, "--set", "training.global_batch=8", "--write", bench.path("found.toml"))
                    + Self.ramp)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let match = try #require(
                outcome.output.firstMatch(
                    of:
                        /recommended: ([-.e0-9]+) at batch 8, [^\n]+\nlearning_rate = ([-.e0-9]+) at base_batch 4, which rule linear multiplies by 2 at batch 8\n/
                ), "\(outcome.output)")
            let (rate, base) = (try #require(Double(match.1)), try #require(Double(match.2)))
            // Both are printed with three digits.
            #expect(abs(rate / (2 * base) - 1) < 0.01)
            let written = String(decoding: try bench.bytes(of: "found.toml"), as: UTF8.self)
            #expect(
                written
                    == "# mine\n"
                    + recipe.replacing("= 1e-2 ", with: "= \(match.2) "))
            #expect(try bench.bytes(of: "recipe.toml") == Data(("# mine\n" + recipe).utf8))

            let trained = try bench.lockstep(
                "train", bench.path("found.toml"), "--data", bench.path("data"), "--out",
                bench.path("run"))
            #expect(trained.status == 0, "\(trained.errors)")
            let again = try bench.lockstep(
                arguments(bench, "--write", bench.path("found.toml")) + Self.ramp)
            expectRefusal(again, 64, ["found.toml: already exists"])
        }

        @Test("a run that the test starts from stays unchanged")
        func startingRunStaysUnchanged() throws {
            let bench = try Workbench()
            try bench.train()
            let names = try FileManager.default.subpathsOfDirectory(
                atPath: bench.path("run")
            ).sorted()
            let state = try bench.state(6)
            let start = ["--start", bench.path("run")] + Self.ramp
            var (curves, results): ([Data], [Data]) = ([], [])
            for (ranks, sharded) in [(0, "false"), (2, "false"), (2, "true")] {
                let out = bench.path("from \(ranks) \(sharded)")
                let outcome = try bench.lockstep(
                    arguments(bench, "--out", out, "--set", "optimizer.sharded=\(sharded)") + start,
                    ranks: ranks)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.errors.contains("from the checkpoint of step 6 in "))
                curves.append(try bench.bytes(of: "from \(ranks) \(sharded)/curve.csv"))
                results.append(try bench.bytes(of: "from \(ranks) \(sharded)/find-lr.json"))
            }
            #expect(Set(curves).count == 1 && Set(results).count == 1)
            #expect(
                try FileManager.default.subpathsOfDirectory(atPath: bench.path("run")).sorted()
                    == names)
            #expect(try bench.state(6) == state)
            // The first loss is that of the trained parameters on the next samples.
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set", "training.steps=7")
            try #require(resumed.status == 0, "\(resumed.errors)")
            let seventh = try #require(
                try bench.metrics().first { $0["step"] as? Int == 7 }?["loss"] as? Double)
            let row = String(decoding: curves[0], as: UTF8.self).split(separator: "\n")[1]
            let loss = try #require(Double(row.split(separator: ",")[2]))
            // JSONSerialization may be off in the last bit.
            #expect(abs(loss / seventh - 1) < 1e-15)
        }

        @Test("a trained model whose loss does not fall is probed from the recipe's rate")
        func trainedModelIsProbed() throws {
            let bench = try Workbench()
            try bench.train()
            let low = ["--from", "1e-12", "--to", "1e-11", "--steps", "60", "--probe-steps", "20"]
            let fresh = try bench.lockstep(arguments(bench) + low)
            #expect(fresh.output.hasPrefix("no recommendation: the loss "), "\(fresh.output)")
            let trained = try bench.lockstep(arguments(bench, "--start", bench.path("run")) + low)
            try #require(trained.status == 0, "\(trained.errors)")
            #expect(trained.output.contains("\nrecommended: "), "\(trained.output)")
        }

        @Test("other models and missing runs are refused")
        func otherModelsAndMissingRunsAreRefused() throws {
            let bench = try Workbench()
            try bench.train()
            expectRefusal(
                try bench.lockstep(
                    arguments(
                        bench, "--start", bench.path("run"), "--set", "model.width=32"), ranks: 2),
                78, ["[model] width = 32", "is 16 in the run"])
            expectRefusal(
                try bench.lockstep(
                    arguments(bench, "--start", bench.path("run"), "--set", "optimizer.name=sgd")),
                78, ["[optimizer] name = \"sgd\""])
            expectRefusal(
                try bench.lockstep(arguments(bench, "--start", bench.path("none"))), 66,
                ["none: does not exist"])
        }

        @Test(
            "impossible requests are refused",
            arguments: [
                (
                    ["--from", "1", "--to", "1e-3"], 64 as Int32,
                    "--from 1.0: must be below --to 0.001; "
                ),
                (["--from", "0"], 64, "--from 0.0: "), (["--to=-1"], 64, "--to -1.0: "),
                (["--steps", "9"], 64, "--steps 9: "),
                (["--probe-steps", "19"], 64, "--probe-steps 19: must be from 20 to 1000000; "),
                (["--set", "steps=3"], 64, "section.key=value"),
                (["--set", "optimizer.learning_rate=-1"], 78, "learning_rate = -1.0"),
                (["--out", ""], 64, "--out \"\": is empty"),
                (["--write", ""], 64, "--write \"\": is empty"),
                (["--write", "/nowhere/found.toml"], 74, "/nowhere/"),
                // A folder that is writable but cannot hold files, and an invalid file name.
                (["--write", "/proc/found.toml"], 74, "/proc/found.toml"),
                (["--write", String(repeating: "x", count: 250)], 74, "File name too long"),
                (
                    ["--write", "same", "--out", "same"], 64,
                    "--write same: is also the path of --out"
                ),
                (["--from", "-1"], 64, "--from -1.0: "), (["--steps", "-9"], 64, "--steps -9: "),
            ])
        func impossibleRequests(more: [String], code: Int32, words: String) throws {
            let bench = try Workbench()
            let before = try bench.names()
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep(arguments(bench) + more, ranks: ranks), code, [words])
            }
            #expect(try bench.names() == before)
        }

        @Test("missing inputs are refused")
        func missingInputsAreRefused() throws {
            let bench = try Workbench()
            expectRefusal(
                try bench.lockstep("find-lr", bench.path("recipe.toml")), 64,
                ["--data: is missing"])
            expectRefusal(
                try bench.lockstep(
                    "find-lr", bench.path("none.toml"), "--data", bench.path("data")), 66,
                ["none.toml"])
            expectRefusal(
                try bench.lockstep(
                    "find-lr", bench.path("recipe.toml"), "--data", bench.path("none")), 66,
                [bench.path("none")])
            let taken = try bench.lockstep(arguments(bench, "--out", bench.path("data")))
            expectRefusal(taken, 64, ["data: already exists"])
        }

        /// The lowest rate may be set in the recipe or with --set.
        @Test(
            "the lowest rate stays the same fraction of the rate",
            arguments: [
                ("learning_rate = 9", "minimum_learning_rate = 8", [], 8.0 / 9),
                ("learning_rate = 9", "", ["schedule.minimum_learning_rate=0.9"], 0.1),
                ("learning_rate = 1e-2", "minimum_learning_rate = 8e-3", [], 0.8),
                (
                    "learning_rate = 1e-2", "minimum_learning_rate = 1e-3",
                    ["optimizer.learning_rate=1e-1"], 0.01
                ),
            ])
        func theLowestRateScalesWithTheRate(
            rate: String, floor: String, set: [String], part: Double
        ) throws {
            let bench = try Workbench()
            try bench.write(
                Workbench.recipe.replacing("learning_rate = 1e-2", with: rate)
                    + "\n[schedule]\nname = \"cosine\"\n\(floor)\n", to: "recipe.toml")
            let outcome = try bench.lockstep(
                arguments(bench, "--write", bench.path("found.toml")) + Self.ramp
                    + set.flatMap { ["--set", $0] })
            try #require(outcome.status == 0, "\(outcome.errors)")
            let written = String(decoding: try bench.bytes(of: "found.toml"), as: UTF8.self)
            func value(_ key: String) throws -> Double {
                let line = try #require(
                    written.split(separator: "\n").first { $0.hasPrefix("\(key) = ") })
                return try #require(Double(line.dropFirst(key.count + 3)))
            }
            let (found, lowest) = (try value("learning_rate"), try value("minimum_learning_rate"))
            #expect(abs(lowest / found / part - 1) < 0.01, "\(written)")
            #expect(
                outcome.output.contains("its minimum_learning_rate = \(lowest) is "),
                "\(outcome.output)")
            // The same --set would undo the new values of the recipe.
            #expect(!outcome.output.contains("the same --set"))
            let trained = try bench.lockstep(
                "train", bench.path("found.toml"), "--data", bench.path("data"), "--out",
                bench.path("run"))
            #expect(trained.status == 0, "\(trained.errors)")
            #expect(try !bench.names().contains { $0.hasSuffix(".partial") })
        }

        @Test(
            "a recipe that cannot be edited is refused before the test",
            arguments: [
                "optimizer.learning_rate = 1e-2\n[training]\nglobal_batch = 4\n",
                "optimizer = { learning_rate = 1e-2 }\n[training]\nglobal_batch = 4\n",
            ])
        func uneditableRecipeIsRefusedFirst(text: String) throws {
            let bench = try Workbench()
            try bench.write(text, to: "recipe.toml")
            let outcome = try bench.lockstep(
                arguments(bench, "--write", bench.path("found.toml")) + Self.ramp)
            expectRefusal(outcome, 78, ["--write cannot change its learning_rate"])
            #expect(outcome.output.isEmpty && !bench.exists("found.toml"))
        }

        /// The model learns nothing at such rates.
        @Test("without a fall of the loss there is no recommendation")
        func noFallGivesNoRecommendation() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                arguments(
                    bench, "--write", bench.path("found.toml"), "--from", "1e-12", "--to", "1e-10"))
            #expect(outcome.status == 65, "\(outcome.errors)")
            #expect(outcome.output.contains("no recommendation: the loss never falls"))
            #expect(outcome.output.contains("give --to more than 1e-10"))
            #expect(outcome.errors.contains("found.toml: is not written"))
            #expect(!bench.exists("found.toml"))
        }
    }
}
