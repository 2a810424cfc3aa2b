import Support

/// A tokenizer whose 256 tokens are the bytes. It encodes any file.
package struct ByteTokenizer: Tokenizer {
    package let kind = "bytes"
    package let vocabularySize = 256
    package let endOfText: UInt32? = nil
    package let savedForm = JSONValue.object(["type": "bytes", "version": 1]).text + "\n"
    package var fingerprint: String { SHA256.hash(savedForm) }

    /// Bytes are byte pairs that never merge.
    package var huggingFaceForm: String {
        HuggingFaceTokenizer.text(names: HuggingFaceTokenizer.byteNames, merges: [], endOfText: nil)
    }

    package init() {}

    package func makeEncoder(source: String) -> any TokenEncoder { Encoder() }

    package func bytes(of id: UInt32) -> [UInt8]? { UInt8(exactly: id).map { [$0] } }

    private struct Encoder: TokenEncoder {
        mutating func encode(
            _ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]
        ) throws(Failure) {
            ids.append(contentsOf: bytes.lazy.map(UInt32.init))
        }

        mutating func finish(into ids: inout [UInt32]) throws(Failure) {}
    }
}
