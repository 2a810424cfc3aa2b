import Checkpoints
import Compute
import Foundation
import Support
import TestSupport
import Testing

/// The tensors of `make_safetensors_goldens.py` in its order.
private let goldenShapes: [(name: String, shape: [Int])] = [
    ("wte.weight", [7, 3]),
    ("h.0.attn.c_attn.bias", [9]),
    ("h.10.ln_1.weight", [3]),
    ("h.2.ln_1.weight", [3]),
    ("scalar", []),
    ("empty", [0]),
    ("empty.matrix", [4, 0, 5]),
    ("größe \"quoted\" \\ tab\t bell\u{07} \u{1F600}", [1, 2, 1]),
]

/// Returns an arena with the golden tensors and the values that the script gives them.
private func goldenArena() -> (layout: ArenaLayout, arena: Buffer<Float>) {
    var layout = ArenaLayout()
    for (name, shape) in goldenShapes { layout.append(name, shape: shape) }
    let arena = Buffer<Float>(count: layout.count)
    for (i, tensor) in layout.tensors.enumerated() {
        for j in 0..<tensor.count {
            arena.elements[tensor.offset + j] = Float(i) + (Float(j) - 3) / 4
        }
    }
    return (layout, arena)
}

@Suite struct SafetensorsTests {
    @discardableResult
    private func write(
        _ tensors: [TensorSource], metadata: [String: String] = [:], to path: String
    ) throws(Failure) -> FileRecord {
        var file = try HashedFile(creating: path)
        try SafetensorsWriter.write(tensors, metadata: metadata, to: &file)
        return try file.finish()
    }

    @Test("files written by the Python library are read")
    func readsWhatThePythonLibraryWrites() throws {
        let (layout, expected) = goldenArena()
        let file = try SafetensorsFile(opening: goldenPath("fp32.safetensors"))
        #expect(file.metadata == ["format": "pt"])
        #expect(file.tensors.count == goldenShapes.count)
        let arena = Buffer<Float>(count: layout.count)
        try file.copy(layout, into: arena)
        #expect(arena.bytes.elementsEqual(expected.bytes))
    }

    @Test("written bytes equal those of the Python library")
    func writesTheBytesThatThePythonLibraryWrites() throws {
        let folder = try TemporaryFolder()
        let (layout, arena) = goldenArena()
        let path = folder.path + "/ours.safetensors"
        let record = try write(
            TensorSource.all(of: layout, in: arena).reversed(), metadata: ["format": "pt"], to: path
        )
        let ours = try bytes(of: path)
        #expect(ours == (try golden("fp32.safetensors")))
        #expect(record.size == ours.count)
        #expect(try FileRecord(reading: path) == record)
        #expect(try names(in: folder.path) == ["ours.safetensors"])
    }

    @Test("every element type is read")
    func readsEveryElementType() throws {
        let file = try SafetensorsFile(opening: goldenPath("types.safetensors"))
        let types = Set(file.tensors.map(\.type))
        #expect(types == Set(ElementType.allCases).subtracting([.float8E8M0]))
        for tensor in file.tensors {
            #expect(tensor.shape == [3])
            let content = file.withBytes(of: tensor) { Array($0) }
            #expect(content.count == 3 * tensor.type.byteCount)
            let elements = stride(from: 0, to: content.count, by: tensor.type.byteCount).map {
                Array(content[$0..<$0 + tensor.type.byteCount])
            }
            // The elements are 0, 1, 1 in every type: zero bits, and then the same other bits
            // twice.
            #expect(elements[0].allSatisfy { $0 == 0 })
            #expect(elements[1] == elements[2] && elements[1] != elements[0])
        }
    }

