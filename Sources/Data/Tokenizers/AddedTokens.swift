/// A token that is found in text as a whole, before the text is divided into words.
struct AddedToken: Sendable, Equatable {
    let id: UInt32
    let content: String
    /// Whether the token marks something other than text, such as the end of a document. Text that
    /// spells it is encoded as text, unless the caller asks for special tokens.
    let isSpecial: Bool
    /// Whether the token is searched for after the text is normalized.
    let isNormalized: Bool
}

/// A search for added tokens in text: the leftmost one counts, and the longest of those that begin
/// there (Aho and Corasick 1975, with the match kind of Hugging Face's library).
struct AddedTokenSearch: Sendable {
    /// The maximum number of bytes of a token, which bounds the text that must wait for its
    /// continuation.
    static let longestToken = 1024

    /// The result of looking for the next token.
    enum Step {
        case match(Match)
        /// No token begins before this position, and one may begin at it.
        case text(end: Int)
    }

    /// An occurrence of a token.
    struct Match {
        let start: Int
        let end: Int
        let id: UInt32
        let isSpecial: Bool
    }

    /// A node of the tree of the tokens' bytes.
    private struct Node {
        var children: [UInt8: Int] = [:]
        var token: (id: UInt32, isSpecial: Bool)?
    }

    private var nodes = [Node()]
    /// Whether a token begins with each byte.
    private var begins = [Bool](repeating: false, count: 256)

    init() {}

    /// Adds a token that text spells with these bytes, unless an earlier one is spelled so.
    mutating func insert(_ bytes: some Sequence<UInt8>, id: UInt32, isSpecial: Bool) {
        var place = 0
        for byte in bytes {
            if place == 0 { begins[Int(byte)] = true }
            if let child = nodes[place].children[byte] {
                place = child
            } else {
                nodes[place].children[byte] = nodes.count
                place = nodes.count
                nodes.append(Node())
            }
        }
        guard place != 0, nodes[place].token == nil else { return }
        nodes[place].token = (id, isSpecial)
    }

    var isEmpty: Bool { nodes.count == 1 }

    /// Looks for the next token from a position. If `isFinal`, no text follows.
    func next(
        in text: UnsafePointer<UInt8>, from start: Int, end: Int, isFinal: Bool
    ) -> Step {
        guard !isEmpty else { return .text(end: end) }
        return begins.withUnsafeBufferPointer { begins in
            for position in start..<max(start, end) where begins[Int(text[position])] {
                var place = 0
                var cursor = position
                var match: Match?
                while cursor < end, let child = nodes[place].children[text[cursor]] {
                    place = child
                    cursor += 1
                    if let token = nodes[place].token {
                        match = Match(
                            start: position, end: cursor, id: token.id, isSpecial: token.isSpecial)
                    }
                }
                if cursor == end, !isFinal, !nodes[place].children.isEmpty {
                    return .text(end: position)
                }
                if let match { return .match(match) }
            }
            return .text(end: end)
        }
    }
}
