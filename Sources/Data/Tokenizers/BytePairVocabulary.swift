import Compute
import Support

/// The tokens of a byte-pair encoding and which two merge into which.
final class BytePairVocabulary: Sendable {
    /// Two token ids in the order in which they merge.
    struct Merge: Hashable {
        let left: UInt32
        let right: UInt32
    }

    /// The spelling of each id in a vocabulary file.
    let names: [String]
    /// The bytes of each id.
    let tokens: [[UInt8]]
    /// Merges, the first to be applied first.
    let merges: [Merge]
    /// The id of each single byte.
    let byteIds: [UInt32]
    /// The id of the token that separates documents, or nil.
    let endOfText: UInt32?

    private let slots: Buffer<PairSlot>
    private let mask: Int

    /// What a pair of ids merges into, in an open-addressing hash table.
    private struct PairSlot: BitwiseCopyable {
        /// The pair, left id high, with all bits inverted so that zeroed memory means an empty
        /// slot.
        var invertedPair: UInt64
        var rank: UInt32
        var id: UInt32
    }

    /// A vocabulary from the spelling of each id and the merges in order of rank.
    ///
    /// `files` says how messages call the sources, `firstLine` the number of the first merge.
    ///
    /// - Throws: `Failure` (bad data) if a single byte has no token, a merge's result is none, or a
    ///   merge comes twice.
    init(
        names: [String], merges: [Merge], endOfText: UInt32?,
        files: (vocabulary: String, merges: String), firstLine: Int
    ) throws(Failure) {
        // What is not spelt in the alphabet, such as another model's added token, is plain text.
        let tokens = names.map { ByteAlphabet.bytes(of: $0) ?? Array($0.utf8) }
        var idOf: [[UInt8]: UInt32] = [:]
        idOf.reserveCapacity(tokens.count)
        for (id, name) in names.enumerated() where UInt32(id) != endOfText {
            // A name outside the byte alphabet is a token that no merge makes.
            if let bytes = ByteAlphabet.bytes(of: name) { idOf[bytes] = UInt32(id) }
        }
        var byteIds: [UInt32] = []
        for byte in UInt8.min...UInt8.max {
            guard let id = idOf[[byte]] else {
                throw Failure(
                    .badData,
                    "\(files.vocabulary): has no token for the byte \(byte), but a byte-level "
                        + "vocabulary needs all 256; use the model's own file.")
            }
            byteIds.append(id)
        }
        var capacity = 1024
        while capacity < 2 * merges.count { capacity *= 2 }
        slots = Buffer(count: capacity)
        mask = capacity - 1
        self.names = names
        self.tokens = tokens
        self.merges = merges
        self.byteIds = byteIds
        self.endOfText = endOfText
        for (rank, merge) in merges.enumerated() {
            let bytes = tokens[Int(merge.left)] + tokens[Int(merge.right)]
            guard let id = idOf[bytes] else {
                throw Failure(
                    .badData,
                    "merge \(rank + firstLine) in \(files.merges) makes \"\(ByteAlphabet.text(of: bytes))\", "
                        + "which is not in \(files.vocabulary); use the two files of one model.")
            }
            let slot = place(of: merge.left, merge.right)
            guard slots.base[slot].invertedPair == 0 else {
                throw Failure(
                    .badData,
                    "merge \(rank + firstLine) in \(files.merges) repeats an earlier one; use the model's "
                        + "own file.")
            }
            slots.base[slot] = PairSlot(
                invertedPair: ~Self.pair(merge.left, merge.right), rank: UInt32(rank), id: id)
        }
    }

    /// The rank and result of merging two ids; the rank is `UInt32.max` where they do not merge.
    @inline(__always)
    func merged(_ left: UInt32, _ right: UInt32) -> (rank: UInt32, id: UInt32) {
        let slot = slots.base[place(of: left, right)]
        return slot.invertedPair == 0 ? (.max, 0) : (slot.rank, slot.id)
    }

    @inline(__always)
    private static func pair(_ left: UInt32, _ right: UInt32) -> UInt64 {
        UInt64(left) << 32 | UInt64(right)
    }

    /// The slot that holds the pair, or the empty one where it would go.
    @inline(__always)
    private func place(of left: UInt32, _ right: UInt32) -> Int {
        let inverted = ~Self.pair(left, right)
        let product = inverted &* 0x9E37_79B9_7F4A_7C15
        var slot = Int(truncatingIfNeeded: product ^ (product >> 32)) & mask
        while true {
            let found = slots.base[slot].invertedPair
            if found == inverted || found == 0 { return slot }
            slot = (slot + 1) & mask
        }
    }
}

/// GPT-2's printable stand-ins for bytes, in which vocabulary files spell tokens.
///
/// Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up (Radford et al. 2019,
/// `bytes_to_unicode`).
enum ByteAlphabet {
    /// The scalar of each byte.
    static let scalars: [Unicode.Scalar] = {
        var scalars: [Unicode.Scalar] = []
        var next: UInt16 = 256
        for byte in UInt8.min...UInt8.max {
            switch byte {
            case 33...126, 161...172, 174...255: scalars.append(Unicode.Scalar(byte))
            default:
                scalars.append(Unicode.Scalar(next) ?? " ")
                next += 1
            }
        }
        return scalars
    }()

    private static let byteOf: [Unicode.Scalar: UInt8] = Dictionary(
        uniqueKeysWithValues: zip(scalars, UInt8.min...UInt8.max))

    /// The bytes as a vocabulary file spells them.
    static func text(of bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(scalars[Int(byte)]) }
        return String(text)
    }

    /// The bytes that a token of a vocabulary file stands for, or nil where it is not so spelt.
    static func bytes(of text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            // ASCII is most of every vocabulary; the dictionary is for the rest.
            if (33...126).contains(scalar.value) {
                bytes.append(UInt8(scalar.value))
            } else if let byte = byteOf[scalar] {
                bytes.append(byte)
            } else {
                return nil
            }
        }
        return bytes
    }
}
