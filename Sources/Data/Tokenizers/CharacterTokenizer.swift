import Compute
import Support

/// A tokenizer whose tokens are the Unicode scalars of a corpus, with ids in the order of the
/// scalars' values.
///
/// The ids are those of nanoGPT's `sorted(list(set(text)))` for text without carriage returns.
/// Python reads the line endings CR LF and CR as LF, while this tokenizer keeps every character.
package struct CharacterTokenizer: Tokenizer {
    package let kind = "characters"
    package let endOfText: UInt32? = nil
    package let fingerprint: String
    package let savedForm: String
    /// The scalar of each id, in increasing order.
    package let scalars: [UInt32]

    /// One more than the id of each scalar value up to the largest, or 0 if it has no id.
    private let idPlusOne: Buffer<UInt32>

    /// Creates a tokenizer for these scalars, which may repeat and be in any order.
    ///
    /// - Throws: `Failure` (bad data) if there is no value, or if one is not a Unicode scalar.
    package init(scalars: some Sequence<UInt32>) throws(Failure) {
        let sorted = Set(scalars).sorted()
        guard let largest = sorted.last else {
            throw .about(
                .badData, "the vocabulary of characters", "is empty", remedy: "give a text file")
        }
        var text = String.UnicodeScalarView()
        for value in sorted {
            guard let scalar = Unicode.Scalar(value) else {
                throw .about(
                    .badData, "character \(value)", "is not a Unicode scalar",
                    remedy: "use well-formed text")
            }
            text.append(scalar)
        }
        self.scalars = sorted
        idPlusOne = Buffer(count: Int(largest) + 1)
        for (id, value) in sorted.enumerated() { idPlusOne.base[Int(value)] = UInt32(id + 1) }
        let saved: JSONObject = [
            "type": "characters", "version": 1, "characters": .string(String(text)),
        ]
        savedForm = saved.text + "\n"
        fingerprint = SHA256.hash(savedForm)
    }

    package var vocabularySize: Int { scalars.count }
    package var huggingFaceForm: String { HuggingFaceTokenizer.text(ofCharacters: scalars) }

    package func makeEncoder(source: String) -> any TokenEncoder {
        Encoder(ids: idPlusOne, source: source)
    }

    package func bytes(of id: UInt32) -> [UInt8]? {
        guard id < vocabularySize, let scalar = Unicode.Scalar(scalars[Int(id)]) else { return nil }
        return Array(String(scalar).utf8)
    }

    private struct Encoder: TokenEncoder {
        let ids: Buffer<UInt32>
        let source: String
        /// The beginning of a scalar at the end of the last chunk; at most three bytes.
        var cut: [UInt8] = []
        var offset = 0

        mutating func encode(
            _ bytes: UnsafeRawBufferPointer, into output: inout [UInt32]
        ) throws(Failure) {
            var rest = bytes
            while !cut.isEmpty, let byte = rest.first {
                cut.append(byte)
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
                let joined = cut
                let used = try joined.withUnsafeBufferPointer { (whole) throws(Failure) in
                    try encodeWhole(UnsafeRawBufferPointer(whole), into: &output)
                }
                if used > 0 { cut = [] }
            }
            output.reserveCapacity(output.count + rest.count)
            let used = try encodeWhole(rest, into: &output)
            cut += rest.dropFirst(used)
        }

        mutating func finish(into output: inout [UInt32]) throws(Failure) {
            guard cut.isEmpty else { throw invalidUTF8(source, offset: offset) }
            offset = 0
        }

        /// Encodes the whole scalars at the front and returns their size in bytes.
        private mutating func encodeWhole(
            _ bytes: UnsafeRawBufferPointer, into output: inout [UInt32]
        ) throws(Failure) -> Int {
            var unknown: UInt32?
            let (base, limit) = (ids.base, ids.count)
            let prefix = UTF8Prefix(of: bytes) { scalar in
                let id = Int(scalar) < limit ? base[Int(scalar)] : 0
                if id == 0, unknown == nil { unknown = scalar }
                output.append(id &- 1)
            }
            if let unknown {
                throw .badData(
                    source,
                    "has the character \(shown(unknown)), which is not among the tokenizer's",
                    remedy: "remove it, or tokenize by bytes or byte pairs")
            }
            if prefix.isInvalid { throw invalidUTF8(source, offset: offset + prefix.bytes) }
            offset += prefix.bytes
            return prefix.bytes
        }
    }
}
