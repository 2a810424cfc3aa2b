import Glibc
import Support

/// A byte-pair encoder for text that arrives in pieces, without added tokens and normalization.
///
/// Memory is bounded by the largest piece, the longest word and a cache of fixed size.
final class BytePairEncoder: TokenEncoder {
    private var text: ValidatedText
    private var words: WordEncoder
    /// The number of bytes that the text must have before the next scan. A word that does not end
    /// is scanned again only when it has doubled, so that its cost stays linear.
    private var enough = 1

    init(vocabulary: BytePairVocabulary, source: String) {
        text = ValidatedText(source: source)
        words = WordEncoder(vocabulary: vocabulary)
    }

    func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure) {
        text.pending.append(bytes)
        guard text.pending.count >= enough else { return }
        try text.validate()
        encodeWords(into: &ids, isFinal: false)
        enough = 2 * text.pending.count + 1
    }

    func finish(into ids: inout [UInt32]) throws(Failure) {
        try text.finish()
        encodeWords(into: &ids, isFinal: true)
        text.restart()
        enough = 1
    }

    private func encodeWords(into ids: inout [UInt32], isFinal: Bool) {
        text.drop(
            words.encode(text.pending.base, count: text.validBytes, isFinal: isFinal, into: &ids))
    }
}

/// The encoder of whole words.
struct WordEncoder: ~Copyable {
    private let scanner: WordScanner
    private var cache: WordCache

    init(vocabulary: BytePairVocabulary) {
        scanner = WordScanner(vocabulary.settings.pattern)
        cache = WordCache(vocabulary: vocabulary)
    }

    /// Appends the ids of the words whose end is known, and returns the number of their bytes.
    ///
    /// - Parameter text: well-formed UTF-8 that is followed by 16 readable bytes.
    mutating func encode(
        _ text: UnsafePointer<UInt8>, count: Int, isFinal: Bool, into ids: inout [UInt32]
    ) -> Int {
        var start = 0
        while start < count,
            let end = scanner.wordEnd(text, start: start, end: count, isFinal: isFinal)
        {
            cache.encode(text + start, count: end - start, into: &ids)
            start = end
        }
        return start
    }
}

/// A cache of the ids of words by their bytes, which merges the words that it does not contain.
struct WordCache: ~Copyable {
    /// A word of up to 16 bytes and its ids.
    private struct Slot {
        /// The bytes, zero-padded.
        var low: UInt64 = 0
        var high: UInt64 = 0
        /// The number of bytes of the word; zero marks an empty slot.
        var length: UInt32 = 0
        var idCount: UInt32 = 0
        /// The id if there is one; otherwise the index in `longIds` at which several start.
        var place: UInt32 = 0
    }

    private static let slotCount = 1 << 17
    private static let longestWord = 16

    private let slots: UnsafeMutablePointer<Slot>
    private var used = 0
    private var longIds: [UInt32] = []
    private var merger: BytePairMerger
    private var scratch = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: 256)

    init(vocabulary: BytePairVocabulary) {
        // Zeroed memory means empty slots, and pages that short text never touches cost nothing.
        guard let zeroed = calloc(Self.slotCount, MemoryLayout<Slot>.stride) else {
            Failure.about(
                .configuration, "memory for the tokenizer's table",
                "cannot be allocated (\(systemMessage()))",
                remedy: "raise the limit (ulimit -v)"
            ).endProcess()
        }
        slots = zeroed.bindMemory(to: Slot.self, capacity: Self.slotCount)
        merger = BytePairMerger(vocabulary: vocabulary)
    }

    deinit {
        free(slots)
        scratch.deallocate()
    }

    /// Appends the ids of a word that is followed by at least 16 readable bytes.
    @inline(__always)
    mutating func encode(
        _ word: UnsafePointer<UInt8>, count: Int, into ids: inout [UInt32]
    ) {
        guard count <= Self.longestWord else { return appendMerged(word, count: count, to: &ids) }
        let raw = UnsafeRawPointer(word)
        let low = raw.loadUnaligned(as: UInt64.self) & Self.mask(count)
        let high =
            raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self) & Self.mask(max(0, count - 8))
        let hash = Self.hash(low, high, count)
        var slot = hash
        while slots[slot].length != 0 {
            let entry = slots[slot]
            if entry.low == low, entry.high == high, entry.length == UInt32(count) {
                if entry.idCount == 1 {
                    ids.append(entry.place)
                } else {
                    let first = Int(entry.place)
                    ids.append(contentsOf: longIds[first..<first + Int(entry.idCount)])
                }
                return
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        let first = ids.count
        appendMerged(word, count: count, to: &ids)
        remember(ids[first...], low: low, high: high, length: count, hash: hash)
    }

    private mutating func remember(
        _ ids: ArraySlice<UInt32>, low: UInt64, high: UInt64, length: Int, hash: Int
    ) {
        if used >= Self.slotCount / 2 {
            slots.update(repeating: Slot(), count: Self.slotCount)
            longIds.removeAll(keepingCapacity: true)
            used = 0
        }
        var place = UInt32(longIds.count)
        if ids.count == 1, let id = ids.first { place = id } else { longIds += ids }
        var slot = hash
        while slots[slot].length != 0 { slot = (slot + 1) & (Self.slotCount - 1) }
        slots[slot] = Slot(
            low: low, high: high, length: UInt32(length), idCount: UInt32(ids.count), place: place)
        used += 1
    }

    private mutating func appendMerged(
        _ word: UnsafePointer<UInt8>, count: Int, to ids: inout [UInt32]
    ) {
        if let id = merger.vocabulary.wholeWord(word, count: count) { return ids.append(id) }
        if count > scratch.count {
            scratch.deallocate()
            scratch = .allocate(capacity: max(count, 2 * scratch.count))
        }
        guard let base = scratch.baseAddress else { return }
        let written = merger.merge(word, count: count, into: base)
        ids.append(contentsOf: UnsafeBufferPointer(start: base, count: written))
    }

    /// Returns a mask of the first `count` bytes of a little-endian word.
    @inline(__always)
    private static func mask(_ count: Int) -> UInt64 {
        count >= 8 ? .max : (1 << UInt64(8 * count)) - 1
    }

    @inline(__always)
    private static func hash(_ low: UInt64, _ high: UInt64, _ count: Int) -> Int {
        let mixed = (low ^ UInt64(count)) &* 0x9E37_79B9_7F4A_7C15
        let both = (mixed ^ (mixed >> 29) ^ high) &* 0xBF58_476D_1CE4_E5B9
        return Int(truncatingIfNeeded: both >> 40) & (slotCount - 1)
    }
}
