import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that `--trace` writes one file for all ranks, completely or not at all.
    @Suite(.serialized) struct TraceFileTests {
        /// An event of a trace with its times in microseconds.
        private struct Event {
            let name: String
            let category: String
            let process: Int
            let start: Double
            let end: Double
            let detail: [String: Int]

            init?(_ line: [String: Any]) {
                guard line["ph"] as? String == "X", let name = line["name"] as? String,
                    let category = line["cat"] as? String, let process = line["pid"] as? Int,
                    let start = line["ts"] as? Double, let duration = line["dur"] as? Double
                else { return nil }
                self.name = name
                self.category = category
                self.process = process
                self.start = start
                end = start + duration
                detail = line["args"] as? [String: Int] ?? [:]
            }
        }

        private static func lines(_ data: Data) throws -> [[String: Any]] {
            try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        }

        /// Ranks record different numbers of spans, so their buffers fill at different steps.
        @Test("a full trace ends with the same step on all ranks")
        func aFullTraceEndsWithTheSameStepOnAllRanks() throws {
            let bench = try Workbench()
            let file = bench.path("trace.json")
            let settings = [
                "training.steps=1500", "evaluation.every=0", "checkpoint.every=0",
                "training.global_batch=32", "reduction.lanes=32", "scaling.rule=none",
            ]
            let outcome = try bench.lockstep(
                bench.training() + settings.flatMap { ["--set", $0] } + ["--trace", file], ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains("the trace is full"))
            let text = String(decoding: try bench.bytes(of: "trace.json"), as: UTF8.self)
            #expect(text.hasPrefix("[\n") && text.hasSuffix("\n]\n"))
            var last = [Int: Int]()
            for var line in text.split(separator: "\n") where line.contains("\"cat\":\"step\"") {
                if line.hasSuffix(",") { line.removeLast() }
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
                let event = try #require((object as? [String: Any]).flatMap(Event.init))
                last[event.process] = event.detail["step"]
            }
            #expect(Set(last.keys) == [0, 1] && Set(last.values).count == 1, "\(last)")
            #expect(try #require(last[0]) > 100)
        }

        @Test("a run is traced on all ranks", arguments: [0, 2, 3])
        func aRunIsTracedOnAllRanks(ranks: Int) throws {
            let bench = try Workbench()
            let file = bench.path("traces/trace.json")
            let outcome = try bench.lockstep(
                bench.training() + ["--trace", file], ranks: ranks)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(try bench.names(in: "traces") == ["trace.json"], "no other file")
            let lines = try Self.lines(bench.bytes(of: "traces/trace.json"))
            let events = lines.compactMap(Event.init)
            let metadata = lines.filter { $0["ph"] as? String == "M" }
            #expect(events.count + metadata.count == lines.count)
            #expect(metadata.count == 3 * max(1, ranks))

            for rank in 0..<max(1, ranks) {
                let own = events.filter { $0.process == rank }
                #expect(
                    own.filter { $0.name == "step" }.map { $0.detail["step"] } == [
                        1, 2, 3, 4, 5, 6,
                    ])
                #expect(own.filter { $0.name == "evaluation" }.map { $0.detail["step"] } == [3, 6])
                // The evaluation at step 3 is the best so far.
                #expect(
                    own.filter { $0.name == "checkpoint" }.map { $0.detail["step"] } == [
                        2, 3, 4, 6,
                    ])
                let lanes = 4 / max(1, ranks)
                for name in ["data", "forward", "backward"] {
                    #expect(own.count { $0.name == name } >= 6 * lanes, "\(name)")
                }
                for name in ["exposed reduce", "update"] {
                    #expect(own.count { $0.name == name } >= 6, "\(name)")
                }
                if ranks > 1 {
                    // The arena of such a small model is one bucket.
                    for name in ["buckets started", "buckets finished"] {
                        #expect(
                            own.filter { $0.name == name }.map { $0.detail["buckets"] } == [
                                1, 1, 1, 1, 1, 1,
                            ])
                    }
                }
                try expectNested(own)
                try expectLayers(own, "forward")
                try expectLayers(own, "backward")
            }
        }

        /// A recomputed block is distinct from the parts of the backward pass, which stay complete.
        @Test("recomputation is traced")
        func recomputationIsTraced() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(set: "training.recompute=true", "model.layers=3")
                    + ["--trace", bench.path("trace.json")])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let events = try Self.lines(bench.bytes(of: "trace.json")).compactMap(Event.init)
            try expectNested(events)
            let passes = events.filter { $0.name == "backward" }
            #expect(passes.count == 6 * 4)
            for pass in passes {
                let parts = events.filter {
                    $0.category == "backward" && $0.detail["layer"] != nil
                        && $0.start >= pass.start && $0.end <= pass.end + 0.01
                }
                #expect(
                    parts.map { "\($0.name) \($0.detail["layer"] ?? -1)" } == [
                        "MLP 2", "attention 2", "recompute 1", "MLP 1", "attention 1",
                        "recompute 0", "MLP 0", "attention 0",
                    ])
            }
        }

        /// Expects that the events of one rank are either consecutive or nested.
        private func expectNested(_ events: [Event]) throws {
            #expect(zip(events, events.dropFirst()).allSatisfy { $0.start <= $1.start }, "monotone")
            #expect(events.allSatisfy { $0.start >= 0 && $0.end >= $0.start })
            // Times have whole nanoseconds, but their sums as Doubles do not.
            let tolerance = 0.01
            var open: [Event] = []
            for event in events {
                while let last = open.last, last.end <= event.start + tolerance {
                    open.removeLast()
                }
                if let last = open.last {
                    #expect(
                        event.end <= last.end + tolerance, "\(event.name) leaves \(last.name)")
                } else {
                    #expect(
                        ["step", "evaluation", "checkpoint"].contains(event.name),
                        "\(event.name) is outside of a step")
                }
                open.append(event)
            }
        }

        /// Expects that each pass contains the parts of its layers.
        private func expectLayers(
            _ events: [Event], _ category: String
        ) throws {
            for pass in events.filter({ $0.name == category }) {
                let parts = events.filter {
                    $0.category == category && $0.name != category && $0.start >= pass.start
                        && $0.end <= pass.end + 0.01
                }
                for part in ["attention", "MLP"] {
                    #expect(parts.filter { $0.name == part }.map { $0.detail["layer"] } == [0])
                }
                #expect(parts.contains { $0.name == "embedding" })
            }
        }

        /// On one host all ranks read the same clock, so any measured difference is an error.
        @Test("clocks of one host agree")
        func clocksOfOneHostAgree() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                "bench", "step", "--size", "char", "--set", "training.global_batch=4", "--steps",
                "2", "--trace", bench.path("trace.json"), "--json", ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let text = String(decoding: try bench.bytes(of: "trace.json"), as: UTF8.self)
            let clocks = text.matches(
                of: /clock (-?[0-9.]+) us from rank 0's, known to ([0-9.]+) us/)
            try #require(clocks.count == 2)
            for clock in clocks {
                let offset = try #require(Double(clock.1))
                let uncertainty = try #require(Double(clock.2))
                #expect(abs(offset) <= uncertainty + 0.1, "\(clock.0)")
                #expect(uncertainty < 10_000)
            }
            // Ranks leave a step together because of the exchange of losses.
            let events = try Self.lines(Data(text.utf8)).compactMap(Event.init)
            let waits = (0..<2).map { rank in
                events.filter { $0.process == rank && $0.name == "exposed reduce" }.map(\.end)
            }
            #expect(waits[0].count == waits[1].count && waits[0].count == 8)
        }

        @Test("tracing does not change a run")
        func tracingDoesNotChangeARun() throws {
            let bench = try Workbench()
            try bench.train(into: "plain", ranks: 2)
            let outcome = try bench.lockstep(
                bench.training(into: "traced") + ["--trace", bench.path("traced/trace.json")],
                ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(try bench.state(6, of: "plain") == bench.state(6, of: "traced"))
        }

        @Test("a file is never overwritten")
        func aFileIsNeverOverwritten() throws {
            let bench = try Workbench()
            try bench.write("mine", to: "trace.json")
            for ranks in [0, 2] {
                let outcome = try bench.lockstep(
                    bench.training() + ["--trace", bench.path("trace.json")], ranks: ranks)
                expectRefusal(outcome, 74, ["trace.json: already exists"])
            }
            #expect(try bench.bytes(of: "trace.json") == Data("mine".utf8))
            #expect(!bench.exists("run"), "refused before anything was made")
            try bench.write("mine", to: "other.json.partial")
            expectRefusal(
                try bench.lockstep(bench.training() + ["--trace", bench.path("other.json")]), 74,
                ["other.json.partial: already exists"])
        }

        @Test(
            "impossible names are refused",
            arguments: [
                ("", 64, "names no file"), ("traces/", 64, "names no file"),
                ("text.txt/trace.json", 74, "cannot be created (Not a directory)"),
            ] as [(String, Int32, String)])
        func impossibleNamesAreRefused(name: String, code: Int32, words: String) throws {
            let bench = try Workbench()
            let file = name.isEmpty ? "" : bench.path(name)
            expectRefusal(
                try bench.lockstep(bench.training() + ["--trace", file]), code, [words])
            expectRefusal(
                try bench.lockstep("bench", "step", "--size", "char", "--trace", file), code,
                [words])
            #expect(!bench.exists("run"))
        }
    }
}
