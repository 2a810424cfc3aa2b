import Support

/// A byte-pair encoder for text that arrives in pieces, with added tokens and normalization.
///
/// As in Hugging Face's library, the tokens that are not normalized divide the text first. Each
/// part is normalized, divided by the normalized tokens, and then divided into words. Memory is
/// bounded by the largest piece, the longest word and a cache of fixed size.
final class AddedTokenEncoder: TokenEncoder {
    private let vocabulary: BytePairVocabulary
    private let findsSpecialTokens: Bool
    private var words: WordEncoder
    private var composer: CanonicalComposer?

    private var text: ValidatedText
    /// The normalized text that waits for the search for normalized tokens.
    private var normalized = PendingText()
    /// The text after the last complete word.
    private var wordText = PendingText()
    /// The number of bytes that `wordText` must have before the next scan.
    private var enough = 1

    /// Creates an encoder.
    ///
    /// - Parameters:
    ///   - source: the name of the text in failures.
    ///   - findsSpecialTokens: whether text that spells a special token becomes the token.
    init(vocabulary: BytePairVocabulary, source: String, findsSpecialTokens: Bool) {
        self.vocabulary = vocabulary
        self.findsSpecialTokens = findsSpecialTokens
        words = WordEncoder(vocabulary: vocabulary)
        composer = vocabulary.settings.composes ? CanonicalComposer() : nil
        text = ValidatedText(source: source)
    }

    func encode(_ bytes: UnsafeRawBufferPointer, into ids: inout [UInt32]) throws(Failure) {
        text.pending.append(bytes)
        try text.validate()
        divideText(into: &ids, isFinal: false)
    }

    func finish(into ids: inout [UInt32]) throws(Failure) {
        try text.finish()
        divideText(into: &ids, isFinal: true)
        endPart(into: &ids)
        text.restart()
    }

    /// Divides the text by the tokens that are not normalized.
    private func divideText(into ids: inout [UInt32], isFinal: Bool) {
        let base = UnsafePointer(text.pending.base)
        var (start, position) = (0, 0)
        while true {
            switch vocabulary.plainTokens.next(
                in: base, from: position, end: text.validBytes, isFinal: isFinal)
            {
            case .match(let match):
                position = match.end
                guard findsSpecialTokens || !match.isSpecial else { continue }
                normalize(base + start, count: match.start - start, into: &ids)
                endPart(into: &ids)
                ids.append(match.id)
                start = match.end
            case .text(let end):
                normalize(base + start, count: end - start, into: &ids)
                return text.drop(end)
            }
        }
    }

    /// Normalizes the next bytes of a part of the text.
    private func normalize(_ bytes: UnsafePointer<UInt8>, count: Int, into ids: inout [UInt32]) {
        guard count > 0 else { return }
        if composer != nil {
            composer?.append(bytes, count: count, to: &normalized)
        } else {
            normalized.append(UnsafeRawBufferPointer(start: bytes, count: count))
        }
        divideNormalized(into: &ids, isFinal: false)
    }

    /// Ends a part of the text.
    private func endPart(into ids: inout [UInt32]) {
        composer?.finish(into: &normalized)
        divideNormalized(into: &ids, isFinal: true)
        encodeWords(into: &ids, isFinal: true)
    }

    /// Divides normalized text by the normalized tokens.
    private func divideNormalized(into ids: inout [UInt32], isFinal: Bool) {
        let base = UnsafePointer(normalized.base)
        var (start, position) = (0, 0)
        while true {
            switch vocabulary.normalizedTokens.next(
                in: base, from: position, end: normalized.count, isFinal: isFinal)
            {
            case .match(let match):
                position = match.end
                guard findsSpecialTokens || !match.isSpecial else { continue }
                addToWords(base + start, count: match.start - start, into: &ids)
                encodeWords(into: &ids, isFinal: true)
                ids.append(match.id)
                start = match.end
            case .text(let end):
                addToWords(base + start, count: end - start, into: &ids)
                return normalized.drop(end)
            }
        }
    }

    private func addToWords(_ bytes: UnsafePointer<UInt8>, count: Int, into ids: inout [UInt32]) {
        guard count > 0 else { return }
        wordText.append(UnsafeRawBufferPointer(start: bytes, count: count))
        // A word that does not end is scanned again only when it has doubled.
        guard wordText.count >= enough else { return }
        encodeWords(into: &ids, isFinal: false)
        enough = 2 * wordText.count + 1
    }

    private func encodeWords(into ids: inout [UInt32], isFinal: Bool) {
        wordText.drop(
            words.encode(wordText.base, count: wordText.count, isFinal: isFinal, into: &ids))
        if isFinal { enough = 1 }
    }
}
