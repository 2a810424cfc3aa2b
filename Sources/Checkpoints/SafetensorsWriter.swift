import Compute
import Support

/// A tensor to be written: a name, a type, a shape, and memory that outlives the write or somebody
/// who brings the data piece by piece.
package struct TensorSource {
    /// Hands all data to the closure it is given, in order, in pieces of any size.
    package typealias Pieces = (
        _ write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> Void

    package let name: String
    package let type: ElementType
    package let shape: [Int]
    private let pieces: Pieces

    /// Elements of fp32; `base` points at as many as the shape says.
    package init(name: String, shape: [Int], base: UnsafePointer<Float>) {
        let count = shape.reduce(1, *)
        self.init(
            name: name, type: .float32, shape: shape,
            bytes: UnsafeRawBufferPointer(UnsafeBufferPointer(start: base, count: count)))
    }

    /// Elements of any type; `bytes` are exactly those of the shape, little-endian.
    package init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
        self.init(name: name, type: type, shape: shape) { (write) throws(Failure) in
            try write(bytes)
        }
    }

    /// Data that is brought when it is written; as many bytes as the shape says.
    package init(name: String, type: ElementType, shape: [Int], pieces: @escaping Pieces) {
        self.name = name
        self.type = type
        self.shape = shape
        self.pieces = pieces
    }

    /// The bytes of the shape.
    var byteCount: Int { shape.reduce(type.byteCount, *) }

    /// - Throws: `.inputOutput`, what the pieces' source throws; `.bug` where it brings another
    ///   number of bytes than the shape says.
    fileprivate func write(to file: inout HashedFile) throws(Failure) {
        let start = file.size
        try pieces { (bytes) throws(Failure) in try file.write(bytes) }
        let written = file.size - start
        guard written == byteCount else {
            throw .defect(
                "The tensor \"\(name)\" has \(written) bytes, but its shape \(shape) needs "
                    + "\(byteCount)")
        }
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
    /// Equal tensors and metadata give equal bytes, whatever order they come in: the data is
    /// ordered by element size, largest first, then by name, and so starts aligned for its type.
    /// For one element type these are the bytes that the Python library writes.
    ///
    /// - Throws: `.inputOutput`; `.bug` where names repeat or a size does not match its shape.
    package static func write(
        _ tensors: [TensorSource], metadata: [String: String] = [:], to file: inout HashedFile
    ) throws(Failure) {
        let sorted = tensors.sorted {
            if $0.type.byteCount != $1.type.byteCount {
                return $0.type.byteCount > $1.type.byteCount
            }
            return $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
        }
        try file.write(header(of: sorted, metadata: metadata))
        for tensor in sorted { try tensor.write(to: &file) }
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
            let size = tensor.byteCount
            guard names.insert(tensor.name).inserted else {
                throw .defect("The tensor name \"\(tensor.name)\" appears twice in a checkpoint")
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
