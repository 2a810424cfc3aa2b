import Failures
import JSONText
import Tensors

/// A tensor to be written: a name, a type, a shape and memory that outlives the write.
package struct TensorSource {
    package let name: String
    package let type: ElementType
    package let shape: [Int]
    package let bytes: UnsafeRawBufferPointer

    /// Elements of fp32; `base` points at as many as the shape says.
    package init(name: String, shape: [Int], base: UnsafePointer<Float>) {
        let count = shape.reduce(1, *)
        self.init(
            name: name, type: .float32, shape: shape,
            bytes: UnsafeRawBufferPointer(UnsafeBufferPointer(start: base, count: count)))
    }

    /// Elements of any type; `bytes` are exactly those of the shape, little-endian.
    package init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
        self.name = name
        self.type = type
        self.shape = shape
        self.bytes = bytes
    }

    /// The tensors of a layout in their arena, which must outlive the write.
    package static func all(
        of layout: ArenaLayout, in arena: Buffer<Float>
    ) -> [TensorSource] {
        layout.tensors.map { tensor in
            TensorSource(name: tensor.name, shape: tensor.shape, base: arena.base + tensor.offset)
        }
    }
}

/// Writes files of the safetensors format.
package enum SafetensorsWriter {
    /// Writes tensors straight from their memory.
    ///
    /// Equal tensors and metadata give equal bytes, whatever order they come in: the data is ordered
    /// by element size, largest first, then by name, and so starts aligned for its type. For one
    /// element type these are the bytes that the Python library writes.
    ///
    /// - Throws: `.inputOutput`; `.bug` where names repeat or a size does not match its shape.
    package static func write(
        _ tensors: [TensorSource], metadata: [String: String] = [:], to file: inout OutputFile
    ) throws(Failure) {
        let sorted = tensors.sorted {
            if $0.type.byteCount != $1.type.byteCount {
                return $0.type.byteCount > $1.type.byteCount
            }
            return $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
        }
        try file.write(header(of: sorted, metadata: metadata))
        for tensor in sorted { try file.write(tensor.bytes) }
    }

    /// The length, the JSON and the spaces that make the data start on a multiple of 8 bytes.
    private static func header(
        of tensors: [TensorSource], metadata: [String: String]
    ) throws(Failure) -> [UInt8] {
        var entries: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                .map { "\(jsonQuoted($0.key)):\(jsonQuoted($0.value))" }
            entries.append("\"\(SafetensorsHeader.metadataKey)\":{\(pairs.joined(separator: ","))}")
        }
        var names: Set<String> = [SafetensorsHeader.metadataKey]
        var offset = 0
        for tensor in tensors {
            let size = tensor.shape.reduce(tensor.type.byteCount, *)
            guard size == tensor.bytes.count else {
                throw Failure(
                    .bug,
                    "the tensor \"\(tensor.name)\" has \(tensor.bytes.count) bytes where its shape \(tensor.shape) needs \(size): report this as a defect"
                )
            }
            guard names.insert(tensor.name).inserted else {
                throw Failure(
                    .bug,
                    "the tensor name \"\(tensor.name)\" cannot be written a second time: report this as a defect"
                )
            }
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            entries.append(
                "\(jsonQuoted(tensor.name)):{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(offset + size)]}"
            )
            offset += size
        }
        var json = Array("{\(entries.joined(separator: ","))}".utf8)
        json += Array(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
        return withUnsafeBytes(of: UInt64(json.count).littleEndian, Array.init) + json
    }
}
