import Compute
import Support

/// A tensor to be written, with its name, type, shape, and the source of its data: memory that
/// outlives the write, or a closure that delivers the data in pieces.
public struct TensorSource {
    /// A closure that passes all data to `write`, in order, in pieces of any size.
    package typealias Pieces = (
        _ write: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> Void

    public let name: String
    public let type: ElementType
    public let shape: [Int]
    private let pieces: Pieces

    /// Creates an fp32 tensor; `base` points to as many elements as the shape has.
    public init(name: String, shape: [Int], base: UnsafePointer<Float>) {
        let count = shape.reduce(1, *)
        self.init(
            name: name, type: .float32, shape: shape,
            bytes: UnsafeRawBufferPointer(UnsafeBufferPointer(start: base, count: count)))
    }

    /// Creates a tensor of any type; `bytes` are its little-endian elements.
    public init(name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
        self.init(name: name, type: type, shape: shape) { (write) throws(Failure) in
            try write(bytes)
        }
    }

    /// Creates a tensor whose data are delivered when it is written.
    package init(name: String, type: ElementType, shape: [Int], pieces: @escaping Pieces) {
        self.name = name
        self.type = type
        self.shape = shape
        self.pieces = pieces
    }

    /// Creates an fp32 tensor of zeros.
    package init(zeros name: String, shape: [Int]) {
        self.init(name: name, type: .float32, shape: shape) { (write) throws(Failure) in
            let zeros = [Float](repeating: 0, count: shape.reduce(1, *))
            try zeros.withUnsafeBufferPointer { (zeros) throws(Failure) in
                try write(UnsafeRawBufferPointer(zeros))
            }
        }
    }

    /// The number of bytes that the shape needs.
    var byteCount: Int { shape.reduce(type.byteCount, *) }

    /// Writes the tensor's data.
    ///
    /// - Throws: `.inputOutput`, or the failure of the source; `.bug` if the source does not
    ///   deliver exactly the bytes that the shape needs.
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

    /// Returns the tensors of a layout in their arena, which must outlive the write.
    public static func all(
        of layout: ArenaLayout, in arena: Buffer<Float>
    ) -> [TensorSource] {
        layout.tensors.map { tensor in
            TensorSource(name: tensor.name, shape: tensor.shape, base: arena.base + tensor.offset)
        }
    }
}

/// A writer of files in the safetensors format.
package enum SafetensorsWriter {
    /// Writes tensors straight from their memory.
    ///
    /// The same tensors and metadata give the same bytes, whatever the order of `tensors`. The
    /// tensors are sorted by element size, largest first, and then by name, which aligns each for
    /// its type. With a single element type, the bytes equal those of the Python library.
    ///
    /// - Throws: `.inputOutput`; `.bug` if a name repeats or a size does not match its shape.
    package static func write(
        _ tensors: [TensorSource], metadata: [String: String] = [:], to file: inout HashedFile
    ) throws(Failure) {
        let sorted = tensors.sorted {
            $0.type.byteCount == $1.type.byteCount
                ? $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
                : $0.type.byteCount > $1.type.byteCount
        }
        try file.write(header(of: sorted, metadata: metadata))
        for tensor in sorted { try tensor.write(to: &file) }
    }

    /// Returns the header: its length, its JSON, and spaces that align the data to 8 bytes.
    private static func header(
        of tensors: [TensorSource], metadata: [String: String]
    ) throws(Failure) -> [UInt8] {
        let strings = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { ($0.key, JSONValue.string($0.value)) }
        var header: JSONObject = [SafetensorsHeader.metadataKey: .object(JSONObject(strings))]
        var end = 0
        for tensor in tensors {
            guard header[tensor.name] == nil else {
                throw .defect("The tensor name \"\(tensor.name)\" appears twice in a checkpoint")
            }
            let start = end
            end += tensor.byteCount
            header[tensor.name] = [
                "dtype": .string(tensor.type.rawValue),
                "shape": .array(tensor.shape.map(JSONValue.integer)),
                "data_offsets": [.integer(start), .integer(end)],
            ]
        }
        if metadata.isEmpty { header[SafetensorsHeader.metadataKey] = nil }
        var json = Array(header.text.utf8)
        json += Array(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
        return withUnsafeBytes(of: UInt64(json.count).littleEndian, Array.init) + json
    }
}
