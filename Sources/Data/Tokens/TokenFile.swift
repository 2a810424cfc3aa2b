import Compute
import Glibc
import Support

/// The layout of token ids in a file.
///
/// llm.c's files begin with 256 little-endian Int32: a magic number, a version, the count of tokens
/// and zeros; the ids follow. nanoGPT's bare files consist of ids alone.
package enum TokenFileFormat: String, Sendable, JSONReadable {
    /// llm.c's format 20240520, version 1: UInt16.
    case uint16 = "llm.c uint16"
    /// llm.c's format 20240801, version 7: UInt32.
    case uint32 = "llm.c uint32"
    /// nanoGPT's format: UInt16 without a header.
    case bare = "bare uint16"

    /// Creates the smallest format with a header that can represent a vocabulary's ids.
    package init(vocabularySize: Int) {
        self = vocabularySize <= 1 << 16 ? .uint16 : .uint32
    }

    /// The size of an id in bytes.
    package var bytesPerToken: Int { self == .uint32 ? 4 : 2 }
    /// The size of the header in bytes.
    package var headerBytes: Int { self == .bare ? 0 : Self.headerWords * 4 }

    static let headerWords = 256
    /// The largest token count that a header can represent.
    static let largestCount = Int(Int32.max)

    var magic: Int32 { self == .uint32 ? 20_240_801 : 20_240_520 }
    var version: Int32 { self == .uint32 ? 7 : 1 }
}

