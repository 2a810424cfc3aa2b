import Data
import Dispatch
import FoundationEssentials
import Glibc
import Support
import TestSupport
import Testing

/// A text with slightly uneven bigram statistics, words and characters.
private let sample = String(
    decoding: (0..<3000).flatMap { index in
        Array("It's line \(index * 7919 % 1000), naïve — 中\(index % 13)!\n".utf8)
    }, as: UTF8.self)

@Suite struct TokenizeTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func options(
        _ inputs: [String], _ tokenizer: TokenizerChoice, output: String = "data"
    ) -> TokenizeOptions {
        TokenizeOptions(inputs: inputs, output: "\(scratch.path)/\(output)", tokenizer: tokenizer)
    }

    @Test("characters are split as nanoGPT splits them", arguments: [16, 17, 1000, 1 << 20])
    func charactersAreSplitAsByNanoGPT(chunk: Int) throws {
        var options = options([try scratch.write("a.txt", sample)], .characters)
        options.chunkBytes = chunk
        let statistics = try tokenize(options)
        let scalars = sample.unicodeScalars.map(\.value)
        let border = Int(Double(scalars.count) * 0.9)
        let folder = try DataFolder(options.output)
        let tokenizer = try #require(folder.tokenizer)
        let alphabet = Set(scalars).sorted()
        #expect(statistics.description.characters == scalars.count)
        #expect(statistics.description.bytes == sample.utf8.count)
        #expect(statistics.description.tokenizer.vocabularySize == alphabet.count)
        #expect(statistics.description.train.tokens == border)
        #expect(statistics.description.validation.tokens == scalars.count - border)
        #expect(try ids(folder.train).map { alphabet[Int($0)] } == Array(scalars[..<border]))
        #expect(try ids(folder.validation).map { alphabet[Int($0)] } == Array(scalars[border...]))
        #expect(
            try tokenizer.decode(ids(folder.train) + ids(folder.validation))
                == Array(sample.utf8))
        #expect(
            try scratch.names("data")
                == ["dataset.json", "tokenizer.json", "train.bin", "validation.bin"])
        #expect(try scratch.names() == ["a.txt", "data"])
        #expect(folder.description == statistics.description)
        try folder.validate(vocabularySize: alphabet.count)
    }

    @Test("byte pairs encode each split separately", arguments: [16, 19, 1 << 20])
    func bytePairsEncodeEachSplitSeparately(chunk: Int) throws {
        var options = options(
            [try scratch.write("a.txt", sample)], .bytePairs(folder: goldenPath("small")))
        options.chunkBytes = chunk
        options.validationFraction = 0.25
        try tokenize(options)
        let folder = try DataFolder(options.output)
        let tokenizer = try #require(folder.tokenizer)
        let scalars = Array(sample.unicodeScalars)
        let border = Int(Double(scalars.count) * 0.75)
        func text(_ part: ArraySlice<Unicode.Scalar>) -> String {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: part)
            return String(text)
        }
        #expect(try ids(folder.train) == tokenizer.encode(text(scalars[..<border])))
        #expect(try ids(folder.validation) == tokenizer.encode(text(scalars[border...])))
    }

    @Test("the byte tokenizer accepts any file, and shards are filled")
    func byteTokenizerAcceptsAnyFile() throws {
        let content = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        var options = options([try scratch.write("a", content)], .bytes)
        options.shardTokens = 300
        options.chunkBytes = 64
        let statistics = try tokenize(options)
        #expect(statistics.description.characters == nil)
        let folder = try DataFolder(options.output)
        #expect(folder.train.shards.map(\.count) == [300, 300, 300])
        #expect(try ids(folder.train) + ids(folder.validation) == content.map(UInt32.init))
        #expect(
            try scratch.names("data") == [
                "dataset.json", "tokenizer.json", "train_000000.bin", "train_000001.bin",
                "train_000002.bin", "validation_000000.bin",
            ])
    }

    @Test("several texts are joined unless they are separated")
    func textsAreJoinedUnlessSeparated() throws {
        let small = try BytePairTokenizer(folder: goldenPath("small"))
        let inputs = [
            try scratch.write("a.txt", "one tw"), try scratch.write("b.txt", "o three four"),
        ]
        var options = options(inputs, .bytePairs(folder: goldenPath("small")), output: "joined")
        options.validationFraction = 0.5
        try tokenize(options)
        let joined = try DataFolder(options.output)
        #expect(try ids(joined.train) == small.encode("one two t"))
        #expect(try ids(joined.validation) == small.encode("hree four"))

        options.output = scratch.path + "/separated"
        options.separatesDocuments = true
        try tokenize(options)
        let separated = try DataFolder(options.output)
        #expect(
            try ids(separated.train)
                == [1256] + small.encode("one tw") + [1256] + small.encode("o t"))
        #expect(try ids(separated.validation) == small.encode("hree four"))
    }

    @Test("the tokenizer of another data folder can be used")
    func anotherDataFoldersTokenizerCanBeUsed() throws {
        try tokenize(options([scratch.write("a.txt", sample)], .characters))
        let data = scratch.path + "/data"
        try tokenize(
            options(
                [scratch.write("b.txt", "line 1\nline 22\nline 333")], .existing(folder: data),
                output: "more"))
        let more = try DataFolder(scratch.path + "/more")
        let first = try DataFolder(data)
        #expect(more.tokenizer?.fingerprint == first.tokenizer?.fingerprint)
        expectFailure(.badData, "\"Z\"", "not among") {
            try tokenize(
                options(
                    [scratch.write("c.txt", "line Z line Z")], .existing(folder: data),
                    output: "worse"))
        }
        #expect(try !scratch.names().contains { $0.hasPrefix("worse") })
    }

    @Test("pipes are read once and spooled")
    func pipesAreReadOnceAndSpooled() throws {
        let pipe = scratch.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let content = Array(sample.utf8)
        DispatchQueue.global().async {
            let descriptor = open(pipe, O_WRONLY)
            _ = content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
        }
        try tokenize(options([pipe], .characters))
        try tokenize(options([scratch.write("a.txt", sample)], .characters, output: "plain"))
        let piped = try DataFolder(scratch.path + "/data")
        let plain = try DataFolder(scratch.path + "/plain")
        #expect(try ids(piped.train) == ids(plain.train))
        #expect(try ids(piped.validation) == ids(plain.validation))
        #expect(try scratch.names("data") == scratch.names("plain"))
    }

    @Test("progress ends at the total")
    func progressEndsAtTheTotal() throws {
        let path = try scratch.write("a.txt", sample)
        var options = options([path], .characters)
        options.chunkBytes = 10_000
        var steps: [TokenizeProgress] = []
        try tokenize(options) { steps.append($0) }
        for phase in [TokenizeProgress.Phase.reading, .encoding] {
            let done = steps.filter { $0.phase == phase }
            #expect(done.last?.done == sample.utf8.count)
            #expect(done.allSatisfy { $0.total == sample.utf8.count })
            #expect(done.map(\.done) == done.map(\.done).sorted())
        }
    }

    @Test("texts that are too short are refused")
    func shortTextsAreRefused() throws {
        for (text, part) in [
            ("", "0 characters"), ("a", "1 character,"), ("ab", "2 characters"),
            ("abcdefgh", "1 validation tokens"),
        ] {
            let path = try scratch.write("a.txt", text)
            expectFailure(.badData, part, "at least two tokens per split") {
                try tokenize(options([path], .characters))
            }
        }
        let path = try scratch.write("a.txt", "")
        expectFailure(.badData, "0 bytes") { try tokenize(options([path], .bytes)) }
        #expect(try scratch.names() == ["a.txt"])
    }

    @Test("texts that are not UTF-8 are refused")
    func textsThatAreNotUTF8AreRefused() throws {
        var content = Array(sample.utf8)
        content[50_000] = 0xFF
        let inputs = [try scratch.write("a.txt", sample), try scratch.write("b.txt", content)]
        for choice in [TokenizerChoice.characters, .bytePairs(folder: goldenPath("small"))] {
            var options = options(inputs, choice)
            options.chunkBytes = 1 << 12
            expectFailure(.badData, "b.txt", "UTF-8") { try tokenize(options) }
        }
        let cut = try scratch.write(
            "c.txt", [UInt8](repeating: 0x61, count: 20_000) + [0xE2, 0x82])
        expectFailure(.badData, "c.txt", "byte 20000") {
            try tokenize(options([cut], .characters))
        }
        #expect(try scratch.names() == ["a.txt", "b.txt", "c.txt"])
        try tokenize(options(inputs, .bytes))
    }

    @Test("existing output is never overwritten")
    func existingOutputIsNeverOverwritten() throws {
        let path = try scratch.write("a.txt", sample)
        try tokenize(options([path], .characters))
        let before = try scratch.bytes(of: "data/train.bin")
        for output in ["data", "data/", "a.txt"] {
            expectFailure(.usage, "already exists", "choose another folder") {
                try tokenize(options([path], .bytes, output: output))
            }
        }
        #expect(try scratch.bytes(of: "data/train.bin") == before)
        try FileManager.default.createDirectory(
            atPath: scratch.path + "/new.partial", withIntermediateDirectories: false)
        expectFailure(.inputOutput, "new.partial", "remove it") {
            try tokenize(options([path], .bytes, output: "new"))
        }
        try FileManager.default.createDirectory(
            atPath: scratch.path + "/empty", withIntermediateDirectories: false)
        try tokenize(options([path], .bytes, output: "empty"))
        try tokenize(options([path], .bytes, output: "deep/er/still"))
        #expect(try scratch.names("deep/er") == ["still"])
    }

    @Test("impossible options are refused")
    func impossibleOptionsAreRefused() throws {
        let path = try scratch.write("a.txt", sample)
        expectFailure(.missingInput, "none.txt") {
            try tokenize(options([path, scratch.path + "/none.txt"], .bytes))
        }
        expectFailure(.missingInput, "is a folder") {
            try tokenize(options([scratch.path], .bytes))
        }
        expectFailure(.usage, "<text>: is missing") { try tokenize(options([], .bytes)) }
        expectFailure(.usage, "only once") { try tokenize(options(["-", "-"], .bytes)) }
        expectFailure(.usage, "new folder") {
            try tokenize(TokenizeOptions(inputs: [path], output: "", tokenizer: .bytes))
        }
        for fraction in [0, 1, -0.5, 2, Double.nan] {
            var options = options([path], .bytes)
            options.validationFraction = fraction
            expectFailure(.usage, "--validation-fraction") { try tokenize(options) }
        }
        for tokens in [1, 0, -5, 1 << 31] {
            var options = options([path], .bytes)
            options.shardTokens = tokens
            expectFailure(.usage, "--shard-tokens \(tokens):") { try tokenize(options) }
        }
        for choice in [TokenizerChoice.bytes, .characters] {
            var options = options([path], choice)
            options.separatesDocuments = true
            expectFailure(.usage, "--separate-documents: cannot separate documents") {
                try tokenize(options)
            }
        }
        expectFailure(.inputOutput, "a.txt: cannot be created (Not a directory)") {
            try tokenize(options([path], .bytes, output: "a.txt/below"))
        }
        expectFailure(.missingInput, "no byte-pair vocabulary") {
            try tokenize(options([path], .bytePairs(folder: scratch.path)))
        }
        #expect(try scratch.names() == ["a.txt"])
    }

    /// A limit on file sizes replaces the full disk, because both fail in the middle of writing.
    @Test("a full disk leaves no partial output")
    func fullDiskLeavesNoPartialOutput() async throws {
        await #expect(processExitsWith: .exitCode(74)) {
            let scratch = try TemporaryFolder()
            let path = try scratch.write("a.txt", sample)
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 20_000, rlim_max: 20_000)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            do {
                try tokenize(
                    TokenizeOptions(
                        inputs: [path], output: scratch.path + "/deep/data", tokenizer: .bytes))
            } catch let error as Failure {
                let left = try scratch.names()
                try FileManager.default.removeItem(atPath: scratch.path)
                guard left == ["a.txt"], error.sentence.contains("free some space") else { exit(1) }
                exit(error.code.rawValue)
            }
        }
    }

    @Test("standard input can be tokenized")
    func standardInputCanBeTokenized() async throws {
        await #expect(processExitsWith: .success) {
            let scratch = try TemporaryFolder()
            let path = try scratch.write("a.txt", sample)
            guard dup2(open(path, O_RDONLY), STDIN_FILENO) == STDIN_FILENO else { exit(1) }
            try tokenize(
                TokenizeOptions(
                    inputs: ["-"], output: scratch.path + "/data", tokenizer: .characters))
            let folder = try DataFolder(scratch.path + "/data")
            guard folder.description?.sources == ["standard input"],
                folder.description?.bytes == sample.utf8.count
            else { exit(2) }
        }
    }
}

