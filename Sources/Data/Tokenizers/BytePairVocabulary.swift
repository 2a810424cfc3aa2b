import Compute
import Support

/// The tokens of a byte-pair encoding and their merges.
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
    /// The merges, in the order in which they apply.
    let merges: [Merge]
    /// The id of each single byte.
    let byteIds: [UInt32]
    /// The id of the token that separates documents, or nil if there is none.
    let endOfText: UInt32?
    let settings: BytePairSettings
    /// The search for the tokens that text spells before it is normalized.
    let plainTokens: AddedTokenSearch
    /// The search for the tokens that normalized text spells.
    let normalizedTokens: AddedTokenSearch

    /// The ids by the tokens' bytes; empty unless the merges of whole words are ignored.
    private let wordIds: [[UInt8]: UInt32]
    private let slots: Buffer<PairSlot>
    private let mask: Int

    /// A slot of an open-addressing hash table from pairs of ids to their merges.
    private struct PairSlot: BitwiseCopyable {
        /// The pair, with the left id in the high half. All bits are inverted, so that zeroed
        /// memory means an empty slot.
        var invertedPair: UInt64
        var rank: UInt32
        var id: UInt32
    }

    /// Creates a vocabulary from the spelling of each id and the merges in order of rank.
    ///
    /// - Parameters:
    ///   - settings: the settings. Neither text nor merges give their special tokens or `endOfText`.
    ///   - files: the names of the files in messages.
    ///   - firstLine: the number of the first merge in messages.
    /// - Throws: `Failure` (bad data) if a byte has no token, the result of a merge is not a token,
    ///   or a merge is repeated.
    init(
        names: [String], merges: [Merge], endOfText: UInt32?, settings: BytePairSettings,
        files: (vocabulary: String, merges: String), firstLine: Int
    ) throws(Failure) {
        // A name outside the byte alphabet, such as another model's added token, is plain text.
        var tokens = names.map { ByteAlphabet.bytes(of: $0) ?? Array($0.utf8) }
        for token in settings.addedTokens where Int(token.id) >= settings.listedCount ?? .max {
            tokens[Int(token.id)] = Array(token.content.utf8)
        }
        let special = Set(
            settings.addedTokens.filter(\.isSpecial).map(\.id) + (endOfText.map { [$0] } ?? []))
        var idOf: [[UInt8]: UInt32] = [:]
        idOf.reserveCapacity(tokens.count)
        for (id, name) in names.prefix(settings.listedCount ?? .max).enumerated()
        where !special.contains(UInt32(id)) {
            // A name outside the byte alphabet is a token that no merge produces.
            if let bytes = ByteAlphabet.bytes(of: name) { idOf[bytes] = UInt32(id) }
        }
        var byteIds: [UInt32] = []
        for byte in UInt8.min...UInt8.max {
            guard let id = idOf[[byte]] else {
                throw .badData(
                    files.vocabulary,
                    "has no token for the byte \(byte), but a byte-level vocabulary needs all 256",
                    remedy: useOwnFile)
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
        self.settings = settings
        (plainTokens, normalizedTokens) = Self.searches(for: settings)
        wordIds = settings.ignoresMerges ? idOf : [:]
        for (rank, merge) in merges.enumerated() {
            let bytes = tokens[Int(merge.left)] + tokens[Int(merge.right)]
            guard let id = idOf[bytes] else {
                throw .badData(
                    files.merges,
                    "merge \(rank + firstLine) gives \"\(ByteAlphabet.text(of: bytes))\", which is "
                        + "not in \(files.vocabulary)", remedy: useOneModel)
            }
            let slot = place(of: merge.left, merge.right)
            guard slots.base[slot].invertedPair == 0 else {
                throw .badData(
                    files.merges, "merge \(rank + firstLine) repeats an earlier one",
                    remedy: useOwnFile)
            }
            slots.base[slot] = PairSlot(
                invertedPair: ~Self.pair(merge.left, merge.right), rank: UInt32(rank), id: id)
        }
    }

    /// Returns the rank and result of merging two ids; the rank is `UInt32.max` if they do not
    /// merge.
    @inline(__always)
    func merged(_ left: UInt32, _ right: UInt32) -> (rank: UInt32, id: UInt32) {
        let slot = slots.base[place(of: left, right)]
        return slot.invertedPair == 0 ? (.max, 0) : (slot.rank, slot.id)
    }

    /// Returns the id of a word that is one token without merges, or nil.
    func wholeWord(_ word: UnsafePointer<UInt8>, count: Int) -> UInt32? {
        guard settings.ignoresMerges else { return nil }
        return wordIds[Array(UnsafeBufferPointer(start: word, count: count))]
    }

    /// Returns the searches for the added tokens of text before and after it is normalized.
    private static func searches(
        for settings: BytePairSettings
    ) -> (plain: AddedTokenSearch, normalized: AddedTokenSearch) {
        var (plain, normalized) = (AddedTokenSearch(), AddedTokenSearch())
        let tokens = settings.addedTokens
        // Of two tokens with one normal form, the library finds the special one.
        for token in tokens.filter(\.isSpecial) + tokens.filter({ !$0.isSpecial }) {
            if !token.isNormalized {
                plain.insert(token.content.utf8, id: token.id, isSpecial: token.isSpecial)
            } else if settings.composes {
                let content = CanonicalComposer.composed(token.content)
                normalized.insert(content, id: token.id, isSpecial: token.isSpecial)
            } else {
                normalized.insert(token.content.utf8, id: token.id, isSpecial: token.isSpecial)
            }
        }
        return (plain, normalized)
    }

    @inline(__always)
    private static func pair(_ left: UInt32, _ right: UInt32) -> UInt64 {
        UInt64(left) << 32 | UInt64(right)
    }

    /// Returns the slot that contains the pair, or the empty slot for it.
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

/// GPT-2's printable characters for bytes, in which vocabulary files spell tokens.
///
/// A byte that is printable in Latin-1 is spelled as that character; the other 68 bytes are spelled
/// as U+0100 and up (Radford et al. 2019, `bytes_to_unicode`).
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

    /// Returns the spelling of bytes in a vocabulary file.
    static func text(of bytes: some Sequence<UInt8>) -> String {
        String(String.UnicodeScalarView(bytes.map { scalars[Int($0)] }))
    }

    /// Returns the bytes of a token in a vocabulary file, or nil if its spelling uses other
    /// characters.
    static func bytes(of text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            // Most characters of a vocabulary are ASCII; the dictionary is for the rest.
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
