import Compute

/// A converter of text that arrives in pieces to Unicode's normalization form C.
///
/// Memory is bounded by the longest run of combining characters.
struct CanonicalComposer {
    private let table = CompositionTable.shared
    /// The decomposed characters that the next ones may still change, with their combining classes
    /// in the high halves.
    private var segment: [UInt64] = []

    /// Returns the normal form of a whole text.
    static func composed(_ text: String) -> [UInt8] {
        var composer = CanonicalComposer()
        var output = PendingText()
        let bytes = Array(text.utf8)
        bytes.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return }
            composer.append(base, count: bytes.count, to: &output)
        }
        composer.finish(into: &output)
        return Array(output.bytes)
    }

    /// Appends the normal form of well-formed UTF-8 to `output`, except for its last characters,
    /// which more text may change.
    mutating func append(
        _ text: UnsafePointer<UInt8>, count: Int, to output: inout PendingText
    ) {
        var position = 0
        while position < count {
            // Characters below U+0300, whose lead bytes are less than 0xCC, do not change.
            var end = position
            var last = position
            while end < count, text[end] < 0xCC {
                last = end
                end += text[end] < 0x80 ? 1 : 2
            }
            if last > position {
                flush(into: &output)
                output.append(
                    UnsafeRawBufferPointer(start: text + position, count: last - position))
                position = last
            }
            guard case .scalar(let scalar, let length) = utf8Scalar(text, at: position, end: count)
            else { return }
            add(scalar, to: &output)
            position += length
        }
    }

    /// Appends the remaining characters, and prepares for a new text.
    mutating func finish(into output: inout PendingText) { flush(into: &output) }

    private mutating func add(_ scalar: UInt32, to output: inout PendingText) {
        if table.isInert(scalar) {
            flush(into: &output)
            segment.append(UInt64(scalar))
            return
        }
        let decomposed = table.decomposition(of: scalar)
        if let first = decomposed.first, table.begins(first) { flush(into: &output) }
        for scalar in decomposed {
            segment.append(UInt64(table.combiningClass(of: scalar)) << 32 | UInt64(scalar))
        }
    }

    /// Composes the segment and appends it.
    private mutating func flush(into output: inout PendingText) {
        guard segment.count > 1 else {
            if let only = segment.popLast() { write(UInt32(truncatingIfNeeded: only), to: &output) }
            return
        }
        order()
        var composed: [UInt32] = []
        composed.reserveCapacity(segment.count)
        var starter: Int?
        var lastClass: UInt64 = 0
        for entry in segment {
            let (kind, scalar) = (entry >> 32, UInt32(truncatingIfNeeded: entry))
            // A character of the same or a higher class between the two blocks the composition.
            if let starter, lastClass < kind || (lastClass == 0 && starter == composed.count - 1),
                let whole = table.composition(of: composed[starter], scalar)
            {
                composed[starter] = whole
                continue
            }
            if kind == 0 { starter = composed.count }
            lastClass = kind
            composed.append(scalar)
        }
        segment.removeAll(keepingCapacity: true)
        for scalar in composed { write(scalar, to: &output) }
    }

    private func write(_ scalar: UInt32, to output: inout PendingText) {
        guard let utf8 = Unicode.Scalar(scalar).flatMap({ UTF8.encode($0) }) else { return }
        var bytes: UInt32 = 0
        for (place, byte) in utf8.enumerated() { bytes |= UInt32(byte) << (8 * UInt32(place)) }
        withUnsafeBytes(of: bytes.littleEndian) {
            output.append(UnsafeRawBufferPointer(rebasing: $0[..<utf8.count]))
        }
    }

    /// Sorts each run of combining characters by class, and leaves equal ones in order.
    private mutating func order() {
        var start = 0
        while start < segment.count {
            guard segment[start] >> 32 != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < segment.count, segment[end] >> 32 != 0 { end += 1 }
            if end - start > 1 {
                let sorted = segment[start..<end].enumerated().sorted {
                    ($0.element >> 32, $0.offset) < ($1.element >> 32, $1.offset)
                }
                segment.replaceSubrange(start..<end, with: sorted.map(\.element))
            }
            start = end
        }
    }
}

/// The canonical decompositions and compositions of Unicode that Hugging Face's library uses.
struct CompositionTable: Sendable {
    static let shared = CompositionTable()

