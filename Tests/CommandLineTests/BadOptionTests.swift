import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that all commands report a bad option in one form, and with the right exit code.
    @Suite(.serialized) struct BadOptionTests {
        /// Arguments, and the option or argument that the sentence must name first. RECIPE, DATA,
        /// TEXT and CSV are files, and NEW is a place where nothing exists.
        private static let cases: [(arguments: String, subject: String)] = [
            ("tokenize TEXT", "--out"),
            ("tokenize TEXT --out NEW --validation-fraction 2", "--validation-fraction 2.0"),
            ("tokenize TEXT --out NEW --shard-tokens 1", "--shard-tokens 1"),
            ("tokenize TEXT --out NEW --tokenizer words", "--tokenizer words"),
            ("tokenize TEXT --out NEW --tokenizer bytes --vocabulary v", "--vocabulary"),
            ("tokenize TEXT --out NEW --separate-documents", "--separate-documents"),
            ("tokenize - - --out NEW", "<text>"),
            ("train RECIPE --data DATA", "--out"),
            ("train RECIPE --out NEW", "--data"),
            ("train --data DATA --out NEW", "<recipe>"),
            ("train RECIPE --data DATA --out NEW --set steps", "--set steps"),
            ("train RECIPE --data DATA --out NEW --threads-per-rank 0", "--threads-per-rank 0"),
            ("train RECIPE --data DATA --out NEW --init-checkpoint best", "--init-checkpoint"),
            (
                "train RECIPE --data DATA --out NEW --init-from NEW --init-checkpoint last",
                "--init-checkpoint last"
            ),
            ("evaluate NEW --checkpoint latest", "--checkpoint latest"),
            ("export NEW", "--to"),
            ("export NEW --to x --checkpoint latest", "--checkpoint latest"),
            ("sample", "<run>"),
            ("sample NEW --tokens 0", "--tokens 0"),
            ("sample NEW --samples none", "--samples none"),
            ("sample NEW --temperature -1", "--temperature -1.0"),
            ("sample NEW --top-p 2", "--top-p 2.0"),
            ("find-lr RECIPE", "--data"),
            ("find-lr RECIPE --data DATA --from 0", "--from 0.0"),
            ("find-lr RECIPE --data DATA --from 1 --to 0.1", "--from 1.0"),
            ("find-lr RECIPE --data DATA --steps 3", "--steps 3"),
            ("find-lr RECIPE --data DATA --probe-steps 1", "--probe-steps 1"),
            ("find-lr RECIPE --data DATA --write same --out same", "--write same"),
            ("find-lr RECIPE --data DATA --start NEW --init-from NEW", "--init-from"),
            ("coordinates RECIPE --data DATA", "--out"),
            ("coordinates RECIPE --data DATA --out NEW --steps 0", "--steps 0"),
            ("coordinates RECIPE --data DATA --out NEW --widths 3", "--widths 3"),
            (
                "coordinates RECIPE --data DATA --out NEW --parametrizations a",
                "--parametrizations a"
            ),
            ("branch NEW", "--out"),
            ("branch --out NEW", "<run>"),
            ("branch NEW --out x --repeats 0", "--repeats 0"),
            ("branch NEW --out x --tokens 0", "--tokens 0"),
            ("sweep NEW --data DATA", "--out"),
            ("sweep --data DATA --out NEW", "<specification>"),
            ("sweep NEW --data DATA --out NEW --budget soon", "--budget \"soon\""),
            ("analyze CSV --rules nope", "--rules \"nope\""),
            ("analyze CSV --tolerance 0", "--tolerance 0.0"),
            ("analyze CSV --steps 7", "--steps 7"),
            ("watch", "<run>"),
            ("watch NEW --every 0", "--every 0.0"),
            ("report CSV", "--out"),
            ("report NEW --every 5", "--every"),
            ("report NEW --follow --every 0", "--every 0.0"),
            ("report CSV --follow --out page.html", "--follow"),
            ("report NEW CSV --out page.html", "<paths>"),
            ("landscape NEW --grid 2", "--grid 2"),
            ("landscape NEW --planes 0", "--planes 0"),
            ("landscape NEW --directions all", "--directions all"),
            ("regimes --data DATA", "--out"),
            ("regimes --data DATA --out NEW --rates 3,2,1", "--rates 3,2,1"),
            ("regimes --data DATA --out NEW --sequences 0", "--sequences 0"),
            ("plan", "<recipe>"),
            ("plan RECIPE --network none", "--network none"),
            ("plan RECIPE --sequences-per-rank 0", "--sequences-per-rank 0"),
            ("plan RECIPE --tokens 0", "--tokens 0.0"),
            ("plan RECIPE --step NEW --threads-per-rank 2", "--threads-per-rank 2"),
            ("plan RECIPE --critical-batch 2 --run NEW", "--critical-batch"),
            ("doctor --threads-per-rank 0", "--threads-per-rank 0"),
            ("bench step --steps 0", "--steps 0"),
            ("bench step --size gpt3", "--size gpt3"),
            ("bench step --sequence-length 0 --size char", "--sequence-length 0"),
            ("bench kernels --precision fp8", "--precision fp8"),
            ("bench allreduce --sizes 5x", "--sizes 5x"),
            ("bench allreduce --wire fp16", "--wire fp16"),
            ("bench verdicts --sweeps 1", "--sweeps 1"),
            ("bench verdicts --case sine", "--case \"sine\""),
            ("bench verdicts --plans --case bursts", "--case \"bursts\""),
        ]

        @Test("a bad option is named first, with its problem and a remedy, and ends with code 64")
        func oneForm() throws {
            let bench = try Workbench()
            try bench.write("batch,lr,step,loss\n8,1,1,3\n", to: "runs.csv")
            let names = [
                "RECIPE": "recipe.toml", "DATA": "data", "TEXT": "text.txt", "CSV": "runs.csv",
                "NEW": "new", "same": "same",
            ]
            for (arguments, subject) in Self.cases {
                let outcome = try bench.lockstep(
                    arguments.split(separator: " ").map { word in
                        names[String(word)].map(bench.path) ?? String(word)
                    })
                let expected = subject.replacing("same", with: bench.path("same"))
                expectRefusal(outcome, 64, ["lockstep: \(expected): "])
                let sentence = outcome.sentences.last ?? ""
                #expect(
                    sentence.contains(/: [a-z][^;]*; [a-z].*[.?]$/) && !sentence.contains(".."),
                    "\(arguments): \(sentence)")
            }
            #expect(!bench.exists("new"))
        }

        @Test(
            "a failure keeps its exit code if standard error cannot be written",
            arguments: ["2>/dev/full", "2>&-"])
        func unwritableErrors(redirection: String) throws {
            let bench = try Workbench()
            let outcome = try Launch.run(
                "bash",
                [
                    "-c",
                    "\"$0\" train \"$1/none.toml\" --data \"$1/data\" --out \"$1/new\" \(redirection)",
                    Workbench.lockstep, bench.path(""),
                ])
            #expect(outcome.status == 66)
            #expect(!bench.exists("new"))
        }
    }
}
