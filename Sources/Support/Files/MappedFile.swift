import Glibc

/// The content of a file as mapped, read-only memory.
///
/// A signal ends the process if the file is shortened while it is mapped.
package struct MappedFile: ~Copyable {
    /// The content; without a base address if the file is empty.
    package let bytes: UnsafeRawBufferPointer

    /// Maps a file into memory.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`.
    package init(mapping path: String) throws(Failure) {
        let file = try Descriptor(reading: path)
        let size = try file.size()
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.number, 0),
            memory != MAP_FAILED
        else { throw .systemCall("read", path) }
        bytes = UnsafeRawBufferPointer(start: memory, count: size)
    }

    /// Calls a closure with a range in pieces. The pages of each are released after it, which keeps
    /// the file from adding to the resident memory.
    package func forEachPiece<Problem: Error>(
        of range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Problem) -> Void
    ) throws(Problem) {
        let pieceBytes = 4 << 20
        for start in stride(from: range.lowerBound, to: range.upperBound, by: pieceBytes) {
            let piece = start..<min(range.upperBound, start + pieceBytes)
            defer { release(piece) }
            try body(UnsafeRawBufferPointer(rebasing: bytes[piece]))
        }
    }

    /// Releases the pages of a range from memory; they can be read again from the file.
    package func release(_ range: Range<Int>) {
        guard let base = bytes.baseAddress, !range.isEmpty else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = range.lowerBound / page * page
        madvise(
            UnsafeMutableRawPointer(mutating: base) + start, range.upperBound - start,
            MADV_DONTNEED)
    }

    deinit {
        guard let base = bytes.baseAddress else { return }
        munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
    }
}
