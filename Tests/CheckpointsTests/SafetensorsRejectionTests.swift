import Checkpoints
import Compute
import Foundation
import Support
import TestSupport
import Testing

/// A damaged file: its header, its data and words of the refusal.
struct BadFile: CustomTestStringConvertible, Sendable {
    let header: [UInt8]
    var data = 0
    var length: UInt64?
    let words: [String]

    init(_ header: String, data: Int = 0, length: UInt64? = nil, _ words: String...) {
        self.init(Array(header.utf8), data: data, length: length, words)
    }

    init(_ header: [UInt8], data: Int = 0, length: UInt64? = nil, _ words: [String]) {
        self.header = header
        self.data = data
        self.length = length
        self.words = words
    }

    /// Makes a file whose header has one tensor "a" with the given fields.
    init(fields: String, data: Int = 0, _ words: String...) {
        self.init(Array("{\"a\":{\(fields)}}".utf8), data: data, words)
    }

    var bytes: [UInt8] {
        withUnsafeBytes(of: (length ?? UInt64(header.count)).littleEndian, Array.init) + header
            + Array(repeating: 7, count: data)
    }

    var testDescription: String { String(decoding: header.prefix(80), as: UTF8.self) }
}

private func entry(_ name: String, _ start: Int, _ end: Int) -> String {
    "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[\((end - start) / 4)],\"data_offsets\":[\(start),\(end)]}"
}

