import Data
import Foundation
import TestSupport
import Testing

private func bytes<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}

private func header(_ magic: Int32, _ version: Int32, _ count: Int32) -> [UInt8] {
    bytes([magic, version, count] + [Int32](repeating: 0, count: 253))
}

private func tokens(_ file: TokenFile) throws -> [Int32] {
    var ids = [Int32](repeating: -1, count: file.count)
    try ids.withUnsafeMutableBufferPointer { target in
        if let base = target.baseAddress { try file.copy(from: 0, count: file.count, into: base) }
    }
    return ids
}

@Suite struct TokenFileTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    @Test("every token file format is read")
    func everyFormatIsRead() throws {
        let ids = Array(0..<1000).map { $0 * 65 }
        let narrow = bytes(ids.map { UInt16($0) })
        let wide = bytes(ids.map { UInt32($0) + 100_000 })
        let cases: [(TokenFileFormat, [UInt8], Int)] = [
            (.uint16, header(20_240_520, 1, 1000) + narrow, 0),
            (.uint32, header(20_240_801, 7, 1000) + wide, 100_000), (.bare, narrow, 0),
        ]
        for (format, content, shift) in cases {
            let file = try TokenFile(scratch.write("a.bin", content))
            #expect(file.format == format)
            #expect(try tokens(file) == ids.map { Int32($0 + shift) })
        }
    }

    @Test("written token files have llm.c's format")
    func writtenFilesHaveTheFormatOfLLMC() throws {
        for (vocabularySize, format) in [(65536, TokenFileFormat.uint16), (65537, .uint32)] {
            let path = "\(scratch.path)/\(vocabularySize).bin"
            var writer = try TokenFileWriter(path, vocabularySize: vocabularySize)
            try writer.append([1, 2, 65535][...])
            try writer.append([][...])
            try writer.append([9][...])
            try writer.finish()
            #expect(try TokenFile(path).format == format)
            let content = try scratch.bytes(of: "\(vocabularySize).bin")
            #expect(
                content
                    == (format == .uint16
                        ? header(20_240_520, 1, 4) + bytes([1, 2, 65535, 9] as [UInt16])
                        : header(20_240_801, 7, 4) + bytes([1, 2, 65535, 9] as [UInt32])))
        }
        #expect(try scratch.names() == ["65536.bin", "65537.bin"])
    }

    @Test("files that are not token files are refused")
    func otherFilesAreRefused() throws {
        let some = bytes([1, 2, 3] as [UInt16])
        let bad: [([UInt8], [String])] = [
            ([], ["is empty"]), ([1, 2, 3], ["odd"]),
            (header(20_240_521, 1, 3) + some, ["magic number 20240521"]),
            (header(123_456, 1, 3) + some, ["magic number 123456"]),
            (bytes([20_240_801 + 1, 7] as [Int32]) + some, ["magic number"]),
            (header(20_240_520, 2, 3) + some, ["version 2", "version 1"]),
            (header(20_240_801, 1, 3) + some + some, ["version 1", "version 7"]),
            (header(20_240_520, 1, 4) + some, ["4 tokens", "hold 3", "cut off"]),
            (header(20_240_520, 1, 2) + some, ["2 tokens", "hold 3"]),
            (header(20_240_520, 1, 3) + some + [0], ["3 tokens", "1031 bytes"]),
            (header(20_240_520, 1, -1) + some, ["-1 tokens"]),
            (header(20_240_520, 1, 0), ["no tokens"]),
            (Array(header(20_240_520, 1, 3).prefix(100)), ["100 bytes", "cut off"]),
        ]
        for (content, parts) in bad {
            let path = try scratch.write("bad.bin", content)
            for part in parts {
                expectFailure(.badData, part, "bad.bin") { _ = try TokenFile(path) }
            }
        }
        expectFailure(.missingInput, "none.bin") { _ = try TokenFile("\(scratch.path)/none.bin") }
        expectFailure(.badData, "not a plain file") { _ = try TokenFile(scratch.path) }
    }

    /// Tests a file that is truncated, emptied or overwritten while it is open.
    @Test("files that change while they are read are named")
    func filesThatChangeDuringReadingAreNamed() throws {
        let ids = (0..<10_000).map { UInt16($0 % 50) }
        for content in [bytes(ids), header(20_240_520, 1, 10_000) + bytes(ids)] {
            let path = try scratch.write("a.bin", content)
            let dataset = try TokenDataset(files: [path]).bounded(by: 50)
            var window = [Int32](repeating: 0, count: 100)
            func read(from first: Int) throws {
                try window.withUnsafeMutableBufferPointer { target in
                    if let base = target.baseAddress {
                        try dataset.copy(from: first, count: 100, into: base)
                    }
                }
            }
            try read(from: 9900)
            #expect(window == ids[9900...].map(Int32.init))
            var changed = content
            changed[content.count - 2] = 50
            let handle = try FileHandle(forUpdating: URL(filePath: path))
            try handle.write(contentsOf: Data(changed))
            expectFailure(.badData, path, "overwritten", "token 50") { try read(from: 9900) }
            try read(from: 9899)
            try handle.truncate(atOffset: UInt64(content.count - 1))
            expectFailure(.inputOutput, path, "truncated to \(content.count - 1) bytes") {
                try read(from: 9900)
            }
            try handle.truncate(atOffset: 0)
            expectFailure(.inputOutput, path, "truncated to 0 bytes") { try read(from: 0) }
            expectFailure(.inputOutput, path, "was truncated") { _ = try dataset.fingerprint }
            expectFailure(.inputOutput, path, "was truncated") {
                try dataset.validate(vocabularySize: 50)
            }
            try handle.close()
        }
    }

    /// The files are sparse. Reading all tokens would take an hour.
    @Test("2^40 tokens open at once and can be read", .timeLimit(.minutes(1)))
    func manyTokensOpenAtOnce() throws {
        let count = 1 << 40
        let whole = try scratch.write("whole.bin", [])
        let half = try scratch.write("half.bin", [])
        for (path, tokens) in [(whole, count), (half, count / 2)] {
            let handle = try FileHandle(forWritingTo: URL(filePath: path))
            try handle.truncate(atOffset: UInt64(2 * tokens))
            try handle.seek(toOffset: UInt64(2 * (tokens - 1)))
            try handle.write(contentsOf: Data([7, 0]))
            try handle.close()
        }
        for files in [[whole], [half, half]] {
            let dataset = try TokenDataset(files: files)
            #expect(dataset.tokenCount == count)
            try dataset.validate(vocabularySize: 8)
            var window = [Int32](repeating: 1, count: 3)
            try window.withUnsafeMutableBufferPointer { target in
                if let base = target.baseAddress {
                    try dataset.bounded(by: 8).copy(from: count - 3, count: 3, into: base)
                }
            }
            #expect(window == [0, 0, 7])
            expectFailure(.badData, "has the token 7", "outside the vocabulary of 7") {
                try dataset.validate(vocabularySize: 7)
            }
            expectFailure(.badData, "has the token 7", "outside the vocabulary of 7") {
                try window.withUnsafeMutableBufferPointer { target in
                    if let base = target.baseAddress {
                        try dataset.bounded(by: 7).copy(from: count - 3, count: 3, into: base)
                    }
                }
            }
            let order = try SampleOrder(seed: 3, tokenCount: count, contextLength: 1 << 10)
            let offsets = (0..<1000).map(order.offset(ofSample:))
            #expect(Set(offsets).count == 1000)
            #expect(offsets.contains { $0 > 1 << 39 })
            #expect(offsets.allSatisfy { $0 >= 0 && $0 + (1 << 10) < count })
        }
    }

    @Test("tokens outside the vocabulary are named")
    func tokensOutsideTheVocabularyAreNamed() throws {
        var ids = [UInt16](repeating: 5, count: 50_000)
        ids[40_001] = 300
        ids[40_002] = 301
        let dataset = try TokenDataset(files: [
            scratch.write("a.bin", bytes([1, 2] as [UInt16])), scratch.write("b.bin", bytes(ids)),
        ])
        try dataset.validate(vocabularySize: 302)
        try dataset.validate(vocabularySize: 1 << 20)
        for size in [6, 300] {
            expectFailure(.badData, "b.bin", "token 300", "position 40001", "\(size)") {
                try dataset.validate(vocabularySize: size)
            }
        }
        let wide = try TokenFile(
            scratch.write("c.bin", header(20_240_801, 7, 2) + bytes([1, UInt32.max])))
        #expect(try wide.firstToken(outside: 1 << 31)?.position == 1)
        #expect(try wide.firstToken(outside: 1 << 31)?.token == Int(UInt32.max))
    }
}

