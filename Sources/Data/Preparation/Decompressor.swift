import CZlib
import CZstandard
import Support

/// A decompressor of bytes that arrive in pieces.
protocol Decompressor: AnyObject {
    /// The format, as in "its gzip data".
    var format: String { get }
    /// Whether the compressed bytes may end here.
    var isComplete: Bool { get }

    /// Decompresses bytes until they are used up or the output is full. Returns the number of bytes that were
    /// read and written. Without input, writes the output for which there was no space before.
    ///
    /// - Throws: `DecompressionProblem` if the bytes are damaged.
    func decompress(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionProblem) -> (read: Int, written: Int)
}

/// The library's reason for refusing compressed bytes.
struct DecompressionProblem: Error {
    let reason: String
}

/// A decompressor of one or several joined gzip files (RFC 1952).
final class GzipDecompressor: Decompressor {
    let format = "gzip"
    private(set) var isComplete = false
    // zlib keeps the address of its stream.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init() {
        stream.initialize(to: z_stream())
        // 15 stands for the largest window, and 16 for gzip's header and checksum.
        let status = inflateInit2_(
            stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        if status != Z_OK { noMemory() }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func decompress(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionProblem) -> (read: Int, written: Int) {
        if isComplete {
            // Tapes and block devices pad files with zeros, which gzip ignores too.
            let padding = input.prefix { $0 == 0 }.count
            guard padding == 0, !input.isEmpty else { return (padding, 0) }
            inflateReset(stream)
            isComplete = false
        }
        // zlib counts in 32 bits; the caller's loop passes the rest.
        let (available, space) = (min(input.count, 1 << 30), min(output.count, 1 << 30))
        stream.pointee.next_in = UnsafeMutableRawPointer(mutating: input.baseAddress)?
            .assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = UInt32(available)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(space)
        let status = inflate(stream, Z_NO_FLUSH)
        isComplete = status == Z_STREAM_END
        guard isComplete || status == Z_OK || status == Z_BUF_ERROR else {
            throw DecompressionProblem(
                reason: stream.pointee.msg.map { String(cString: $0) } ?? "error \(status)")
        }
        return (available - Int(stream.pointee.avail_in), space - Int(stream.pointee.avail_out))
    }
}

/// A decompressor of one or several joined Zstandard files (RFC 8878).
final class ZstandardDecompressor: Decompressor {
    let format = "Zstandard"
    private(set) var isComplete = false
    private let context: OpaquePointer

    init() {
        guard let context = ZSTD_createDCtx() else { noMemory() }
        self.context = context
        // Files of `zstd --long=31` need the largest window.
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 31)
    }

    deinit { ZSTD_freeDCtx(context) }

    func decompress(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionProblem) -> (read: Int, written: Int) {
        if isComplete, input.isEmpty { return (0, 0) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let status = ZSTD_decompressStream(context, &target, &source)
        guard ZSTD_isError(status) == 0 else {
            throw DecompressionProblem(reason: String(cString: ZSTD_getErrorName(status)))
        }
        isComplete = status == 0
        return (source.pos, target.pos)
    }
}

private func noMemory() -> Never {
    Failure.about(
        .configuration, "memory for decompression", "cannot be allocated",
        remedy: "raise the limit (ulimit -v)"
    ).endProcess()
}
