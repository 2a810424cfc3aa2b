import Compute
import Support

/// A counter of the words of texts that arrive in pieces, on several threads.
///
/// It takes texts as an encoder does, but returns no ids. The counts depend neither on the pieces
/// nor on the number of threads.
package final class WordCounter: TokenEncoder {
    /// The number of bytes that a thread counts at a time.
    private static let pieceBytes = 1 << 18

    private let scanner: WordScanner
    private let team: ThreadTeam
    private let tables: [WordTable]
    private let longestWord: Int
    private let blockBytes: Int
    private var text = ValidatedText(source: "the text")
    /// The ends of whole texts among the waiting bytes.
    private var ends: [Int] = []
    /// The number of bytes that must wait before they are counted.
    private var enough: Int

    /// Creates a counter that has counted nothing.
    ///
    /// - Parameter longestWord: the size in bytes of the longest word that can be counted.
    package init(pattern: SplitPattern, threads: Int, longestWord: Int = Int(UInt32.max) - 1) {
        self.longestWord = longestWord
        scanner = WordScanner(pattern)
        team = ThreadTeam(threads: threads, yields: true)
        tables = (0..<threads).map { _ in WordTable(longestWord: longestWord) }
        blockBytes = 8 * threads * Self.pieceBytes
        enough = blockBytes
    }

    package func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure) {
        text.pending.append(bytes)
        guard text.pending.count >= enough else { return }
        try text.validate()
        try countWaiting()
    }

    package func finish(into ids: inout [UInt32]) throws(Failure) {
        try text.finish()
        guard text.validBytes > ends.last ?? 0 else { return }
        ends.append(text.validBytes)
        if text.validBytes >= enough { try countWaiting() }
    }

    /// Counts all texts that have ended, and returns the counts.
    ///
    /// - Throws: `Failure` (bad data) if a word is too long.
    func total() throws(Failure) -> WordTable {
        try countWaiting()
        for table in tables.dropFirst() { tables[0].add(table) }
        return tables[0]
    }

    /// Counts the waiting bytes, up to the last place where a word certainly ends.
    ///
    /// - Throws: `Failure` (bad data) if a word is too long.
    private func countWaiting() throws(Failure) {
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
        guard !tables.contains(where: \.lacksWord) else {
            throw .about(
                .badData, "the text", "has a word of more than \(Format.bytes(longestWord))",
                remedy: "learn the vocabulary from a part of it")
        }
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
}
