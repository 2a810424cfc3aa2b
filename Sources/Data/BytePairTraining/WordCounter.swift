import Compute
import Support

/// A counter of the words of texts that arrive in pieces, on several threads.
///
/// It takes texts as an encoder does, but returns no ids. The counts depend neither on the pieces
/// nor on the number of threads.
final class WordCounter: TokenEncoder {
    /// The number of bytes that a thread counts at a time.
    private static let pieceBytes = 1 << 18

    private let scanner: WordScanner
    private let team: ThreadTeam
    private let tables: [WordTable]
    private let blockBytes: Int
    private var text = ValidatedText(source: "the text")
    /// The ends of whole texts among the waiting bytes.
    private var ends: [Int] = []
    /// The number of bytes that must wait before they are counted.
    private var enough: Int

    init(pattern: SplitPattern, threads: Int) {
        scanner = WordScanner(pattern)
        team = ThreadTeam(threads: threads, yields: true)
        tables = (0..<threads).map { _ in WordTable() }
        blockBytes = 8 * threads * Self.pieceBytes
        enough = blockBytes
    }

    func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure) {
        text.pending.append(bytes)
        guard text.pending.count >= enough else { return }
        try text.validate()
        countWaiting()
    }

    func finish(into ids: inout [UInt32]) throws(Failure) {
        try text.finish()
        guard text.validBytes > ends.last ?? 0 else { return }
        ends.append(text.validBytes)
        if text.validBytes >= enough { countWaiting() }
    }

    /// Counts all texts that have ended, and returns the counts.
    func total() -> WordTable {
        countWaiting()
        for table in tables.dropFirst() { tables[0].add(table) }
        return tables[0]
    }

    /// Counts the waiting bytes, up to the last place where a word certainly ends.
    private func countWaiting() {
        let base = UnsafePointer(text.pending.base)
        var pieces: [Range<Int>] = []
        var start = 0
        for end in ends {
            divide(start..<end, of: base, into: &pieces)
            start = end
        }
        if let cut = lastCut(base, in: start..<text.validBytes) {
            divide(start..<cut, of: base, into: &pieces)
            start = cut
        }
        count(pieces, of: base)
        text.drop(start)
        ends = []
        enough = max(blockBytes, 2 * text.pending.count)
    }

    /// Divides text into pieces that can be counted on their own.
    private func divide(
        _ range: Range<Int>, of text: UnsafePointer<UInt8>, into pieces: inout [Range<Int>]
    ) {
        var start = range.lowerBound
        while range.upperBound - start > Self.pieceBytes,
            let cut = lastCut(text, in: start..<start + Self.pieceBytes)
        {
            pieces.append(start..<cut)
            start = cut
        }
        if start < range.upperBound { pieces.append(start..<range.upperBound) }
    }

    private func count(_ pieces: [Range<Int>], of text: UnsafePointer<UInt8>) {
        // Many short texts are one tile.
        var tiles: [Range<Int>] = []
        var (first, bytes) = (0, 0)
        for (index, piece) in pieces.enumerated() {
            bytes += piece.count
            guard bytes >= Self.pieceBytes / 2 || index == pieces.count - 1 else { continue }
            tiles.append(first..<index + 1)
            (first, bytes) = (index + 1, 0)
        }
        let (tables, scanner) = (tables, scanner)
        team.forEach(tiles.count) { tile, thread in
            for piece in pieces[tiles[tile]] {
                var start = piece.lowerBound
                while start < piece.upperBound,
                    let end = scanner.wordEnd(
                        text, start: start, end: piece.upperBound, isFinal: true)
                {
                    tables[thread].add(text + start, length: end - start)
                    start = end
                }
            }
        }
    }

    /// Returns the last place inside a range, after its start, where a letter precedes a character
    /// that is not one. Every pattern ends a word there; nil if there is no such place.
    private func lastCut(_ text: UnsafePointer<UInt8>, in range: Range<Int>) -> Int? {
        var position = range.upperBound
        var isAfterLetter = true
        while position > range.lowerBound {
            let next = position
            position -= 1
            while position > range.lowerBound, text[position] & 0xC0 == 0x80 { position -= 1 }
            let isLetter = scalarIsLetter(text, position, end: range.upperBound)
            if isLetter, !isAfterLetter, next < range.upperBound { return next }
            isAfterLetter = isLetter
        }
        return nil
    }

    /// Returns whether a whole scalar at a position is a letter. A scalar that the end cuts off is
    /// taken for one.
    private func scalarIsLetter(_ text: UnsafePointer<UInt8>, _ position: Int, end: Int) -> Bool {
        guard case .scalar = utf8Scalar(text, at: position, end: end) else { return true }
        return scanner.scalar(text, position).kind == UnicodeClass.letter
    }
}