@Suite struct DataFolderTests {
    let scratch: TemporaryFolder
    let data: String

    init() throws {
        scratch = try TemporaryFolder()
        data = scratch.path + "/data"
        try tokenize(
            TokenizeOptions(
                inputs: [scratch.write("a.txt", sample)], output: data, tokenizer: .characters))
    }

    @Test("data made for another tokenizer are refused")
    func dataMadeForAnotherTokenizerIsRefused() throws {
        let description = try #require(try DatasetDescription.load(folder: data))
        try description.check(tokenizer: loadTokenizer(folder: data), of: "RUN", folder: data)
        expectFailure(.badData, "another tokenizer", "RUN", data, "256 tokens") {
            try description.check(tokenizer: ByteTokenizer(), of: "RUN", folder: data)
        }
        try scratch.write("data/tokenizer.json", ByteTokenizer().savedForm)
        expectFailure(.badData, "another tokenizer", "its own tokenizer.json") {
            _ = try DataFolder(data)
        }
    }

    @Test("files that do not match the description are refused")
    func mismatchedFilesAreRefused() throws {
        let train = try scratch.bytes(of: "data/train.bin")
        try scratch.write("data/validation.bin", train)
        expectFailure(.badData, "validation tokens", "dataset.json") { _ = try DataFolder(data) }
    }

