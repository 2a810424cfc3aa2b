import Support

/// The element types of the safetensors format that fill whole bytes.
package enum ElementType: String, Sendable, CaseIterable {
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
    package var byteCount: Int {
        switch self {
        case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0: 1
        case .uint16, .int16, .float16, .bfloat16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .complex64: 8
        }
    }
}

/// The entry of a tensor in the header of a safetensors file.
package struct StoredTensor: Sendable, Equatable {
    package let name: String
    package let type: ElementType
    /// The extents of the tensor: empty for a scalar, with a zero if there are no elements.
    package let shape: [Int]
    /// The tensor's bytes, counted from the start of the data.
    package let range: Range<Int>
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

    /// Parses the header at the start of a file's bytes.
    ///
    /// - Parameters:
    ///   - bytes: the whole file.
    ///   - path: the file's name in messages.
    /// - Throws: `.badData`.
    init(parsing bytes: UnsafeRawBufferPointer, path: String) throws(Failure) {
        do throws(Defect) {
            let text = try Self.headerText(of: bytes)
            dataStart = 8 + text.count
            let header = try Self.content(of: text)
            metadata = header.metadata
            var tensors = try header.entries.map(Self.tensor)
            tensors.sort {
                ($0.range.lowerBound, $0.range.upperBound)
                    < ($1.range.lowerBound, $1.range.upperBound)
            }
            try Self.checkCoverage(tensors, dataSize: bytes.count - dataStart)
            self.tensors = tensors
        } catch {
            throw .file(
                .badData, path, "is not a valid safetensors file, because \(error.problem)",
                remedy: "get a fresh copy of it, or use another file")
        }
    }

    /// A violation of the format.
    private struct Defect: Error {
        let problem: String

        init(_ problem: String) { self.problem = problem }
    }

    private static func headerText(
        of bytes: UnsafeRawBufferPointer
    ) throws(Defect) -> UnsafeRawBufferPointer {
        guard bytes.count >= 8 else {
            throw Defect("it has \(bytes.count) bytes, fewer than the 8 of the header's length")
        }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= longest else {
            throw Defect("its header would have \(length) bytes, more than \(longest)")
        }
        guard Int(length) <= bytes.count - 8 else {
            throw Defect(
                "its header should have \(length) bytes but the file ends after \(bytes.count - 8)")
        }
        let text = UnsafeRawBufferPointer(rebasing: bytes[8..<8 + Int(length)])
        guard text.first == UInt8(ascii: "{") else {
            throw Defect("its header does not begin with {")
        }
        return text
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
        of text: UnsafeRawBufferPointer
    ) throws(Defect) -> (metadata: [String: String], entries: [(name: String, Entry)]) {
        var metadata: [String: String] = [:]
        var entries: [(String, Entry)] = []
        do throws(JSONProblem) {
            for member in try JSONObject(json: JSONValue(parsing: text)).members {
                if member.key == metadataKey {
                    metadata = try .init(json: member.value, at: member.key)
                } else {
                    entries.append((member.key, try .init(json: member.value, at: member.key)))
                }
            }
        } catch {
            throw Defect("its header \(error.predicate)")
        }
        return (metadata, entries)
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
