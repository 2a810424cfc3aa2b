import Glibc
import Support

/// The number of times that each word occurs, by the word's bytes.
///
/// Memory grows with the number and the lengths of different words.
final class WordTable {
    /// A word of the table; a count of zero marks an empty slot.
    private struct Slot {
        var start = 0
        var length: UInt32 = 0
        var hash: UInt32 = 0
        var count = 0
    }

    private var slots: UnsafeMutablePointer<Slot>
    private var capacity = 1 << 12
    private var used = 0
    /// The bytes of all words.
    private var bytes: UnsafeMutablePointer<UInt8>
    private var byteCapacity = 1 << 16
    private(set) var byteCount = 0
    /// The size in bytes of the longest word that the table counts.
    private let longestWord: Int
    /// Whether a longer word was left out.
    private(set) var lacksWord = false

    init(longestWord: Int) {
        precondition(longestWord <= UInt32.max, "a slot holds the length")
        self.longestWord = longestWord
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(), count: capacity)
        bytes = .allocate(capacity: byteCapacity)
    }

    deinit {
        slots.deallocate()
        bytes.deallocate()
    }

    /// The number of different words.
    var count: Int { used }

    /// Counts a word, unless it is longer than `longestWord`.
    @inline(__always)
    func add(_ word: UnsafePointer<UInt8>, length: Int, times: Int = 1) {
        let hash = Self.hash(word, length)
        var place = Int(hash) & (capacity - 1)
        while slots[place].count != 0 {
            if slots[place].hash == hash, Int(slots[place].length) == length,
                memcmp(bytes + slots[place].start, word, length) == 0
            {
                slots[place].count += times
                return
            }
            place = (place + 1) & (capacity - 1)
        }
        insert(word, length: length, times: times, hash: hash, at: place)
    }

    /// Counts the words of another table.
    func add(_ other: WordTable) {
        for place in 0..<other.capacity where other.slots[place].count != 0 {
            let slot = other.slots[place]
            add(other.bytes + slot.start, length: Int(slot.length), times: slot.count)
        }
    }

    /// Calls a function with each word and its count, in the order of the words' bytes.
    func forEachSorted(_ body: (UnsafeBufferPointer<UInt8>, Int) -> Void) {
        var places = (0..<capacity).filter { slots[$0].count != 0 }
        places.sort { left, right in
            let (a, b) = (slots[left], slots[right])
            let order = memcmp(
                bytes + a.start, bytes + b.start, Int(min(a.length, b.length)))
            return order != 0 ? order < 0 : a.length < b.length
        }
        for place in places {
            let slot = slots[place]
            body(
                UnsafeBufferPointer(start: bytes + slot.start, count: Int(slot.length)), slot.count)
        }
    }

    private func insert(
        _ word: UnsafePointer<UInt8>, length: Int, times: Int, hash: UInt32, at place: Int
    ) {
        guard length <= longestWord else {
            lacksWord = true
            return
        }
        if byteCount + length > byteCapacity {
            byteCapacity = max(2 * byteCapacity, byteCount + length)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: byteCapacity)
            larger.update(from: bytes, count: byteCount)
            bytes.deallocate()
            bytes = larger
        }
        (bytes + byteCount).update(from: word, count: length)
        slots[place] = Slot(
            start: byteCount, length: UInt32(length), hash: hash, count: times)
        byteCount += length
        used += 1
        if 2 * used > capacity { grow() }
    }

    private func grow() {
        let (old, oldCapacity) = (slots, capacity)
        capacity *= 2
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(), count: capacity)
        for index in 0..<oldCapacity where old[index].count != 0 {
            var place = Int(old[index].hash) & (capacity - 1)
            while slots[place].count != 0 { place = (place + 1) & (capacity - 1) }
            slots[place] = old[index]
        }
        old.deallocate()
    }

    @inline(__always)
    private static func hash(_ word: UnsafePointer<UInt8>, _ length: Int) -> UInt32 {
        var state = UInt64(truncatingIfNeeded: length) &* 0x9E37_79B9_7F4A_7C15
        for index in 0..<length {
            state = (state ^ UInt64(word[index])) &* 0x0000_0100_0000_01B3
        }
        return UInt32(
            truncatingIfNeeded: ((state ^ (state >> 29)) &* 0xBF58_476D_1CE4_E5B9) >> 32)
    }
}
