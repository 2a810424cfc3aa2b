import Checkpoints
import Compute
import Foundation
import Support
import TestSupport
import Testing

private let names = ModelNames(prefix: "body.") { $0.hasSuffix(".mask") }

/// A tensor of a folder, by its bytes.
private struct Stored {
    let name: String
    let type: ElementType
    let shape: [Int]
    let bytes: [UInt8]

    init(_ name: String, _ values: [Float], shape: [Int]? = nil) {
        self.init(name, .float32, shape ?? [values.count], values.withUnsafeBytes(Array.init))
    }

    init(_ name: String, _ type: ElementType, _ shape: [Int], _ bytes: [UInt8]) {
        (self.name, self.type, self.shape, self.bytes) = (name, type, shape, bytes)
    }
}

/// Tests of models in one or several files, which may come from somebody else.
@Suite struct ModelTensorsTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func write(_ file: String, _ tensors: [Stored], in place: String? = nil) throws {
        var output = try HashedFile(creating: "\(place ?? folder.path)/\(file)")
        let sources = tensors.map { tensor in
            TensorSource(name: tensor.name, type: tensor.type, shape: tensor.shape) {
                (write) throws(Failure) in
                try tensor.bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
                    try write(UnsafeRawBufferPointer(bytes))
                }
            }
        }
        try SafetensorsWriter.write(sources, to: &output)
        _ = try output.finish()
    }

    private func writeIndex(_ places: [String: String]) throws {
        let entries = places.sorted { $0.key < $1.key }.map { ($0, JSONValue.string($1)) }
        let index: JSONObject = [
            "metadata": ["total_size": 1], "weight_map": .object(JSONObject(entries)),
        ]
        try folder.write("model.safetensors.index.json", index.text)
    }

    private func open() throws(Failure) -> ModelTensors {
        try ModelTensors(folder: folder.path, names: names)
    }

    /// Returns all numbers of a tensor.
    private func values(_ name: String, _ tensors: ModelTensors) throws -> [Float] {
        let count = try #require(tensors.shape(of: name)).reduce(1, *)
        let buffer = Buffer<Float>(count: max(1, count))
        _ = try tensors.copy { $0 == name ? .init(buffer.base, count: count) : nil }
        return Array(buffer.elements[..<count])
    }

    @Test("one file and several, with and without prefix, hold the same model")
    func divisions() throws {
        let (table, bias) = ([Float](stride(from: -1, to: 1, by: 0.125)), [Float(3), -4])
        try write(
            "model.safetensors",
            [Stored("table", table, shape: [4, 4]), Stored("bias", bias), Stored("0.mask", [1])])
        let whole = try open()
        #expect(whole.names == ["bias", "table"])
        #expect(try values("table", whole) == table)
        try FileManager.default.removeItem(atPath: "\(folder.path)/model.safetensors")
        try write("a.safetensors", [Stored("body.bias", bias)])
        try write(
            "b.safetensors",
            [Stored("body.table", table, shape: [4, 4]), Stored("body.0.mask", [2])])
        try writeIndex([
            "body.bias": "a.safetensors", "body.table": "b.safetensors",
            "body.0.mask": "b.safetensors",
        ])
        let parts = try open()
        #expect(parts.names == whole.names)
        #expect(try values("table", parts) == table && values("bias", parts) == bias)
        #expect(try parts.digest() == whole.digest())
        try write("a.safetensors", [Stored("body.bias", [3, -5])])
        #expect(try open().digest() != whole.digest())
    }

    @Test("numbers of 16 bits become fp32, and a destination may hold fewer")
    func formats() throws {
        try write(
            "model.safetensors",
            [
                Stored("half", .float16, [2], [0x00, 0x3C, 0x00, 0xC0]),
                Stored("brain", .bfloat16, [2], [0x80, 0x3F, 0x00, 0xC0]),
                Stored("empty", .float16, [0], []),
            ])
        let tensors = try open()
        #expect(try values("half", tensors) == [1, -2])
        #expect(try values("brain", tensors) == [1, -2])
        #expect(try values("empty", tensors) == [])
        let buffer = Buffer<Float>(count: 2)
        _ = try tensors.copy { $0 == "half" ? .init(buffer.base, count: 1) : nil }
        #expect(Array(buffer.elements[..<2]) == [1, 0])
    }

    @Test("large tensors are copied, compared and written piece by piece")
    func pieces() throws {
        let table = (0..<400_000).map { Float($0) }
        try write(
            "model.safetensors",
            [
                Stored("a", table, shape: [400, 1000]), Stored("b", table, shape: [400, 1000]),
                Stored("c", table, shape: [1000, 400]), Stored("zero", [0, -0.0, 0]),
                Stored("last", [Float](repeating: 0, count: 300_000) + [.leastNonzeroMagnitude]),
                Stored("half", .float16, [2], [0, 0x80, 0, 0]),
                Stored("middle", .float16, [1], [0x80, 0]),
            ])
        let tensors = try open()
        #expect(try values("a", tensors) == table)
        #expect(try tensors.areEqual("a", "b") && !tensors.areEqual("a", "c"))
        #expect(try tensors.isZero("zero") && tensors.isZero("half"))
        #expect(try !tensors.isZero("last") && !tensors.isZero("a") && !tensors.isZero("middle"))

        let other = try TemporaryFolder()
        var file = try HashedFile(creating: "\(other.path)/model.safetensors")
        let rows = [
            try tensors.source(of: "a", named: "new", shape: [150, 1000]),
            TensorSource(zeros: "zeros", shape: [3]),
        ]
        try SafetensorsWriter.write(rows, to: &file)
        _ = try file.finish()
        let written = try ModelTensors(folder: other.path, names: names)
        #expect(try values("new", written) == Array(table[..<150_000]))
        #expect(try values("zeros", written) == [0, 0, 0])
    }

    @Test("an index names only files of its folder, and they hold what it says")
    func badIndexes() throws {
        try write("a.safetensors", [Stored("x", [1])])
        try write("b.safetensors", [Stored("y", [1])])
        try write("c.safetensors", [Stored("x", [1])])
        try write("d.safetensors", [Stored("body.x", [1])])
        let outside = try TemporaryFolder()
        try write("a.safetensors", [Stored("x", [1])], in: outside.path)
        let cases: [([String: String], String)] = [
            (["x": "../\(outside.path.split(separator: "/").last ?? "")/a.safetensors"], "not a"),
            (["x": "\(outside.path)/a.safetensors"], "not a safetensors file of its folder"),
            (["x": ".a.safetensors"], "not a safetensors file"),
            (["x": "a.bin"], "not a safetensors file"),
            (["x": "a\u{0}.safetensors"], "not a safetensors file"),
            ([:], "names no file"),
            (["x": "b.safetensors"], "has the tensor \"y\", which"),
            (["x": "a.safetensors", "y": "a.safetensors"], "places the tensor \"y\""),
            (["x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"], "\"z\" in b"),
            (["x": "a.safetensors", "body.x": "d.safetensors"], "a second time"),
            (
                Dictionary(uniqueKeysWithValues: (0..<513).map { ("\($0)", "\($0).safetensors") }),
                "513 files, more than 512"
            ),
        ]
        for (places, words) in cases {
            try writeIndex(places)
            expectFailure(.badData, words) { _ = try open() }
        }
        // The same name in two files cannot be in an index twice, but one of them may lack it.
        try writeIndex(["x": "a.safetensors", "y": "c.safetensors"])
        expectFailure(.badData, "c.safetensors: has the tensor \"x\"") { _ = try open() }
        try writeIndex(["x": "gone.safetensors"])
        expectFailure(.missingInput, "gone.safetensors") { _ = try open() }
        for text in ["", "[]", "{}", "{\"weight_map\":{\"x\":1}}", "{\"weight_map\":[]}"] {
            try folder.write("model.safetensors.index.json", text)
            expectFailure(.badData, "index.json", "get a fresh copy") { _ = try open() }
        }
        let long = String(repeating: " ", count: ModelTensors.longestJSON) + "{}"
        try folder.write("model.safetensors.index.json", long)
        expectFailure(.badData, "bytes, more than the") { _ = try open() }
    }

    @Test("bad tensors are refused by name")
    func badTensors() throws {
        expectFailure(.missingInput, "has neither model.safetensors nor") { _ = try open() }
        try write("model.safetensors", [Stored("x", .int64, [1], [0, 0, 0, 0, 0, 0, 0, 0])])
        expectFailure(.badData, "\"x\" in I64", "only F32, F16 and BF16") { _ = try open() }
        try write("model.safetensors", [Stored("body.x", [1]), Stored("x", [1])])
        expectFailure(.badData, "a second time") { _ = try open() }
        for bad in [Float.infinity, -.infinity, .nan] {
            try write("model.safetensors", [Stored("body.x", [1, bad])])
            let tensors = try open()
            expectFailure(.badData, "a number in \"body.x\" that is not finite") {
                _ = try values("x", tensors)
            }
        }
        let tensors = try open()
        expectFailure(.badData, "has no tensor \"y\"") {
            try tensors.require("y", shape: [1], because: "config.json")
        }
        expectFailure(.badData, "of shape [2], but config.json needs [3]") {
            try tensors.require("x", shape: [3], because: "config.json")
        }
    }

    @Test("a pipe or a folder is not a file of a model")
    func otherKinds() throws {
        let path = "\(folder.path)/model.safetensors"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        expectFailure(.badData, "is not a file") { _ = try open() }
        try FileManager.default.removeItem(atPath: path)
        #expect(mkfifo(path, 0o600) == 0)
        expectFailure(.badData, "is not a file") { _ = try open() }
    }
}
