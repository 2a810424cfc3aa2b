import Support

/// The element types of the safetensors format that fill whole bytes.
public enum ElementType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case float8E5M2 = "F8_E5M2"
    case float8E4M3 = "F8_E4M3"
    case float8E8M0 = "F8_E8M0"
    case uint16 = "U16"
    case int16 = "I16"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case uint32 = "U32"
    case int32 = "I32"
    case float32 = "F32"
    case uint64 = "U64"
    case int64 = "I64"
    case float64 = "F64"
    case complex64 = "C64"

    /// The number of bytes of an element.
    public var byteCount: Int {
        switch self {
        case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0: 1
        case .uint16, .int16, .float16, .bfloat16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .complex64: 8
        }
    }
}

/// The entry of a tensor in the header of a safetensors file.
public struct StoredTensor: Sendable, Equatable {
    public let name: String
    public let type: ElementType
    /// The extents of the tensor: empty for a scalar, with a zero if there are no elements.
    public let shape: [Int]
    /// The tensor's bytes, counted from the start of the data.
    public let range: Range<Int>
}

/// The header of a safetensors file, checked against all rules of the format.
///
/// The rules are those of the description and the reader in huggingface/safetensors. In addition, a
/// key must not appear twice, and the header must begin with `{`.
struct SafetensorsHeader {
    /// The tensors, sorted by their position in the data.
    let tensors: [StoredTensor]
    /// The free-form strings of `__metadata__`.
    let metadata: [String: String]
    /// The offset of the data in the file.
    let dataStart: Int

    /// The key of the metadata, which cannot be the name of a tensor.
    static let metadataKey = "__metadata__"
    /// The longest header that readers of the format accept, in bytes.
    static let longest = 100_000_000

    /// Reads the header at the start of a file.
    ///
    /// - Throws: `.inputOutput`, `.badData`.
    init(reading file: borrowing Descriptor) throws(Failure) {
        let size = try file.size()
        let lengthBytes = try Self.bytes(of: file, 0..<min(8, size))
        let length = try Self.checked(file) { () throws(Defect) in
            try Self.headerLength(lengthBytes, fileSize: size)
        }
        let text = try Self.bytes(of: file, 8..<8 + length)
        dataStart = 8 + length
        (tensors, metadata) = try Self.checked(file) { () throws(Defect) in
            try Self.content(of: text, dataSize: size - 8 - length)
        }
    }

    private static func bytes(
        of file: borrowing Descriptor, _ range: Range<Int>
    ) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBufferPointer { (bytes) throws(Failure) in
            try file.fill(UnsafeMutableRawBufferPointer(bytes), at: range.lowerBound)
        }
        return bytes
    }

    /// Returns the result of a check of a file; a violation becomes a failure that names the file.
    private static func checked<Value>(
        _ file: borrowing Descriptor, _ check: () throws(Defect) -> Value
    ) throws(Failure) -> Value {
        do throws(Defect) { return try check() } catch {
            throw .file(
                .badData, file.path, "is not a valid safetensors file, because \(error.problem)",
                remedy: "get a fresh copy of it, or use another file")
        }
    }

    /// A violation of the format.
    private struct Defect: Error {
        let problem: String

        init(_ problem: String) { self.problem = problem }
    }

    private static func headerLength(_ bytes: [UInt8], fileSize: Int) throws(Defect) -> Int {
        guard bytes.count == 8 else {
            throw Defect("it has \(fileSize) bytes, fewer than the 8 of the header's length")
        }
        let length = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= longest else {
            throw Defect("its header would have \(length) bytes, more than \(longest)")
        }
        guard Int(length) <= fileSize - 8 else {
            throw Defect(
                "its header should have \(length) bytes but the file ends after \(fileSize - 8)")
        }
        return Int(length)
    }

    /// The entry of a tensor before its values are checked.
    private struct Entry: JSONReadable {
        let type: String
        let shape: [Int]
        let offsets: [Int]

        init(json: JSONValue) throws(JSONProblem) {
            type = try json.read("dtype")
            shape = try json.read("shape")
            offsets = try json.read("data_offsets")
        }
    }

    private static func content(
        of text: [UInt8], dataSize: Int
    ) throws(Defect) -> (tensors: [StoredTensor], metadata: [String: String]) {
        guard text.first == UInt8(ascii: "{") else {
            throw Defect("its header does not begin with {")
        }
        var metadata: [String: String] = [:]
        var entries: [(String, Entry)] = []
        do throws(JSONProblem) {
            for member in try JSONObject(parsing: text).members {
                if member.key == metadataKey {
                    metadata = try .init(json: member.value, at: member.key)
                } else {
                    entries.append((member.key, try .init(json: member.value, at: member.key)))
                }
            }
        } catch {
            throw Defect("its header \(error.predicate)")
        }
        var tensors = try entries.map(tensor)
        tensors.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        try checkCoverage(tensors, dataSize: dataSize)
        return (tensors, metadata)
    }

    private static func tensor(_ name: String, _ entry: Entry) throws(Defect) -> StoredTensor {
        guard let type = ElementType(rawValue: entry.type) else {
            throw Defect("its tensor \"\(name)\" has the unknown dtype \"\(entry.type)\"")
        }
        let (shape, offsets) = (entry.shape, entry.offsets)
        guard shape.allSatisfy({ $0 >= 0 }) else {
            throw Defect("the shape of its tensor \"\(name)\" is not a list of natural numbers")
        }
        guard offsets.count == 2, 0 <= offsets[0], offsets[0] <= offsets[1] else {
            throw Defect("the data_offsets of its tensor \"\(name)\" are not a range of bytes")
        }
        guard let size = byteCount(shape: shape, type: type) else {
            throw Defect("the size of its tensor \"\(name)\" of shape \(shape) overflows")
        }
        guard offsets[1] - offsets[0] == size else {
            throw Defect(
                "its tensor \"\(name)\" has \(offsets[1] - offsets[0]) bytes where shape \(shape) of "
                    + "\(entry.type) needs \(size)")
        }
        return StoredTensor(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// Returns the number of bytes of a tensor; nil if the product overflows.
    private static func byteCount(shape: [Int], type: ElementType) -> Int? {
        var size = type.byteCount
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            size = product
        }
        return size
    }

    /// Checks that the sorted tensors cover the data without gaps or overlaps.
    private static func checkCoverage(_ tensors: [StoredTensor], dataSize: Int) throws(Defect) {
        var end = 0
        for tensor in tensors {
            guard tensor.range.lowerBound == end else {
                let overlaps = tensor.range.lowerBound < end
                throw Defect(
                    "its tensor \"\(tensor.name)\" "
                        + (overlaps ? "overlaps the one before it" : "follows a hole"))
            }
            end = tensor.range.upperBound
        }
        guard end == dataSize else {
            throw Defect(
                end < dataSize
                    ? "it has \(dataSize - end) bytes after the last tensor"
                    : "it ends \(end - dataSize) bytes before its last tensor does")
        }
    }
}
