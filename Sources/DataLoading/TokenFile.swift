import Failures

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// How token ids lie in a file.
///
/// llm.c's files begin with 256 little-endian Int32: a magic number, a version, the count of tokens
/// and zeros; the ids follow. nanoGPT's bare files are ids and nothing else.
package enum TokenFileFormat: String, Sendable, Codable {
    /// llm.c's 20240520, version 1: UInt16.
    case uint16 = "llm.c uint16"
    /// llm.c's 20240801, version 7: UInt32.
    case uint32 = "llm.c uint32"
    /// nanoGPT's: UInt16 without a header.
    case bare = "bare uint16"

    /// The smallest format with a header that can hold a vocabulary's ids.
    package init(vocabularySize: Int) {
        self = vocabularySize <= 1 << 16 ? .uint16 : .uint32
    }

    /// Bytes of one id.
    package var bytesPerToken: Int { self == .uint32 ? 4 : 2 }
    /// Bytes before the first id.
    package var headerBytes: Int { self == .bare ? 0 : Self.headerWords * 4 }

    static let headerWords = 256
    /// The most tokens that a header can count.
    static let largestCount = Int(Int32.max)

    var magic: Int32 { self == .uint32 ? 20_240_801 : 20_240_520 }
    var version: Int32 { self == .uint32 ? 7 : 1 }
}

/// A file of token ids, memory-mapped read-only.
package final class TokenFile: Sendable {
    package let path: String
    package let format: TokenFileFormat
    /// The number of tokens.
    package let count: Int

    private let mapping: Mapping

    /// The file's bytes; nobody writes to them.
    private struct Mapping: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        let size: Int
    }

    /// Opens a token file of any of the three formats.
    ///
    /// A file is bare if it has no header, and nothing that looks like a damaged or foreign one: a
    /// first word written like a date (as llm.c's magic numbers are) before a small version, or any
    /// first word before 253 words of zero.
    ///
    /// - Throws: `Failure` (missing input, input/output, or bad data: empty, odd size, wrong magic,
    ///   wrong version, or a count that does not match the size).
    package init(_ path: String) throws(Failure) {
        let mapping = try Self.map(path)
        var isValid = false
        defer { if !isValid { munmap(mapping.base, mapping.size) } }
        let format = try Self.format(of: mapping, path: path)
        let payload = mapping.size - format.headerBytes
        if format == .bare {
            guard payload % 2 == 0 else {
                throw Failure(
                    .badData,
                    "\(path) has \(mapping.size) bytes, an odd number for tokens of two bytes; it is "
                        + "cut off or no token file, so make it again.")
            }
            count = payload / 2
        } else {
            let stated = Int(mapping.base.load(fromByteOffset: 8, as: Int32.self))
            guard stated >= 0, payload == stated * format.bytesPerToken else {
                throw Failure(
                    .badData,
                    "\(path) says that it has \(stated) tokens, but its \(mapping.size) bytes would "
                        + "hold \(payload / format.bytesPerToken); it is cut off or damaged, so "
                        + "make it again.")
            }
            count = stated
        }
        guard count > 0 else {
            throw Failure(.badData, "\(path) has no tokens; make it again from a text.")
        }
        isValid = true
        self.path = path
        self.format = format
        self.mapping = mapping
    }

    deinit { munmap(mapping.base, mapping.size) }

    /// Copies tokens as Int32.
    package func copy(from first: Int, count: Int, into target: UnsafeMutablePointer<Int32>) {
        precondition(first >= 0 && count >= 0 && first + count <= self.count, "outside \(path)")
        let base = mapping.base + format.headerBytes
        if format.bytesPerToken == 2 {
            let ids = base.assumingMemoryBound(to: UInt16.self) + first
            for index in 0..<count { target[index] = Int32(ids[index]) }
        } else {
            let ids = base.assumingMemoryBound(to: UInt32.self) + first
            for index in 0..<count { target[index] = Int32(truncatingIfNeeded: ids[index]) }
        }
    }

    /// The first token that a vocabulary does not have, or nil.
    package func firstToken(outside vocabularySize: Int) -> (position: Int, token: Int)? {
        let base = mapping.base + format.headerBytes
        return format.bytesPerToken == 2
            ? firstToken(base.assumingMemoryBound(to: UInt16.self), outside: vocabularySize)
            : firstToken(base.assumingMemoryBound(to: UInt32.self), outside: vocabularySize)
    }

    /// Looks for the largest of each block first, a loop that vectorises.
    private func firstToken<ID: FixedWidthInteger & UnsignedInteger>(
        _ ids: UnsafePointer<ID>, outside vocabularySize: Int
    ) -> (position: Int, token: Int)? {
        guard vocabularySize <= Int(ID.max) else { return nil }
        let block = 1 << 14
        for start in stride(from: 0, to: count, by: block) {
            let end = min(start + block, count)
            var largest: ID = 0
            for position in start..<end { largest = max(largest, ids[position]) }
            guard Int(largest) >= vocabularySize else { continue }
            for position in start..<end where Int(ids[position]) >= vocabularySize {
                return (position, Int(ids[position]))
            }
        }
        return nil
    }

    private static func map(_ path: String) throws(Failure) -> Mapping {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        let code = errno
        guard descriptor >= 0 else {
            throw Failure(
                code == ENOENT || code == ENOTDIR ? .missingInput : .inputOutput,
                "the token file \(path) cannot be opened: \(systemError(code)); make it with "
                    + "\"lockstep tokenize\".")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.badData, "\(path) is not a plain file; name a token file.")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            throw Failure(.badData, "\(path) is empty; make it again from a text.")
        }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
        else {
            throw Failure(
                .inputOutput,
                "\(path) cannot be mapped into memory: \(systemError()); check the limits on "
                    + "memory and the disk.")
        }
        return Mapping(base: base, size: size)
    }

    private static func format(
        of mapping: Mapping, path: String
    ) throws(Failure) -> TokenFileFormat {
        let words = mapping.base.assumingMemoryBound(to: Int32.self)
        let hasHeader = mapping.size >= TokenFileFormat.headerWords * 4
        for format in [TokenFileFormat.uint16, .uint32]
        where mapping.size >= 4 && words[0] == format.magic {
            guard hasHeader else {
                throw Failure(
                    .badData,
                    "\(path) has \(mapping.size) bytes, less than the header of 1024 that it begins; "
                        + "it is cut off, so make it again.")
            }
            guard words[1] == format.version else {
                throw Failure(
                    .badData,
                    "\(path) has version \(words[1]) of llm.c's format \(format.magic), but only "
                        + "version \(format.version) is known; make it again.")
            }
            return format
        }
        let isDated = mapping.size >= 8 && isDate(words[0]) && (0..<1000).contains(words[1])
        let isBlank = hasHeader && words[0] != 0 && (3..<256).allSatisfy { words[$0] == 0 }
        guard !isDated, !isBlank else {
            throw Failure(
                .badData,
                "\(path) begins with the magic number \(words[0]), but llm.c's token files begin "
                    + "with 20240520 or 20240801; make it again.")
        }
        return .bare
    }

    /// Whether a number is written like a day from 2020 to 2039.
    private static func isDate(_ word: Int32) -> Bool {
        (2020...2039).contains(word / 10_000) && (1...12).contains(word / 100 % 100)
            && (1...31).contains(word % 100)
    }
}
