import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the inputs and the options of `lockstep tokenize`.
    @Suite(.serialized) struct TokenizeInputTests {
        private static let vocabulary = "\(Launch.root)/Tests/DataTests/Golden/small"

        @Test("compressed standard input has the tokens of the text")
        func compressedInputHasTheTokensOfTheText() throws {
            let bench = try Workbench()
            for command in ["gzip", "zstd -q"] {
                let name = String(command.prefix(4))
                let piped = try Launch.run(
                    "bash",
                    [
                        "-ec", "\(command) -c <\"$1\" | \"$2\" tokenize - --out \"$3\"", "bash",
                        bench.path("text.txt"), Workbench.lockstep, bench.path(name),
                    ])
                #expect(piped.status == 0, "\(piped.errors)")
                for file in ["train.bin", "validation.bin", "tokenizer.json"] {
                    #expect(
                        try bench.bytes(of: "\(name)/\(file)") == bench.bytes(of: "data/\(file)"))
                }
            }
        }

        @Test("a model trains on JSON lines with a validation set of its own")
        func modelTrainsOnJSONLines() throws {
            let bench = try Workbench()
            let lines = Workbench.text.split(separator: "\n").map { "{\"body\": \"\($0)\"}" }
            try bench.write(lines.joined(separator: "\n"), to: "a.json")
            try bench.write(lines.prefix(5).joined(separator: "\n"), to: "b.json")
            let outcome = try bench.lockstep(
                "tokenize", bench.path("a.json"), "--field", "body", "--validation",
                bench.path("b.json"), bench.path("b.json"), "--tokenizer", "gpt2", "--vocabulary",
                Self.vocabulary, "--threads", "3", "--out", bench.path("lines"))
            #expect(outcome.status == 0, "\(outcome.errors)")
            let description = try #require(
                try JSONSerialization.jsonObject(with: bench.bytes(of: "lines/dataset.json"))
                    as? [String: Any])
            #expect(
                description["validation_sources"] as? [String] == [
                    bench.path("b.json"), bench.path("b.json"),
                ])
            #expect(description["separates_documents"] as? Bool == true)
            let trained = try bench.lockstep(
                bench.training(
                    data: bench.path("lines"), set: "data.reset_at_documents=true"))
            #expect(trained.status == 0, "\(trained.errors)")
        }

        @Test("impossible inputs and options are refused")
        func impossibleInputsAreRefused() throws {
            let bench = try Workbench()
            try bench.write("PAR1", to: "a.parquet")
            try bench.write("{\"text\": \"one\"}\n{\"text\": 2}\n", to: "a.jsonl")
            let before = try bench.names()
            for (input, options, code, words) in [
                ("a.parquet", [], 65, ["a.parquet: is a Parquet file", "JSON lines"]),
                ("a.jsonl", [], 65, ["a.jsonl, line 2: has no string at text", "--field"]),
                ("text.txt", ["--field", "text"], 65, ["text.txt, line 1: is not valid JSON"]),
                ("text.txt", ["--field", ""], 64, ["--field \"\": is empty"]),
                ("text.txt", ["--threads", "0"], 64, ["--threads 0: must be from 1"]),
                ("text.txt", ["--resume"], 66, ["has no interrupted tokenization"]),
                (
                    "text.txt",
                    ["--validation-fraction", "0.2", "--validation", bench.path("text.txt")], 64,
                    ["--validation-fraction 0.2: does nothing with --validation"]
                ),
                (
                    "text.txt", ["--validation", bench.path("none")], 66,
                    [bench.path("none"), "No such file"]
                ),
            ] as [(String, [String], Int32, [String])] {
                let outcome = try bench.lockstep(
                    ["tokenize", bench.path(input), "--out", bench.path("new")] + options)
                expectRefusal(outcome, code, words)
            }
            #expect(try bench.names() == before)
        }

        @Test("repeated signals stop a tokenization with 75, and leave nothing")
        func repeatedSignalsLeaveNothing() throws {
            let bench = try Workbench()
            let pipe = bench.path("pipe")
            try #require(mkfifo(pipe, 0o600) == 0)
            let before = try bench.names()
            for signal in [SIGINT, SIGTERM] {
                // Nothing is written to the pipe.
                let command = try BackgroundCommand(
                    Workbench.lockstep, ["tokenize", pipe, "--out", bench.path("new")])
                try command.wait(until: { bench.exists("new.partial/input-0") }, "the copy")
                for _ in 0..<20 { command.send(signal) }
                #expect(command.waitUntilExit() == 75)
                #expect(try bench.names() == before)
            }
        }
    }
}
