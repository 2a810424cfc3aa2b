import Support

/// A tokenizer whose 256 tokens are the bytes. It encodes any file.
package struct ByteTokenizer: Tokenizer {
    package let kind = "bytes"
    package let vocabularySize = 256
    package let endOfText: UInt32? = nil
    package let savedForm = "{\"type\":\"bytes\",\"version\":1}\n"
    package var fingerprint: String { SHA256.hash(savedForm) }

    package init() {}

    package func makeEncoder(source: String) -> any TokenEncoder { Encoder() }

    package func decode(_ ids: [UInt32]) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count)
        for (position, id) in ids.enumerated() {
            guard let byte = UInt8(exactly: id) else {
                throw unknownToken(id, at: position, vocabularySize: vocabularySize)
            }
            bytes.append(byte)
        }
        return bytes
    }

    private struct Encoder: TokenEncoder {
        mutating func encode(
            _ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]
        ) throws(Failure) {
            ids.append(contentsOf: bytes.lazy.map(UInt32.init))
        }

        mutating func finish(into ids: inout [UInt32]) throws(Failure) {}
    }
}
