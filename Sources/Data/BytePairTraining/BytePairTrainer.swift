import Compute
import Support

/// A search for the pairs of tokens that merge (Sennrich et al. 2016), with the ids and the order
/// of Hugging Face's library: the most frequent pair first, and the lower ids among equally
/// frequent ones.
///
/// The different words are laid out one after another. A merge visits only the places at which its
/// pair has occurred, so the cost of all merges grows with the number of pairs that they replace.
struct BytePairTrainer: ~Copyable {
    private static let none = UInt32.max

    /// The token at each place, or `none` inside a token that begins before it.
    private let tokens: Buffer<UInt32>
    /// The places of the tokens before and after each one in its word, or `none`.
    private let previous: Buffer<UInt32>
    private let next: Buffer<UInt32>
    /// The word of each place.
    private let wordOf: Buffer<UInt32>
    /// The number of times that each word occurs.
    private var wordCounts: [Int] = []

    private var pairs = PairCounts()
    private var queue = MergeQueue()
    /// The places where the current merge creates pairs, by the pair's index.
    private var newPlaces: [Int: [UInt32]] = [:]

    /// The bytes of each token.
    private var vocabulary: [[UInt8]]
    private var idOf: [[UInt8]: UInt32]
    private var merges: [BytePairVocabulary.Merge] = []

    /// Lays out the words of a table.
    ///
    /// - Throws: `Failure` (bad data) if there are more than 2^32 bytes of different words.
    init(words: WordTable) throws(Failure) {
        guard words.byteCount < Int(Self.none) else {
            throw .about(
                .badData, "the text", "has more than 4 GiB of different words",
                remedy: "learn the vocabulary from a part of it")
        }
        // GPT-2's order of the bytes: by their printable characters.
        let bytes = (UInt8.min...UInt8.max).sorted {
            ByteAlphabet.scalars[Int($0)] < ByteAlphabet.scalars[Int($1)]
        }
        vocabulary = bytes.map { [$0] }
        idOf = Dictionary(uniqueKeysWithValues: zip(vocabulary, 0...))
        var idOfByte = [UInt32](repeating: 0, count: 256)
        for (id, byte) in bytes.enumerated() { idOfByte[Int(byte)] = UInt32(id) }

        let count = words.byteCount
        (tokens, previous) = (Buffer(count: count), Buffer(count: count))
        (next, wordOf) = (Buffer(count: count), Buffer(count: count))
        let (tokens, previous, next, wordOf) = (tokens, previous, next, wordOf)
        var wordCounts: [Int] = []
        var place = 0
        words.forEachSorted { word, times in
            for (index, byte) in word.enumerated() {
                tokens.base[place] = idOfByte[Int(byte)]
                previous.base[place] = index == 0 ? Self.none : UInt32(place - 1)
                next.base[place] = index + 1 == word.count ? Self.none : UInt32(place + 1)
                wordOf.base[place] = UInt32(wordCounts.count)
                place += 1
            }
            wordCounts.append(times)
        }
        self.wordCounts = wordCounts
        countPairs()
    }

    /// Counts the pairs of bytes and adds them to the queue.
    private mutating func countPairs() {
        var places: [[UInt32]] = []
        for place in 0..<tokens.count where next.base[place] != Self.none {
            let index = pairs.index(tokens.base[place], tokens.base[place + 1])
            if index == places.count { places.append([]) }
            pairs.counts[index] += wordCounts[Int(wordOf.base[place])]
            places[index].append(UInt32(place))
        }
        for index in places.indices {
            queue.push(
                MergeCandidate(
                    count: pairs.counts[index], pair: pairs.pairs[index], index: index,
                    places: places[index]))
        }
    }

    /// Merges pairs until there are `size` tokens, or no pair is left.
    ///
    /// - Parameter merged: called after each merge with the number of tokens.
    /// - Throws: the errors of `merged`.
    mutating func merge(
        until size: Int, merged: (_ tokens: Int) throws(Failure) -> Void
    ) throws(Failure) {
        while vocabulary.count < size, var candidate = queue.pop() {
            let count = pairs.counts[candidate.index]
            guard candidate.count == count else {
                // Other merges have replaced some of the pairs, or have given new ones.
                candidate.count = count
                if count > 0 { queue.push(candidate) }
                continue
            }
            apply(candidate)
            try merged(vocabulary.count)
        }
    }

