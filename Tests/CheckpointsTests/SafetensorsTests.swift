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
    func readsFilesOfThePythonLibrary() throws {
        let (layout, expected) = goldenArena()
        let file = try SafetensorsFile(opening: goldenPath("fp32.safetensors"))
        #expect(file.metadata == ["format": "pt"])
        #expect(file.tensors.count == goldenShapes.count)
        let arena = Buffer<Float>(count: layout.count)
        try file.copy(layout, into: arena)
        #expect(arena.bytes.elementsEqual(expected.bytes))
    }

    @Test("written bytes equal those of the Python library")
    func writesTheBytesOfThePythonLibrary() throws {
        let folder = try TemporaryFolder()
        let (layout, arena) = goldenArena()
        let path = folder.path + "/ours.safetensors"
        let record = try write(
            TensorSource.all(of: layout, in: arena).reversed(), metadata: ["format": "pt"], to: path
        )
        let ours = try bytes(of: path)
        #expect(ours == (try bytes(of: goldenPath("fp32.safetensors"))))
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
            let content = try file.withBytes(of: tensor) { Array($0) }
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
    func orderOfTypesAlignsEveryTensor() throws {
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
    func tensorsInPiecesHaveTheSameBytes() throws {
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
    func fileWithoutTensorsIsWritten() throws {
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
    func refusesTensorsOfAnotherModel() throws {
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
