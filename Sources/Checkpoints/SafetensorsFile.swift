import Compute
import Support

#if _endian(big)
    #error("safetensors data is little-endian and is copied as it is")
#endif

/// A safetensors file with a checked header.
///
/// The file is read rather than mapped into memory, because a signal kills the process if a mapped
/// file is truncated or the disk fails. Only tensors that are used are read.
public struct SafetensorsFile: ~Copyable {
    public let path: String
    /// The tensors in the order of their data.
    public let tensors: [StoredTensor]
    /// The free-form strings of the header.
    public let metadata: [String: String]
    private let file: Descriptor
    private let dataStart: Int

    /// Opens a file and checks its header against all rules of the format.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`, `.badData`.
    public init(opening path: String) throws(Failure) {
        let file = try Descriptor(reading: path)
        let header = try SafetensorsHeader(reading: file)
        self.path = path
        tensors = header.tensors
        metadata = header.metadata
        dataStart = header.dataStart
        self.file = file
    }

    /// The tensor of a name, which is compared byte by byte; nil if there is none.
    public subscript(name: String) -> StoredTensor? {
        tensors.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// Calls a closure with a copy of a tensor's bytes, which is aligned for every type.
    ///
    /// - Throws: `.inputOutput`; `.badData` if the file became shorter; the closure's failure.
    public borrowing func withBytes<Result>(
        of tensor: StoredTensor, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: tensor.range.count, alignment: 64)
        defer { bytes.deallocate() }
        try file.fill(bytes, at: place(of: tensor).lowerBound)
        return try body(UnsafeRawBufferPointer(bytes))
    }

    /// Calls a closure with a tensor's bytes in pieces, and with the offset of each piece in the
    /// tensor.
    ///
    /// - Parameter bytes: the size of each piece but the last, a multiple of the elements' size.
    /// - Throws: `.inputOutput`; `.badData` if the file became shorter; the closure's failure.
    package borrowing func forEachPiece(
        of tensor: StoredTensor, bytes: Int,
        _ body: (_ piece: UnsafeRawBufferPointer, _ offset: Int) throws(Failure) -> Void
    ) throws(Failure) {
        let place = place(of: tensor)
        guard !place.isEmpty else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(bytes, place.count), alignment: 64)
        defer { buffer.deallocate() }
        for start in stride(from: place.lowerBound, to: place.upperBound, by: buffer.count) {
            let count = min(buffer.count, place.upperBound - start)
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            try file.fill(piece, at: start)
            try body(UnsafeRawBufferPointer(piece), start - place.lowerBound)
        }
    }

    /// Returns the range of a tensor's bytes in the file.
    private borrowing func place(of tensor: StoredTensor) -> Range<Int> {
        dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound
    }

    /// Copies the tensor called `name` to memory with room for exactly its elements.
    ///
    /// - Parameter shape: the shape that the tensor must have.
    /// - Throws: `.badData` if the file has no such tensor, has one of another shape or type, or
    ///   became shorter; `.inputOutput`.
    public borrowing func copy(
        _ name: String, shape: [Int], into destination: UnsafeMutablePointer<Float>
    ) throws(Failure) {
        let place = place(of: try tensor(name, shape: shape))
        try file.fill(.init(start: destination, count: place.count), at: place.lowerBound)
    }

    /// Checks that all fp32 tensors hold only finite numbers.
    ///
    /// They are read in small pieces, because training checks a checkpoint when its own memory is
    /// at its peak.
    ///
    /// - Parameter pace: the pace of the work in the background; nil for full speed.
    /// - Throws: `.inputOutput`; `.badData` that names the first tensor that does not.
    package borrowing func requireFinite(pace: BackgroundPace? = nil) throws(Failure) {
        for tensor in tensors where tensor.type == .float32 {
            try forEachPiece(of: tensor, bytes: 1 << 16) { (piece, _) throws(Failure) in
                pace?.rest()
                let values = piece.assumingMemoryBound(to: Float.self)
                guard firstNonFinite(in: values) != nil else { return }
                throw failure(
                    "\"\(tensor.name)\" holds a number that is not finite, because the training "
                        + "diverged", remedy: "use an earlier checkpoint")
            }
        }
    }

    /// Returns the failure of the file, by default for tensors of another model.
    private borrowing func failure(
        _ problem: String, remedy: String = "use the recipe with which the model was trained"
    ) -> Failure {
        .file(.badData, path, problem, remedy: remedy)
    }

    /// Returns the fp32 tensor called `name`, which must have `shape`.
    ///
    /// - Throws: `.badData` if the file has no such tensor or has one of another shape or type.
    package borrowing func tensor(_ name: String, shape: [Int]) throws(Failure) -> StoredTensor {
        guard let tensor = self[name] else {
            throw failure("has no tensor \"\(name)\"")
        }
        guard tensor.type == .float32 else {
            throw failure(
                "the tensor \"\(name)\" has dtype \(tensor.type.rawValue), but F32 is needed",
                remedy: "convert the file to F32")
        }
        guard tensor.shape == shape else {
            throw failure(
                "the tensor \"\(name)\" has shape \(tensor.shape), but \(shape) is needed")
        }
        return tensor
    }

    /// Copies all tensors of a layout into their places in an arena.
    ///
    /// - Throws: `.badData` if a tensor is missing, has another shape or type, or is not in the
    ///   layout; the arena may then be partly overwritten.
    public borrowing func copy(
        _ layout: ArenaLayout, into arena: Buffer<Float>
    ) throws(Failure) {
        for tensor in layout.tensors {
            try copy(tensor.name, shape: tensor.shape, into: arena.base + tensor.offset)
        }
        let expected = Set(layout.tensors.map(\.name))
        if let extra = tensors.first(where: { !expected.contains($0.name) }) {
            throw failure("has a tensor \"\(extra.name)\" that the model lacks")
        }
    }
}

extension Descriptor {
    /// Fills a buffer with the bytes of a safetensors file from an offset, which its size and its
    /// header allow.
    ///
    /// - Throws: `.inputOutput`; `.badData` if the file became shorter.
    func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Failure) {
        guard try read(at: offset, into: buffer) < buffer.count else { return }
        throw .file(
            .badData, path, "became shorter while it was read", remedy: "use another checkpoint")
    }
}