    /// The combining class of every code point.
    private let classes = Buffer<UInt8>(count: 0x11_0000)
    private var decompositions: [UInt32: [UInt32]] = [:]
    /// The composition of two characters, the first in the high half of the key.
    private var compositions: [UInt64: UInt32] = [:]
    /// The characters that compose with one before them.
    private var seconds: Set<UInt32> = []
    /// One for every code point that decomposes or depends on the one before it, and zero for the
    /// others.
    private let reactive = Buffer<UInt8>(count: 0x11_0000)

    /// Reads the table, whose lines are `class CLASS FIRST-LAST...`, `compose WHOLE FIRST SECOND...`
    /// and `decompose WHOLE PARTS...`, with numbers in hexadecimal.
    private init() {
        let text = String(decoding: PackageResources.UnicodeComposition_txt, as: UTF8.self)
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            let numbers = words.dropFirst().flatMap {
                $0.split(separator: "-").compactMap { UInt32($0, radix: 16) }
            }
            switch words[0] {
            case "class":
                for first in stride(from: 1, to: numbers.count, by: 2) {
                    for point in numbers[first]...numbers[first + 1] {
                        classes.base[Int(point)] = UInt8(truncatingIfNeeded: numbers[0])
                    }
                }
            case "compose":
                for first in stride(from: 0, to: numbers.count, by: 3) {
                    let (whole, left, right) =
                        (numbers[first], numbers[first + 1], numbers[first + 2])
                    compositions[UInt64(left) << 32 | UInt64(right)] = whole
                    decompositions[whole] = (decompositions[left] ?? [left]) + [right]
                    seconds.insert(right)
                }
            default: decompositions[numbers[0]] = Array(numbers.dropFirst())
            }
        }
        for point in 0..<UInt32(reactive.count)
        where decompositions[point] != nil || Hangul.syllables.contains(point) || !begins(point) {
            reactive.base[Int(point)] = 1
        }
    }

    func combiningClass(of scalar: UInt32) -> UInt8 { classes.base[Int(scalar)] }

    /// Returns whether a character neither decomposes nor depends on the one before it.
    @inline(__always)
    func isInert(_ scalar: UInt32) -> Bool { reactive.base[Int(scalar)] == 0 }

    /// Returns whether no character before this one combines with it or changes its place.
    func begins(_ scalar: UInt32) -> Bool {
        guard combiningClass(of: scalar) == 0 else { return false }
        return !seconds.contains(scalar) && !Hangul.vowels.contains(scalar)
            && !Hangul.finals.contains(scalar)
    }

    func decomposition(of scalar: UInt32) -> [UInt32] {
        if scalar < 0xC0 { return [scalar] }
        if Hangul.syllables.contains(scalar) { return Hangul.decomposition(of: scalar) }
        return decompositions[scalar] ?? [scalar]
    }

    func composition(of left: UInt32, _ right: UInt32) -> UInt32? {
        compositions[UInt64(left) << 32 | UInt64(right)] ?? Hangul.composition(of: left, right)
    }
}

/// The arithmetic of Korean syllables (Unicode 15, section 3.12).
private enum Hangul {
    static let syllables: Range<UInt32> = 0xAC00..<0xD7A4
    static let initials: Range<UInt32> = 0x1100..<0x1113
    static let vowels: Range<UInt32> = 0x1161..<0x1176
    static let finals: Range<UInt32> = 0x11A8..<0x11C3
    /// The number of syllables for each vowel: one without a final, and one for each final.
    private static let finalCount = UInt32(finals.count + 1)

    static func decomposition(of syllable: UInt32) -> [UInt32] {
        let index = syllable - syllables.lowerBound
        let final = index % finalCount
        let vowel = index / finalCount % UInt32(vowels.count)
        let initial = index / finalCount / UInt32(vowels.count)
        let parts = [initials.lowerBound + initial, vowels.lowerBound + vowel]
        return final == 0 ? parts : parts + [finals.lowerBound + final - 1]
    }

    static func composition(of left: UInt32, _ right: UInt32) -> UInt32? {
        if initials.contains(left), vowels.contains(right) {
            let initial = left - initials.lowerBound
            let vowel = right - vowels.lowerBound
            return syllables.lowerBound + (initial * UInt32(vowels.count) + vowel) * finalCount
        }
        if syllables.contains(left), finals.contains(right),
            (left - syllables.lowerBound) % finalCount == 0
        {
            return left + right - finals.lowerBound + 1
        }
        return nil
    }
}
