/// The checksum of TFRecord files: CRC-32C (RFC 3720, appendix B.4), masked.
///
/// The mask keeps the checksum of data that contain checksums meaningful.
package enum MaskedCRC32C {
    /// Returns the masked checksum of some bytes.
    package static func of(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let sum = unmasked(bytes)
        return (sum >> 15 | sum << 17) &+ 0xa282_ead8
    }

    /// Returns the CRC-32C of some bytes.
    package static func unmasked(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var sum = ~UInt32(0)
        for byte in bytes { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
        return ~sum
    }

    /// The remainder of each byte after division by Castagnoli's polynomial, bits reversed.
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { rest, _ in rest >> 1 ^ (rest & 1 == 1 ? 0x82f6_3b78 : 0) }
    }
}
