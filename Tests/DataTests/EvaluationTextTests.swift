import Data
import TestSupport
import Testing

@Suite struct EvaluationTextTests {
    @Test(
        "sliding windows predict every target once, with enough tokens before it",
        arguments: [
            (2, 1, 1), (2, 8, 3), (9, 8, 8), (10, 8, 8), (10, 8, 1), (17, 8, 3), (100, 7, 7),
            (101, 16, 5), (1000, 64, 63), (1000, 64, 2),
        ])
    func windows(tokenCount: Int, length: Int, stride: Int) {
        let windows = SlidingWindows(tokenCount: tokenCount, length: length, stride: stride)
        var predicted: [Int] = []
        for index in 0..<windows.count {
            let window = windows.window(index)
            #expect(window.inputs <= length)
            #expect(window.start + window.inputs < tokenCount)
            for place in window.predicted..<window.inputs {
                let target = window.start + place + 1
                predicted.append(target)
                #expect(target - window.start >= min(target, length - stride))
            }
        }
        #expect(predicted == Array(1..<tokenCount))
    }

    @Test("the first token is given, so its bytes and characters are not counted")
    func counts() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("text", "aé\u{1F600}b")
        let bytes = try EvaluationText(
            path: path, tokenizer: ByteTokenizer(), vocabularySize: 256)
        #expect(bytes.tokens == [0x61, 0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x80, 0x62])
        #expect(bytes.bytes == 7)
        #expect(bytes.characters == 3)
        let characters = try EvaluationText(
            path: path,
            tokenizer: try CharacterTokenizer(scalars: "aé\u{1F600}b".unicodeScalars.map(\.value)),
            vocabularySize: 4)
        #expect(characters.tokens == [0, 2, 3, 1])
        #expect(characters.bytes == 7)
        #expect(characters.characters == 3)
    }

    @Test(
        "texts that cannot be predicted are refused",
        arguments: [
            ([], "is empty"), ([0x61], "has only one token"),
            (
                [0x61, 0x62, 0xFA],
                "has the token 250 at position 2, outside the model's vocabulary"
            ),
        ] as [([UInt8], String)])
    func refusals(bytes: [UInt8], words: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("text", bytes)
        expectFailure(.badData, path, words) {
            _ = try EvaluationText(path: path, tokenizer: ByteTokenizer(), vocabularySize: 250)
        }
    }
}