    @Test("the order of types aligns every tensor")
    func ordersTypesSoThatEveryTensorIsAligned() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/mixed.safetensors"
        let source = [UInt8](0..<64)
        _ = try source.withUnsafeBytes { memory in
            try write(
                [
                    TensorSource(
                        name: "a", type: .uint8, shape: [3], bytes: .init(rebasing: memory[..<3])),
                    TensorSource(
                        name: "b", type: .bfloat16, shape: [1],
                        bytes: .init(rebasing: memory[..<2])),
                    TensorSource(
                        name: "c", type: .int64, shape: [2], bytes: .init(rebasing: memory[..<16])),
                ], to: path)
        }
        let file = try SafetensorsFile(opening: path)
        #expect(file.tensors.map(\.name) == ["c", "b", "a"])
        #expect(file.tensors.map(\.range) == [0..<16, 16..<18, 18..<21])
        #expect(file.metadata.isEmpty)
        let header = try bytes(of: path).prefix(8).enumerated()
            .reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
        #expect(header % 8 == 0)
    }

    @Test("tensors delivered in pieces are written with the same bytes")
    func tensorsThatComeInPiecesAreWrittenAlike() throws {
        let folder = try TemporaryFolder()
        let buffer = Buffer<Float>(count: 48)
        for index in 0..<48 { buffer.base[index] = Float(index) / 3 }
        let whole = TensorSource(name: "a", shape: [6, 8], base: buffer.base)
        let parts = TensorSource(name: "a", type: .float32, shape: [6, 8]) {
            (write) throws(Failure) in
            for range in [0..<4, 4..<100, 100..<192] {
                try write(UnsafeRawBufferPointer(rebasing: buffer.bytes[range]))
            }
        }
        for (name, source) in [("whole", whole), ("parts", parts)] {
            try write([source], to: "\(folder.path)/\(name)")
        }
        #expect(try bytes(of: "\(folder.path)/whole") == bytes(of: "\(folder.path)/parts"))
        let failing = TensorSource(name: "a", type: .float32, shape: [6, 8]) {
            (write) throws(Failure) in
            try write(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<4]))
            throw Failure(.inputOutput, "the source is gone")
        }
        expectFailure(.inputOutput, "the source is gone") { () throws(Failure) in
            try write([failing], to: "\(folder.path)/failing")
        }
    }

    @Test("a file without tensors is written")
    func writesNoTensorsAtAll() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/empty.safetensors"
        try write([], to: path)
        #expect(try bytes(of: path) == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
        let file = try SafetensorsFile(opening: path)
        #expect(file.tensors.isEmpty)
    }

    @Test("impossible tensors are not written")
    func refusesToWriteImpossibleTensors() throws {
        let folder = try TemporaryFolder()
        let buffer = Buffer<Float>(count: 4)
        func write(_ tensors: [TensorSource]) throws(Failure) {
            try self.write(tensors, to: folder.path + "/x")
        }
        let a = TensorSource(name: "a", shape: [2], base: buffer.base)
        expectFailure(.bug, "\"a\"", "appears twice") { () throws(Failure) in try write([a, a]) }
        expectFailure(.bug, "__metadata__") { () throws(Failure) in
            try write([TensorSource(name: "__metadata__", shape: [2], base: buffer.base)])
        }
        expectFailure(.bug, "8 bytes", "needs 12") { () throws(Failure) in
            let bytes = UnsafeRawBufferPointer(rebasing: buffer.bytes[..<8])
            try write([TensorSource(name: "a", type: .float32, shape: [3], bytes: bytes)])
        }
    }

    @Test("tensors that do not fit the model are refused")
    func refusesTensorsThatDoNotFitTheModel() throws {
        let file = try SafetensorsFile(opening: goldenPath("fp32.safetensors"))
        let types = try SafetensorsFile(opening: goldenPath("types.safetensors"))
        let arena = Buffer<Float>(count: 64)
        expectFailure(.badData, "fp32.safetensors", "no tensor \"wpe.weight\"") {
            () throws(Failure) in
            try file.copy("wpe.weight", shape: [7, 3], into: arena.base)
        }
        expectFailure(.badData, "wte.weight", "[7, 3]", "[3, 7]") { () throws(Failure) in
            try file.copy("wte.weight", shape: [3, 7], into: arena.base)
        }
        expectFailure(.badData, "bfloat16", "BF16", "F32") { () throws(Failure) in
            try types.copy("bfloat16", shape: [3], into: arena.base)
        }
        var layout = ArenaLayout()
        layout.append("scalar", shape: [])
        expectFailure(.badData, "has a tensor", "lacks") { () throws(Failure) in
            try file.copy(layout, into: arena)
        }
    }

    @Test("a missing file is named")
    func namesAMissingFile() {
        expectFailure(.missingInput, "/nowhere/x.safetensors") { () throws(Failure) in
            _ = try SafetensorsFile(opening: "/nowhere/x.safetensors")
        }
        expectFailure(.inputOutput, "/tmp", "not a regular file") { () throws(Failure) in
            _ = try SafetensorsFile(opening: "/tmp")
        }
    }
}

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
        let whole = try golden("fp32.safetensors")
        for count in 0..<whole.count {
            try write(whole.prefix(count), to: path)
            #expect(
                caughtFailure(of: { () throws(Failure) in _ = try SafetensorsFile(opening: path) })?
                    .code
                    == .badData, "\(count) bytes")
        }
    }

    @Test("unusual but valid files are accepted")
    func allowsWhatTheFormatAllows() throws {
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
