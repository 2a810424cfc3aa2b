import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that texts that cannot be tokenized cause one sentence and leave no files.
    @Suite(.serialized) struct BadTextTests {
        @Test(
            "texts that cannot be tokenized are refused",
            arguments: [
                ([], 65, "has 0 characters"), ([0x78], 65, "has 1 character,"),
                ([0xEF, 0xBB, 0xBF], 65, "has 1 character,"),
                ([0x61, 0x62, 0xFF, 0x63], 65, "not valid UTF-8 at byte 2"),
                // A truncated character, and one in an overlong form.
                ([0x61, 0x62, 0x63, 0x64, 0xE2, 0x82], 65, "not valid UTF-8 at byte 4"),
                ([0x61, 0xC0, 0x80, 0x62, 0x63], 65, "not valid UTF-8 at byte 1"),
            ] as [([UInt8], Int32, String)])
        func areRefused(text: [UInt8], code: Int32, words: String) throws {
            let bench = try Workbench()
            try Data(text).write(to: URL(filePath: bench.path("bad.txt")))
            let before = try bench.names()
            let outcome = try bench.lockstep(
                "tokenize", bench.path("bad.txt"), "--out", bench.path("deep/er/new"))
            expectRefusal(outcome, code, [words, bench.path("bad.txt")])
            #expect(try bench.names() == before)
        }

        @Test("missing texts and existing output folders are refused")
        func missingTextsAndUsedFoldersAreRefused() throws {
            let bench = try Workbench()
            let before = try bench.names()
            expectRefusal(
                try bench.lockstep("tokenize", bench.path("none"), "--out", bench.path("new")), 66,
                [bench.path("none"), "No such file"])
            expectRefusal(
                try bench.lockstep("tokenize", bench.folder, "--out", bench.path("new")), 66,
                ["is a folder"])
            expectRefusal(
                try bench.lockstep("tokenize", bench.path("text.txt"), "--out", bench.path("data")),
                64, ["already exists"])
            expectRefusal(
                try bench.lockstep(
                    "tokenize", bench.path("text.txt"), "--out", bench.path("text.txt/new")), 74,
                ["Not a directory"])
            expectRefusal(
                try bench.lockstep(
                    "tokenize", bench.path("text.txt"), "--out", bench.path("new"), "--tokenizer",
                    "charcters"), 64, ["did you mean \"characters\"?"])
            #expect(try bench.names() == before)
            #expect(try bench.bytes(of: "text.txt") == Data(Workbench.text.utf8))
        }
    }
}
