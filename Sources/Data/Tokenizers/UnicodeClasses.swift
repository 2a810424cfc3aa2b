import Compute

/// The classes of code points that GPT-2's pattern distinguishes.
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
        let table = Buffer<UInt8>(count: 0x11_0000)
        for (kind, ranges) in [
            (letter, UnicodeClassTable.letters), (number, UnicodeClassTable.numbers),
            (whiteSpace, UnicodeClassTable.whiteSpace),
        ] {
            for index in stride(from: 0, to: ranges.count, by: 2) {
                for point in ranges[index]...ranges[index + 1] { table.base[Int(point)] = kind }
            }
        }
        return table
    }()
}
