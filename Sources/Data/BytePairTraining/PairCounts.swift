/// The number of times that each pair of neighboring tokens occurs.
struct PairCounts {
    private var indices: [UInt64: UInt32] = [:]
    /// The pair of each index, with the left token in the high half.
    private(set) var pairs: [UInt64] = []
    /// The count of each index.
    var counts: [Int] = []

    /// Returns the index of a pair, and adds the pair if it is new.
    mutating func index(_ left: UInt32, _ right: UInt32) -> Int {
        let pair = UInt64(left) << 32 | UInt64(right)
        if let index = indices[pair] { return Int(index) }
        indices[pair] = UInt32(pairs.count)
        pairs.append(pair)
        counts.append(0)
        return pairs.count - 1
    }
}

/// A candidate for a merge: a pair with the count that it had when it was added to the queue, and
/// the places at which it occurred.
struct MergeCandidate {
    var count: Int
    let pair: UInt64
    let index: Int
    let places: [UInt32]

    /// Returns whether a candidate merges before another one: the more frequent pair first, and the
    /// lower ids among equally frequent ones.
    @inline(__always)
    func precedes(_ other: MergeCandidate) -> Bool {
        count != other.count ? count > other.count : pair < other.pair
    }
}

/// A binary heap of candidates, the next one first.
struct MergeQueue {
    private var heap: [MergeCandidate] = []

    /// Adds a candidate.
    mutating func push(_ candidate: MergeCandidate) {
        heap.append(candidate)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Removes and returns the next candidate; nil if there is none.
    mutating func pop() -> MergeCandidate? {
        guard let last = heap.popLast() else { return nil }
        guard let first = heap.first else { return last }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return first
    }
}
