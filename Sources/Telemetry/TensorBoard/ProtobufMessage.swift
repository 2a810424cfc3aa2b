/// A message in the wire format of Protocol Buffers, to which fields are added in order.
struct ProtobufMessage {
    private(set) var bytes: [UInt8] = []

    /// The ways in which the value of a field is encoded.
    private enum WireType: Int {
        case varint = 0
        case fixed64 = 1
        case lengthDelimited = 2
        case fixed32 = 5
    }

    mutating func add(_ field: Int, _ value: Int) {
        begin(field, .varint)
        add(varint: UInt64(bitPattern: Int64(value)))
    }

    mutating func add(_ field: Int, _ value: Double) {
        begin(field, .fixed64)
        add(fixed: value.bitPattern)
    }

    mutating func add(_ field: Int, _ value: Float) {
        begin(field, .fixed32)
        add(fixed: value.bitPattern)
    }

    mutating func add(_ field: Int, _ text: String) { add(field, bytes: Array(text.utf8)) }

    mutating func add(_ field: Int, _ message: ProtobufMessage) {
        add(field, bytes: message.bytes)
    }

    /// Adds a repeated field of doubles in its packed form.
    mutating func add(_ field: Int, _ values: [Double]) {
        begin(field, .lengthDelimited)
        add(varint: UInt64(values.count * MemoryLayout<Double>.size))
        for value in values { add(fixed: value.bitPattern) }
    }

    private mutating func add(_ field: Int, bytes content: [UInt8]) {
        begin(field, .lengthDelimited)
        add(varint: UInt64(content.count))
        bytes += content
    }

    private mutating func begin(_ field: Int, _ type: WireType) {
        add(varint: UInt64(field << 3 | type.rawValue))
    }

    private mutating func add(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func add(fixed value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
}
