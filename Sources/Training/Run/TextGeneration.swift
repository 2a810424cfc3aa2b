import Compute
import Data
import Model
import Support

/// A generation of texts by a model: its options, and the tokens before each text.
struct TextGeneration {
    let tokenizer: any Tokenizer
    var sampling: Sampling
    /// The text before each generated one.
    let prompt: String
    /// The tokens of the prompt; there is at least one.
    private let context: [UInt32]

    /// Creates a generation that continues a prompt.
    ///
    /// - Throws: `Failure` (bad data) if the prompt has a character that is not in the vocabulary.
    init(prompt: String, tokenizer: any Tokenizer, sampling: Sampling) throws(Failure) {
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.prompt = prompt
        let encoded = try tokenizer.encodeWithEndOfText(prompt, source: "--prompt")
        context = encoded.isEmpty ? [Self.firstToken(tokenizer)] : encoded
    }

    /// Generates a text, which ends at the end-of-text token or after a number of tokens; returns
    /// false if a logit was not finite.
    ///
    /// - Parameters:
    ///   - generator: a generator without context.
    ///   - sample: the number of the text, which decides its random numbers.
    ///   - write: receives the prompt, the bytes as they are generated, and a line break.
    func run(
        _ generator: Generator, tokens: Int, sample: Int = 0,
        write: ([UInt8]) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        for token in context.dropLast() { generator.read(Int32(token)) }
        var last = Int32(context[context.count - 1])
        for place in 0..<tokens {
            let logits = generator.next(after: last)
            // A vocabulary that was padded by hand has symbols without text.
            let known = UnsafeBufferPointer(
                rebasing: logits[..<min(logits.count, tokenizer.vocabularySize)])
            guard firstNonFinite(in: known) == nil else { return false }
            if place == 0 { try write(Array(prompt.utf8)) }
            last = sampling.choose(known, place: sample << 32 | place)
            if let end = tokenizer.endOfText, UInt32(last) == end { break }
            try write(try tokenizer.decode([UInt32(last)]))
        }
        try write([UInt8(ascii: "\n")])
        return true
    }

    /// Returns the token before a text without a prompt: end of text, or otherwise a line break.
    private static func firstToken(_ tokenizer: any Tokenizer) -> UInt32 {
        if let end = tokenizer.endOfText { return end }
        return (try? tokenizer.encode("\n"))?.first ?? 0
    }
}

extension Sampling {
    /// The options that generate text unless the user chooses others.
    package static var usual: Sampling {
        var sampling = Sampling()
        sampling.temperature = 0.8
        return sampling
    }
}
