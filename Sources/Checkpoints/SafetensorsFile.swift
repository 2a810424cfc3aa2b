import Compute
import Support

#if _endian(big)
    #error("safetensors data is little-endian and is copied as it is")
#endif

/// A memory-mapped safetensors file with a checked header.
///
/// Only the pages of tensors that are used are read from the disk.
package struct SafetensorsFile: ~Copyable {
    package let path: String
    /// The tensors in the order of their data.
    package let tensors: [StoredTensor]
    /// The free-form strings of the header.
    package let metadata: [String: String]
    private let memory: MappedFile
    private let dataStart: Int

    /// Opens a file and checks its header against all rules of the format.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`, `.badData`.
    package init(opening path: String) throws(Failure) {
        let memory = try MappedFile(mapping: path)
        let header = try SafetensorsHeader(parsing: memory.bytes, path: path)
        self.path = path
        tensors = header.tensors
        metadata = header.metadata
        dataStart = header.dataStart
        self.memory = memory
    }

    /// The tensor of a name, which is compared byte by byte; nil if there is none.
    package subscript(name: String) -> StoredTensor? {
        tensors.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    /// Calls a closure with a tensor's bytes, which may have any alignment.
    package borrowing func withBytes<Result, Problem: Error>(
        of tensor: StoredTensor,
        _ body: (UnsafeRawBufferPointer) throws(Problem) -> Result
    ) throws(Problem) -> Result {
        let range = place(of: tensor)
        defer { memory.release(range) }
        return try body(UnsafeRawBufferPointer(rebasing: memory.bytes[range]))
    }

    /// Returns the range of a tensor's bytes in the file.
    private borrowing func place(of tensor: StoredTensor) -> Range<Int> {
        dataStart + tensor.range.lowerBound..<dataStart + tensor.range.upperBound
    }

    /// Copies the tensor called `name` to memory with room for exactly its elements.
    ///
    /// - Parameter shape: the shape that the tensor must have.
    /// - Throws: `.badData` if the file has no such tensor or has one of another shape or type.
    package borrowing func copy(
        _ name: String, shape: [Int], into destination: UnsafeMutablePointer<Float>
    ) throws(Failure) {
        var target = UnsafeMutableRawPointer(destination)
        memory.forEachPiece(of: place(of: try tensor(name, shape: shape))) { piece in
            UnsafeMutableRawBufferPointer(start: target, count: piece.count).copyMemory(from: piece)
            target += piece.count
        }
    }

    /// Checks that all fp32 tensors hold only finite numbers.
    ///
    /// The numbers are read rather than mapped, because Linux may map more pages than are touched,
    /// and training checks a checkpoint when its own memory is at its peak.
    ///
    /// - Throws: `.inputOutput`; `.badData` that names the first tensor that does not.
    package borrowing func requireFinite() throws(Failure) {
        let file = try Descriptor(reading: path)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { buffer.deallocate() }
        for tensor in tensors where tensor.type == .float32 {
            let place = place(of: tensor)
            for start in stride(from: place.lowerBound, to: place.upperBound, by: buffer.count) {
                let count = min(buffer.count, place.upperBound - start)
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                guard try file.read(at: start, into: piece) == count else {
                    throw .file(
                        .badData, path, "became shorter while it was read",
                        remedy: "use another checkpoint")
                }
                let values = UnsafeRawBufferPointer(piece).assumingMemoryBound(to: Float.self)
                guard firstNonFinite(in: values) != nil else { continue }
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
    package borrowing func copy(
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