@Suite struct SafetensorsRejectionTests {
    static let badFiles: [BadFile] = [
        // The length.
        BadFile("{}", length: 3, "3 bytes", "ends after 2"),
        BadFile("{}", length: 100_000_001, "100000001", "more than 100000000"),
        BadFile("{}", length: .max, "more than 100000000"),
        BadFile("", "does not begin with {"),
        // The JSON.
        BadFile(" {}", "does not begin with {"),
        BadFile("[]", "does not begin with {"),
        BadFile("{", "without quotes"),
        BadFile("{} x", "after the end", "byte 3"),
        BadFile("{\(entry("a", 0, 4)),}", data: 4, "a key without quotes"),
        BadFile("{\(entry("a", 0, 4))", data: 4, "not closed"),
        BadFile("{'a':1}", "without quotes"),
        BadFile("{\"a\" 1}", "colon"),
        BadFile("{\"a\":truf}", "unknown word"),
        BadFile("{\"a\":01}", "not closed"),
        BadFile("{\"a\":+1}", "unexpected character"),
        BadFile("{\"a\":.5}", "unexpected character"),
        BadFile("{\"a\":NaN}", "unexpected character"),
        BadFile("{\"a\":\"\n\"}", "control character"),
        BadFile("{\"a\":\"\\x\"}", "unknown escape"),
        BadFile("{\"a\":\"\\u12\"}", "four hexadecimal"),
        BadFile("{\"\\ud800\":1}", "surrogate"),
        BadFile("{\"\\ud800\\u0041\":1}", "surrogate"),
        BadFile("{\"\\udc00\":1}", "surrogate"),
        BadFile("{\"a\":\"", "not closed"),
        BadFile("{\"a\":", "too early"),
        BadFile("{\"a\":" + String(repeating: "[", count: 100_000), "nesting"),
        BadFile(Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8), ["not UTF-8"]),
        BadFile(Array("{\"".utf8) + [0xC0, 0x80] + Array("\":1}".utf8), ["not UTF-8"]),
        BadFile(Array("{\"".utf8) + [0xED, 0xA0, 0x80] + Array("\":1}".utf8), ["not UTF-8"]),
        BadFile(Array("{}".utf8) + [0xFF], ["after the end"]),
        // Keys that appear twice, also when they are spelled differently.
        BadFile("{\(entry("a", 0, 4)),\(entry("a", 0, 4))}", data: 4, "\"a\" a second time"),
        BadFile("{\(entry("a", 0, 4)),\(entry("\\u0061", 0, 4))}", data: 4, "\"a\" a second time"),
        BadFile("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", "\"k\" a second time"),
        BadFile("{\"__metadata__\":{},\"__metadata__\":{}}", "a second time"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]",
            data: 4, "\"dtype\" a second time"),
        // The metadata.
        BadFile("{\"__metadata__\":1}", "no object at __metadata__"),
        BadFile("{\"__metadata__\":null}", "no object at __metadata__"),
        BadFile("{\"__metadata__\":{\"k\":1}}", "no string at __metadata__.k"),
        // The fields.
        BadFile("{\"a\":1}", "no object at a"),
        BadFile(fields: "\"shape\":[1],\"data_offsets\":[0,4]", data: 4, "no string at a.dtype"),
        BadFile(fields: "\"dtype\":\"F32\",\"data_offsets\":[0,4]", data: 4, "no array at a.shape"),
        BadFile(fields: "\"dtype\":\"F32\",\"shape\":[1]", data: 4, "no array at a.data_offsets"),
        BadFile(
            fields: "\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]", data: 4,
            "unknown dtype \"F31\""),
        BadFile(
            fields: "\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]", data: 4,
            "unknown dtype"),
        BadFile(
            fields: "\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]", data: 4,
            "no string at a.dtype"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]", data: 4,
            "no whole number at a.shape.0"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]", data: 4,
            "natural numbers"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[-0],\"data_offsets\":[0,0]",
            "no whole number at a.shape.0"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]",
            data: 4, "no whole number at a.shape.0"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":\"1\",\"data_offsets\":[0,4]", data: 4,
            "no array at a.shape"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]", data: 4,
            "not a range"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]", data: 4,
            "not a range"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]", data: 8,
            "not a range"),
        // The sizes.
        BadFile(
            fields:
                "\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]",
            "overflows"),
        BadFile(
            fields: "\"dtype\":\"F64\",\"shape\":[9223372036854775807],\"data_offsets\":[0,8]",
            data: 8, "overflows"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", data: 4,
            "4 bytes", "needs 8"),
        BadFile(
            fields: "\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]", data: 8, "needs 4"),
        // The coverage.
        BadFile("{\(entry("a", 4, 8))}", data: 8, "\"a\" follows a hole"),
        BadFile("{\(entry("a", 0, 4)),\(entry("b", 8, 12))}", data: 12, "\"b\" follows a hole"),
        BadFile("{\(entry("a", 0, 8)),\(entry("b", 4, 12))}", data: 12, "\"b\" overlaps"),
        BadFile("{\(entry("a", 0, 4)),\(entry("b", 0, 4))}", data: 4, "overlaps"),
        BadFile("{\(entry("a", 0, 4))}", data: 5, "1 bytes after the last tensor"),
        BadFile("{}", data: 1, "1 bytes after"),
        BadFile("{\(entry("a", 0, 4))}", data: 3, "ends 1 bytes before"),
    ]

    @Test("a file that violates the format is refused", arguments: badFiles)
    func refuses(_ file: BadFile) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/bad.safetensors"
        try write(file.bytes, to: path)
        let failure = try #require(
            caughtFailure { () throws(Failure) in _ = try SafetensorsFile(opening: path) })
        #expect(failure.code == .badData)
        for word in file.words + [path, "not a valid safetensors file"] {
            #expect(failure.sentence.contains(word), "\(failure)")
        }
    }

    @Test("a file that is shorter than its header states is refused", arguments: 0..<9)
    func refusesAFileShorterThanItsLength(_ count: Int) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/short.safetensors"
        try write(BadFile("{}").bytes.prefix(count), to: path)
        expectFailure(.badData, path) { () throws(Failure) in
            _ = try SafetensorsFile(opening: path)
        }
    }

    @Test("every truncation is refused")
    func refusesEveryTruncation() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/cut.safetensors"
        let whole = try bytes(of: goldenPath("fp32.safetensors"))
        for count in 0..<whole.count {
            try write(whole.prefix(count), to: path)
            #expect(
                caughtFailure(of: { () throws(Failure) in _ = try SafetensorsFile(opening: path) })?
                    .code
                    == .badData, "\(count) bytes")
        }
    }

    @Test("a file that is truncated while it is open is reported")
    func reportsATruncationWhileOpen() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/cut.safetensors"
        try write(try bytes(of: goldenPath("fp32.safetensors")), to: path)
        let file = try SafetensorsFile(opening: path)
        let first = try #require(file.tensors.first { $0.type == .float32 && $0.range.count > 0 })
        try write(try bytes(of: goldenPath("fp32.safetensors")).prefix(100), to: path)
        let copy = Buffer<Float>(count: first.range.count / 4)
        expectFailure(.badData, path, "became shorter while it was read") { () throws(Failure) in
            try file.copy(first.name, shape: first.shape, into: copy.base)
        }
        expectFailure(.badData, path, "became shorter while it was read") { () throws(Failure) in
            try file.withBytes(of: first) { _ in }
        }
    }

    @Test("unusual but valid files are accepted")
    func acceptsUnusualValidFiles() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/odd.safetensors"
        for (header, data, count) in [
            ("{}", 0, 0), ("{}\n\t ", 0, 0), ("{ \"__metadata__\" : { } }", 0, 0),
            (
                "{\(entry("a", 0, 4)),\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}",
                4, 2
            ),
            (
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807],\"data_offsets\":[0,0]}}",
                0, 1
            ),
            (
                "{\"a\":{\"shape\":[1],\"other\":[1.5e3,null,true],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}",
                4, 1
            ),
            ("{\(entry("\\ud83d\\ude00", 0, 4))}", 4, 1),
            // Swift's string equality considers these two keys equal.
            ("{\(entry("\\u00e9", 0, 4)),\(entry("e\\u0301", 4, 8))}", 8, 2),
        ] {
            try write(BadFile(header, data: data).bytes, to: path)
            let file = try SafetensorsFile(opening: path)
            #expect(file.tensors.count == count, "\(header)")
        }
    }
}
