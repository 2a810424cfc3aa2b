import Compute

/// A scanner that divides text into words by a `SplitPattern`.
struct WordScanner {
    let pattern: SplitPattern
    private let classes = UnicodeClass.table.base

    init(_ pattern: SplitPattern = .gpt2) { self.pattern = pattern }

    /// Returns the end of the word that starts at `start` in well-formed UTF-8, or nil if it
    /// depends on bytes after `end`. If `isFinal`, there are none.
    @inline(__always)
    func wordEnd(_ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool) -> Int? {
        pattern == .gpt2
            ? gpt2WordEnd(text, start: start, end: end, isFinal: isFinal)
            : llama3WordEnd(text, start: start, end: end, isFinal: isFinal)
    }

    @inline(__always)
    private func gpt2WordEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        let first = text[start]
        if first == UInt8(ascii: "'") {
            guard isFinal || start + 3 <= end else { return nil }
            if let contraction = contractionEnd(text, start: start, end: end) { return contraction }
        }
        var runStart = start
        if first == UInt8(ascii: " ") {
            guard start + 1 < end else { return isFinal ? end : nil }
            if scalar(text, start + 1).kind != UnicodeClass.whiteSpace { runStart = start + 1 }
        }
        let (kind, length) = scalar(text, runStart)
        if kind == UnicodeClass.whiteSpace {
            return whiteSpaceEnd(text, start: start, end: end, isFinal: isFinal)
        }
        return runEnd(of: kind, text, start: runStart + length, end: end, isFinal: isFinal)
    }

    /// Returns the end of the scalars of a class from a position, or nil if more may follow.
    @inline(__always)
    func runEnd(
        of kind: UInt8, _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        var position = start
        while position < end {
            let next = scalar(text, position)
            guard next.kind == kind else { return position }
            position += next.length
        }
        return isFinal ? end : nil
    }

    /// Returns the end of white space: before its last character if a word follows, which may
    /// include that character, and after all of it at the end of the text.
    private func whiteSpaceEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        var position = start
        var last = start
        while position < end {
            let next = scalar(text, position)
            guard next.kind == UnicodeClass.whiteSpace else {
                return last > start ? last : position
            }
            last = position
            position += next.length
        }
        return isFinal ? end : nil
    }

    /// Returns the end of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d`, or nil if there is none.
    private func contractionEnd(_ text: UnsafePointer<UInt8>, start: Int, end: Int) -> Int? {
        guard start + 1 < end else { return nil }
        switch text[start + 1] {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return start + 2 < end && text[start + 2] == UInt8(ascii: "e") ? start + 3 : nil
        case UInt8(ascii: "l"):
            return start + 2 < end && text[start + 2] == UInt8(ascii: "l") ? start + 3 : nil
        default: return nil
        }
    }

    /// Returns the class and length of the scalar at a position in well-formed UTF-8.
    @inline(__always)
    func scalar(
        _ text: UnsafePointer<UInt8>, _ position: Int
    ) -> (kind: UInt8, length: Int) {
        let lead = UInt32(text[position])
        if lead < 0x80 { return (classes[Int(lead)], 1) }
        let second = UInt32(text[position + 1] & 0x3F)
        if lead < 0xE0 { return (classes[Int((lead & 0x1F) << 6 | second)], 2) }
        let third = UInt32(text[position + 2] & 0x3F)
        if lead < 0xF0 { return (classes[Int((lead & 0x0F) << 12 | second << 6 | third)], 3) }
        let fourth = UInt32(text[position + 3] & 0x3F)
        let point = (lead & 0x07) << 18 | second << 12 | third << 6 | fourth
        return (classes[Int(point)], 4)
    }
}

/// The classes of code points that the patterns distinguish.
enum UnicodeClass {
    static let other: UInt8 = 0
    /// `\p{L}`
    static let letter: UInt8 = 1
    /// `\p{N}`
    static let number: UInt8 = 2
    /// `\s`
    static let whiteSpace: UInt8 = 3

    /// The class of every code point up to U+10FFFF, indexed by its value.
    static let table: Buffer<UInt8> = {
        let classes: [Substring: UInt8] = ["L": letter, "N": number, "s": whiteSpace]
        let table = Buffer<UInt8>(count: 0x11_0000)
        // A line is a class and runs of its code points, such as "N 30-39 B2-B3".
        let text = String(decoding: PackageResources.UnicodeClasses_txt, as: UTF8.self)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let kind = classes[words[0]] else { continue }
            for run in words.dropFirst() {
                let ends = run.split(separator: "-").compactMap { Int($0, radix: 16) }
                for point in ends[0]...ends[1] { table.base[point] = kind }
            }
        }
        return table
    }()
}