    @Test("broken descriptions are refused")
    func brokenDescriptionsAreRefused() throws {
        let good = String(decoding: try scratch.bytes(of: "data/dataset.json"), as: UTF8.self)
        for (text, part) in [
            ("", "not valid JSON"), ("{\"version\": 1}", "has no object at tokenizer"),
            ("[]", "at its top level"),
            (good.replacing("\"version\" : 1", with: "\"version\" : 2"), "version 2"),
            (good.replacing("llm.c uint16", with: "uint12"), "at format"),
        ] {
            try scratch.write("data/dataset.json", text)
            expectFailure(.badData, "dataset.json", part) { _ = try DataFolder(data) }
        }
        try FileManager.default.removeItem(atPath: data + "/tokenizer.json")
        expectFailure(.badData, "dataset.json") { _ = try DataFolder(data) }
        expectFailure(.missingInput, "no such data folder") { _ = try DataFolder(data + "/none") }
    }

    @Test("folders made by other tools open")
    func foldersOfOtherToolsOpen() throws {
        let other = try TemporaryFolder()
        try other.write("train.bin", [1, 0, 2, 0, 3, 0])
        try other.write("val.bin", [9, 0, 2, 0])
        let folder = try DataFolder(other.path)
        #expect(folder.tokenizer == nil)
        #expect(folder.description == nil)
        #expect(folder.train.tokenCount == 3)
        try folder.validate(vocabularySize: 10)
        expectFailure(.badData, "val.bin", "token 9", "position 0") {
            try folder.validate(vocabularySize: 9)
        }
    }
}

@Suite struct BigramTests {
    @Test("the bigram loss equals that of counted pairs")
    func lossEqualsThatOfCountedPairs() throws {
        let scratch = try TemporaryFolder()
        let train = try TokenDataset(files: [
            scratch.write("train.bin", [0, 1, 0, 1, 0, 2].flatMap { [UInt8($0), 0] })
        ])
        let validation = try TokenDataset(files: [
            scratch.write("val.bin", [0, 1, 2, 0].flatMap { [UInt8($0), 0] })
        ])
        // 0 precedes 1 twice and 2 once; 1 precedes 0 twice; 2 precedes nothing. V = 3.
        let expected = -(log(3.0 / 6) + log(1.0 / 5) + log(1.0 / 3)) / 3
        let loss = try #require(
            try bigramLoss(train: train, validation: validation, vocabularySize: 3))
        #expect(abs(loss - expected) < 1e-12)
        #expect(try bigramLoss(train: train, validation: validation, vocabularySize: 1025) == nil)
    }
}