@Suite struct TokenDatasetTests {
    let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    @Test("shards form one sequence")
    func shardsAreOneSequence() throws {
        var files: [String] = []
        var all: [Int32] = []
        for (index, size) in [3, 1, 7, 2].enumerated() {
            let ids = (0..<size).map { UInt16(index * 10 + $0) }
            all += ids.map(Int32.init)
            files.append(try scratch.write("train_00\(index).bin", bytes(ids)))
        }
        let dataset = try TokenDataset.open(folder: scratch.path, split: .train)
        #expect(dataset.shards.map(\.path) == files)
        #expect(dataset.tokenCount == 13)
        for first in 0...13 {
            for count in 0...13 - first {
                var ids = [Int32](repeating: -1, count: count + 1)
                try ids.withUnsafeMutableBufferPointer { ids in
                    if let base = ids.baseAddress {
                        try dataset.copy(from: first, count: count, into: base)
                    }
                }
                #expect(ids == all[first..<first + count] + [-1])
            }
        }
    }

    @Test("splits are found by their names")
    func splitsAreFoundByTheirNames() throws {
        let one = bytes([1, 2] as [UInt16])
        for (name, split) in [
            ("train.bin", DataSplit.train), ("train_1.bin", .train), ("val.bin", .validation),
            ("val_a.bin", .validation), ("validation.bin", .validation),
            ("validation_0.bin", .validation),
        ] {
            let scratch = try TemporaryFolder()
            try scratch.write(name, one)
            try scratch.write("other.bin", one)
            #expect(
                try TokenDataset.open(folder: scratch.path, split: split).shards.map(\.path)
                    == ["\(scratch.path)/\(name)"])
            expectFailure(.missingInput, split == .train ? "validation.bin" : "train.bin") {
                let other: DataSplit = split == .train ? .validation : .train
                _ = try TokenDataset.open(folder: scratch.path, split: other)
            }
        }
        try scratch.write("val.bin", one)
        try scratch.write("validation.bin", one)
        expectFailure(.badData, "validation.bin", "val.bin") {
            _ = try TokenDataset.open(folder: scratch.path, split: .validation)
        }
        expectFailure(.missingInput, "cannot be listed") {
            _ = try TokenDataset.open(folder: scratch.path + "/none", split: .train)
        }
        expectFailure(.missingInput, "the list of token files: is empty") {
            _ = try TokenDataset(files: [])
        }
    }

    @Test("fingerprints depend only on the tokens")
    func fingerprintsDependOnlyOnTheTokens() throws {
        let ids = (0..<1000).map { UInt16($0) }
        let whole = try scratch.write("a.bin", bytes(ids))
        let parts = try [
            scratch.write("b.bin", header(20_240_520, 1, 400) + bytes(Array(ids[..<400]))),
            scratch.write(
                "c.bin", header(20_240_801, 7, 600) + bytes(ids[400...].map(UInt32.init))),
        ]
        var changed = ids
        changed[999] = 0
        let other = try scratch.write("d.bin", bytes(changed))
        let fingerprint = try TokenDataset(files: [whole]).fingerprint
        #expect(try TokenDataset(files: parts).fingerprint == fingerprint)
        #expect(try TokenDataset(files: [other]).fingerprint != fingerprint)
        #expect(try TokenDataset(files: [whole, other]).fingerprint != fingerprint)
    }

    @Test("fingerprints of long data cover both ends")
    func fingerprintsOfLongDataCoverBothEnds() throws {
        var ids = [UInt16](repeating: 3, count: (1 << 20) + 12_345)
        let fingerprint = try TokenDataset(files: [scratch.write("a.bin", bytes(ids))]).fingerprint
        // Blocks of 4096 start 4144 tokens apart, so 4100 is between two of them.
        for position in [0, 4100, ids.count - 1] {
            ids[position] = 4
            let path = try scratch.write("b.bin", bytes(ids))
            let isSampled = position != 4100
            #expect((try TokenDataset(files: [path]).fingerprint != fingerprint) == isSampled)
            ids[position] = 3
        }
    }
}
