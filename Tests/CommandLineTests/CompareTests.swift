import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of Tests/Peers/compare without PyTorch and with mistakes in its arguments.
    @Suite(.serialized) struct CompareTests {
        /// Runs the script in a Python without other packages.
        private static func compare(_ arguments: String...) throws -> Outcome {
            try Launch.run(
                "python3", ["-E", "-S", "\(Launch.root)/Tests/Peers/compare"] + arguments)
        }

        @Test("without PyTorch the remedy is named")
        func missingPyTorchIsNamed() throws {
            let outcome = try Self.compare("--sizes", "char", "--pairs", "1")
            #expect(outcome.status == 69)
            #expect(outcome.output.isEmpty)
            #expect(outcome.sentences.count == 1, "\(outcome.errors)")
            for words in [
                "compare: ", "has no PyTorch", "python3 -m venv .venv", "pip install",
                "torch==2.13.0+cpu numpy",
            ] {
                #expect(outcome.errors.contains(words), "\(outcome.errors)")
            }
        }

        @Test(
            "mistakes are refused",
            arguments: [
                ("--sizes", "char,gpt9", "--sizes names \"gpt9\""),
                ("--precisions", "fp8", "none of fp32, bf16"), ("--pairs", "0", "--pairs is 0"),
                ("--ranks", "many", "invalid int value: 'many'"),
            ])
        func mistakesAreRefused(option: String, value: String, words: String) throws {
            let outcome = try Self.compare(option, value)
            #expect(outcome.status == 64)
            #expect(outcome.sentences.count == 1 && outcome.output.isEmpty, "\(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
    }
}