    /// Merges a pair at its places, and adds the pairs that the merge creates to the queue.
    private mutating func apply(_ candidate: MergeCandidate) {
        let left = UInt32(truncatingIfNeeded: candidate.pair >> 32)
        let right = UInt32(truncatingIfNeeded: candidate.pair)
        let bytes = vocabulary[Int(left)] + vocabulary[Int(right)]
        let merged: UInt32
        if let id = idOf[bytes] {
            merged = id
        } else {
            merged = UInt32(vocabulary.count)
            vocabulary.append(bytes)
            idOf[bytes] = merged
        }
        merges.append(.init(left: left, right: right))
        let isSorted = zip(candidate.places, candidate.places.dropFirst()).allSatisfy { $0 < $1 }
        for place in isSorted ? candidate.places : candidate.places.sorted() {
            replace(left, right, at: Int(place), by: merged)
        }
        for (index, places) in newPlaces.sorted(by: { $0.key < $1.key })
        where pairs.counts[index] > 0 {
            queue.push(
                MergeCandidate(
                    count: pairs.counts[index], pair: pairs.pairs[index], index: index,
                    places: places))
        }
        newPlaces.removeAll(keepingCapacity: true)
    }

    /// Merges a pair at a place, unless it is no longer there.
    @inline(__always)
    private mutating func replace(_ left: UInt32, _ right: UInt32, at place: Int, by merged: UInt32)
    {
        guard tokens.base[place] == left, next.base[place] != Self.none else { return }
        let absorbed = Int(next.base[place])
        guard tokens.base[absorbed] == right else { return }
        let count = wordCounts[Int(wordOf.base[place])]
        let before = previous.base[place]
        if before != Self.none {
            let neighbor = tokens.base[Int(before)]
            pairs.counts[pairs.index(neighbor, left)] -= count
            addPair(neighbor, merged, count: count, at: before)
        }
        let after = next.base[absorbed]
        if after != Self.none {
            let neighbor = tokens.base[Int(after)]
            pairs.counts[pairs.index(right, neighbor)] -= count
            addPair(merged, neighbor, count: count, at: UInt32(place))
            previous.base[Int(after)] = UInt32(place)
        }
        next.base[place] = after
        tokens.base[place] = merged
        tokens.base[absorbed] = Self.none
    }

    @inline(__always)
    private mutating func addPair(_ left: UInt32, _ right: UInt32, count: Int, at place: UInt32) {
        let index = pairs.index(left, right)
        pairs.counts[index] += count
        newPlaces[index, default: []].append(place)
    }

    /// Returns the tokenizer with the tokens found so far and a token that ends documents.
    ///
    /// - Throws: never for tokens that `merge` found.
    consuming func tokenizer(pattern: SplitPattern) throws(Failure) -> BytePairTokenizer {
        let names = vocabulary.map { ByteAlphabet.text(of: $0) }
        let end = AddedToken(
            id: UInt32(names.count), content: BytePairFiles.gpt2EndOfText, isSpecial: true,
            isNormalized: true)
        var settings = BytePairSettings()
        settings.pattern = pattern
        settings.addedTokens = [end]
        if !settings.isPlain { settings.listedCount = names.count }
        return BytePairTokenizer(
            vocabulary: try BytePairVocabulary(
                names: names + [end.content], merges: lastMerges(), endOfText: end.id,
                settings: settings, files: ("the vocabulary", "the merges"), firstLine: 1))
    }

    /// Returns the merges in order, each only where it was found last.
    ///
    /// A pair is found again if another pair has given one of its tokens since. Hugging Face's
    /// library then keeps the last rank.
    private borrowing func lastMerges() -> [BytePairVocabulary.Merge] {
        var seen: Set<BytePairVocabulary.Merge> = []
        return Array(merges.reversed().filter { seen.insert($0).inserted }.reversed())
    }
}
