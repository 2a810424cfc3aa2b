import Data
import Foundation
import TestSupport
import Testing

/// Tests that the tokens do not depend on the number of threads.
@Suite struct ThreadedEncodingTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    /// A text of words, numbers, symbols and scripts, with long stretches that cannot be divided.
    private static let text: String = {
        let parts = [
            "don't ", "we'll\n", "'s", "  ", "\n\n", "abc123", "12345678", "中文字", "é\u{301}x ",
            "A\u{30A}", "-->", "...\n", "<x> ", "한글 ", "\u{1F600}", "Straße, ", "\t\tif (a_b) {",
            "\r\n", "e\u{327}\u{301}", " <|endoftext|>",
        ]
        var state: UInt64 = 7
        var text = ""
        for index in 0..<4000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            text += parts[Int(state >> 33) % parts.count]
            if index % 1000 == 500 { text += String(repeating: "123 ", count: 200) }
        }
        return text
    }()

    /// Returns tokenizers with every pattern, with normalization, and with an added token.
    private func tokenizers() throws -> [(String, TokenizerChoice)] {
        var files = try TokenizerPatternTests.load().cases.map {
            ($0.name, try JSONSerialization.data(withJSONObject: $0.file))
        }
        files += try TokenizerSettingTests.load().cases
            .filter { TokenizerSettingTests.supported.dropLast().contains($0.name) }
            .map { ($0.name, $0.file) }
        #expect(files.count == 9)
        return [("characters", .characters), ("bytes", .bytes)]
            + (try files.enumerated().map {
                ($1.0, .file(try scratch.write("\($0).json", $1.1)))
            })
    }

    @Test("tokens equal those of the whole text on any number of threads")
    func tokensEqualThoseOfTheWholeText() throws {
        let path = try scratch.write("a.txt", Self.text)
        let scalars = Array(Self.text.unicodeScalars)
        let border = Int(Double(scalars.count) * 0.9)
        func string(_ part: ArraySlice<Unicode.Scalar>) -> String {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: part)
            return String(text)
        }
        for (name, choice) in try tokenizers() {
            for (threads, chunk) in [(1, 1 << 20), (1, 64), (3, 100), (2, 1000)] {
                var options = TokenizeOptions(
                    inputs: [path], output: "\(scratch.path)/\(UUID().uuidString)",
                    tokenizer: choice)
                options.threads = threads
                options.chunkBytes = chunk
                try tokenize(options)
                let folder = try DataFolder(options.output)
                guard name != "bytes" else {
                    #expect(
                        try ids(folder.train) + ids(folder.validation)
                            == Self.text.utf8.map(UInt32.init))
                    continue
                }
                let tokenizer = try #require(folder.tokenizer)
                let place = "\(name), \(threads) threads, chunks of \(chunk)"
                #expect(
                    try ids(folder.train) == tokenizer.encode(string(scalars[..<border])),
                    "\(place)")
                #expect(
                    try ids(folder.validation) == tokenizer.encode(string(scalars[border...])),
                    "\(place)")
            }
        }
    }

    @Test("documents of any length keep their tokens, also if their text cannot be divided")
    func documentsKeepTheirTokens() throws {
        let texts = (0..<40).map { index in
            index % 3 == 0
                ? String(repeating: "\(index * 7919 % 1000) \u{20000} ", count: 10 * index + 1)
                : "short \(index)\u{301}"
        }
        let paths = try texts.enumerated().map { try scratch.write("\($0).txt", $1) }
        var count = 0
        for (name, choice) in try tokenizers() {
            guard case .file(let file) = choice else { continue }
            let tokenizer = try loadTokenizer(path: file)
            guard let end = tokenizer.endOfText else { continue }
            count += 1
            for (threads, chunk) in [(1, 64), (2, 300), (3, 1000)] {
                var options = TokenizeOptions(
                    inputs: paths, output: "\(scratch.path)/\(UUID().uuidString)",
                    tokenizer: choice)
                options.validationInputs = [paths[0]]
                options.separatesDocuments = true
                (options.threads, options.chunkBytes) = (threads, chunk)
                try tokenize(options)
                let folder = try DataFolder(options.output)
                #expect(
                    try ids(folder.train) == texts.flatMap { [end] + (try tokenizer.encode($0)) },
                    "\(name), \(threads) threads, chunks of \(chunk)")
            }
        }
        #expect(count > 5)
    }
}