/// A file of token ids that is open for reading.
///
/// The file is read rather than mapped into memory, because a signal kills the process if a mapped
/// file is truncated or the disk fails.
package final class TokenFile: Sendable {
    package let path: String
    package let format: TokenFileFormat
    /// The number of tokens.
    package let count: Int

    private let file: Descriptor

    /// Opens a token file of any of the three formats.
    ///
    /// A file is bare if it has neither a header nor a start that looks like a damaged or foreign
    /// header: a first word that reads as a date (like llm.c's magic numbers) before a small
    /// version, or any first word before 253 words of zero.
    ///
    /// - Throws: `Failure` (missing input, input/output, or bad data: empty, odd size, wrong magic,
    ///   wrong version, or a count that does not match the size).
    package init(_ path: String) throws(Failure) {
        let file = try Self.open(path)
        guard let size = try file.regularSize() else {
            throw .badData(path, "is not a plain file", remedy: "name a token file")
        }
        guard size > 0 else { throw .badData(path, "is empty") }
        let header = Buffer<Int32>(count: TokenFileFormat.headerWords)
        let headerBytes = min(size, header.bytes.count)
        try Self.read(file, at: 0, into: .init(rebasing: header.bytes[..<headerBytes]))
        let format = try Self.format(of: header, size: size, path: path)
        let payload = size - format.headerBytes
        if format == .bare {
            guard payload % 2 == 0 else {
                throw .badData(
                    path,
                    "has \(size) bytes, an odd number for tokens of two bytes, so it is cut off or "
                        + "is not a token file")
            }
            count = payload / 2
        } else {
            let stated = Int(header.base[2])
            guard stated >= 0, payload == stated * format.bytesPerToken else {
                throw .badData(
                    path,
                    "has a header for \(stated) tokens, but its \(size) bytes can hold "
                        + "\(payload / format.bytesPerToken), so it is cut off or damaged")
            }
            count = stated
        }
        guard count > 0 else { throw .badData(path, "has no tokens") }
        self.path = path
        self.format = format
        self.file = file
    }

    /// Copies tokens as Int32.
    ///
    /// - Throws: `Failure` (input/output) if the file was truncated after it was opened, or cannot
    ///   be read.
    package func copy(
        from first: Int, count: Int, into target: UnsafeMutablePointer<Int32>
    ) throws(Failure) {
        precondition(first >= 0 && count >= 0 && first + count <= self.count, "outside \(path)")
        let width = format.bytesPerToken
        // Narrow ids are read into the second half of `target` and widened from its start, so that
        // none is overwritten before it is read.
        let bytes = UnsafeMutableRawPointer(target)
        let ids = bytes + count * (4 - width)
        try Self.read(
            file, at: format.headerBytes + first * width,
            into: .init(start: ids, count: count * width))
        guard width == 2 else { return }
        for index in 0..<count {
            let id = ids.load(fromByteOffset: 2 * index, as: UInt16.self)
            bytes.storeBytes(of: Int32(id), toByteOffset: 4 * index, as: Int32.self)
        }
    }

    /// Returns the first token outside a vocabulary, or nil if there is none.
    ///
    /// - Throws: the same failures as `copy`.
    package func firstToken(
        outside vocabularySize: Int
    ) throws(Failure) -> (position: Int, token: Int)? {
        guard vocabularySize < 1 << (8 * format.bytesPerToken) else { return nil }
        let limit = UInt32(vocabularySize)
        let block = Buffer<Int32>(count: 1 << 14)
        for start in stride(from: 0, to: count, by: block.count) {
            let length = min(block.count, count - start)
            try copy(from: start, count: length, into: block.base)
            guard largestToken(block.base, count: length) >= limit else { continue }
            for index in 0..<length {
                let token = UInt32(bitPattern: block.base[index])
                if token >= limit { return (start + index, Int(token)) }
            }
        }
        return nil
    }

    // MARK: - The system

    /// Opens a file for reading, and raises the process's limit on open files if necessary.
    private static func open(_ path: String) throws(Failure) -> Descriptor {
        guard FileSystem.exists(path) else {
            throw .systemCall(
                "opened", path, error: ENOENT, isReading: true, remedy: TokenDataset.missingRemedy)
        }
        do throws(Failure) { return try Descriptor(reading: path) } catch {
            guard raiseLimitOnOpenFiles() else { throw error }
            return try Descriptor(reading: path)
        }
    }

    /// Raises the soft limit on open files to the hard limit. Returns false if it is already there.
    private static func raiseLimitOnOpenFiles() -> Bool {
        var limit = rlimit()
        guard getrlimit(openFilesLimit, &limit) == 0, limit.rlim_cur < limit.rlim_max else {
            return false
        }
        limit.rlim_cur = limit.rlim_max
        return setrlimit(openFilesLimit, &limit) == 0
    }

    /// Fills a buffer with the file's bytes from an offset.
    private static func read(
        _ file: borrowing Descriptor, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Failure) {
        guard try file.read(at: offset, into: buffer) < buffer.count else { return }
        throw .file(
            .inputOutput, file.path,
            "was truncated to \(try file.size()) bytes while it was in use",
            remedy: "restore it, or \(tokenizeAgain), and restart")
    }

    private static func format(
        of header: Buffer<Int32>, size: Int, path: String
    ) throws(Failure) -> TokenFileFormat {
        let words = header.base
        let hasHeader = size >= header.bytes.count
        for format in [TokenFileFormat.uint16, .uint32]
        where size >= 4 && words[0] == format.magic {
            guard hasHeader else {
                throw .badData(
                    path, "has \(size) bytes, less than the 1024 of its header, so it is cut off")
            }
            guard words[1] == format.version else {
                throw .badData(
                    path,
                    "has version \(words[1]) of llm.c's format \(format.magic), but only version "
                        + "\(format.version) is supported")
            }
            return format
        }
        let isDated = size >= 8 && isDate(words[0]) && (0..<1000).contains(words[1])
        let isBlank = hasHeader && words[0] != 0 && (3..<256).allSatisfy { words[$0] == 0 }
        guard !isDated, !isBlank else {
            throw .badData(
                path,
                "begins with the magic number \(words[0]), but llm.c's token files begin with "
                    + "20240520 or 20240801")
        }
        return .bare
    }

    /// Returns whether a number reads as a day from 2020 to 2039.
    private static func isDate(_ word: Int32) -> Bool {
        (2020...2039).contains(word / 10_000) && (1...12).contains(word / 100 % 100)
            && (1...31).contains(word % 100)
    }
}

/// Returns the largest of some tokens, in a loop that the compiler vectorizes.
func largestToken(_ tokens: UnsafePointer<Int32>, count: Int) -> UInt32 {
    var largest: UInt32 = 0
    for index in 0..<count { largest = max(largest, UInt32(bitPattern: tokens[index])) }
    return largest
}

private let openFilesLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
