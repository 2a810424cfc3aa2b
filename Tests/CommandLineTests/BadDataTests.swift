import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that damaged or unrelated token files are refused before a run's folder is created.
    @Suite(.serialized) struct BadDataTests {
        /// A change of train.bin: of a 32-bit word of the header, a token or the size.
        enum Damage: Sendable {
            case word(Int, Int32)
            case token(Int, UInt16)
            case cutTo(Int)
        }

        @Test(
            "damaged token files are refused",
            arguments: [
                (Damage.word(0, 20_240_521), "magic number 20240521", 2),
                (.word(0, 20_240_521), "magic number 20240521", 0),
                (.word(1, 2), "version 2", 0), (.word(2, 7), "has a header for 7 tokens", 0),
                (.word(2, -1), "has a header for -1 tokens", 0),
                (.token(11, 999), "the token 999 at position 11, outside the vocabulary", 0),
                (.token(11, 999), "the token 999 at position 11, outside the vocabulary", 2),
                (.cutTo(1025), "it is cut off or damaged", 0), (.cutTo(0), "train.bin", 0),
            ] as [(Damage, String, Int)])
        func damagedTokenFiles(damage: Damage, words: String, ranks: Int) throws {
            let bench = try Workbench()
            let data = try bench.copyData(to: "bad data")
            var bytes = try bench.bytes(of: "bad data/train.bin")
            switch damage {
            case .word(let index, let value):
                withUnsafeBytes(of: value.littleEndian) {
                    bytes.replaceSubrange(4 * index..<4 * index + 4, with: $0)
                }
            case .token(let position, let value):
                withUnsafeBytes(of: value.littleEndian) {
                    let first = 1024 + 2 * position
                    bytes.replaceSubrange(first..<first + 2, with: $0)
                }
            case .cutTo(let size): bytes = bytes.prefix(size)
            }
            try bytes.write(to: URL(filePath: "\(data)/train.bin"))
            let outcome = try bench.lockstep(bench.training(data: data), ranks: ranks)
            expectRefusal(outcome, 65, ["\(data)/train.bin", words])
            #expect(!bench.exists("run"))
        }

        @Test("data shorter than the context are refused", arguments: [0, 2])
        func dataShorterThanTheContext(ranks: Int) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(set: "model.context_length=100000"), ranks: ranks)
            expectRefusal(outcome, 65, ["context_length = 100000: is too long for data of"])
            #expect(!bench.exists("run"))
        }

        @Test("missing data are named")
        func missingData() throws {
            let bench = try Workbench()
            for data in [bench.path("none"), bench.path("text.txt")] {
                let outcome = try bench.lockstep(bench.training(data: data))
                expectRefusal(outcome, 66, ["\(data): there is no such data folder"])
            }
            let data = try bench.copyData(to: "half")
            try FileManager.default.removeItem(atPath: "\(data)/validation.bin")
            expectRefusal(
                try bench.lockstep(bench.training(data: data)), 66, ["has no validation.bin"])
            #expect(!bench.exists("run"))
        }

        /// The other tokenizer has more or fewer symbols than the run's.
        @Test(
            "data of another tokenizer are refused",
            arguments: ["0123456789 abcdefghijklmnopqrstuvwxyz ABCDEF.", "ab ab"])
        func dataOfAnotherTokenizer(symbols: String) throws {
            let bench = try Workbench()
            try bench.train()
            try bench.write(String(repeating: symbols, count: 20), to: "other.txt")
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("other.txt"), "--out", bench.path("other"))
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            let words = ["made with another tokenizer", "--like '\(bench.path("run"))'"]
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep(
                        "evaluate", bench.path("run"), "--data", bench.path("other"), ranks: ranks),
                    65, words)
            }
            expectRefusal(
                try bench.lockstep(
                    "train", "--resume", "--out", bench.path("run"), "--data", bench.path("other")),
                65, words)
        }

        @Test("another text can be tokenized with the run's tokenizer and evaluated")
        func anotherTextWithTheSameTokenizer() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.write("a tree, and a tree, and a tree, and a tree.", to: "other.txt")
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("other.txt"), "--like", bench.path("run"), "--out",
                bench.path("other"), "--validation-fraction", "0.5")
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            let outcome = try bench.lockstep(
                "evaluate", bench.path("run"), "--data", bench.path("other"))
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("over 21 targets"), "\(outcome.output)")
            // A run cannot be resumed with other data.
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--data", bench.path("other"))
            #expect(resumed.status == 65)
            #expect(resumed.sentences.last?.contains("was trained on other data") == true)
        }
    }
}
