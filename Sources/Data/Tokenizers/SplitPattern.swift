/// A pattern that divides text into the words within which byte pairs merge.
///
/// The first alternative of the pattern that matches counts. Every byte belongs to exactly one word.
package enum SplitPattern: String, Sendable, CaseIterable {
    /// The pattern of GPT-2 (Radford et al. 2019, `encoder.py`).
    case gpt2
    /// The pattern of Llama 3, which is that of tiktoken's cl100k.
    case llama3
    /// The pattern of Qwen 2, 2.5 and 3.
    case qwen2

    /// The pattern as a regular expression, exactly as a `tokenizer.json` spells it.
    var regularExpression: String {
        switch self {
        case .gpt2: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        case .llama3: Self.withNumbers(#"\p{N}{1,3}"#)
        case .qwen2: Self.withNumbers(#"\p{N}"#)
        }
    }

    /// The maximum number of digits in one word.
    var longestNumber: Int {
        switch self {
        case .gpt2: .max
        case .llama3: 3
        case .qwen2: 1
        }
    }

    /// Returns the pattern that a regular expression spells; nil if it is another one.
    init?(regularExpression: String) {
        let utf8 = Array(regularExpression.utf8)
        let known = Self.allCases.first { $0.regularExpression.utf8.elementsEqual(utf8) }
        guard let known else { return nil }
        self = known
    }

    /// Returns the pattern of Llama 3 with another alternative for numbers.
    private static func withNumbers(_ numbers: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
}
