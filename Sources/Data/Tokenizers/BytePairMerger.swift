/// A merger of the byte pairs of one word at a time: lowest rank first, and leftmost first among
/// equals (Sennrich et al. 2016, Algorithm 1).
///
/// With a linked list of tokens and a heap of the pairs that may merge, a word of n bytes costs
/// O(n log n), even for a megabyte of one letter.
struct BytePairMerger: ~Copyable {
    private struct Node {
        var id: UInt32 = 0
        var previous: Int32 = -1
        var next: Int32 = -1
        /// The rank of merging this token with the next one; `UInt32.max` if they do not merge.
        var rank: UInt32 = .max
        /// The id of the merged token.
        var merged: UInt32 = 0
    }

    let vocabulary: BytePairVocabulary
    private var nodes: UnsafeMutablePointer<Node>
    /// A binary heap of rank (high half) and position (low half).
    private var heap: UnsafeMutablePointer<UInt64>
    private var heapCount = 0
    private var capacity = 256

    init(vocabulary: BytePairVocabulary) {
        self.vocabulary = vocabulary
        nodes = .allocate(capacity: capacity)
        heap = .allocate(capacity: 2 * capacity)
    }

    deinit {
        nodes.deallocate()
        heap.deallocate()
    }

    /// Writes the ids of a word, at most `count` of them, and returns their number.
    mutating func merge(
        _ word: UnsafePointer<UInt8>, count: Int, into output: UnsafeMutablePointer<UInt32>
    ) -> Int {
        precondition(count < 1 << 30, "a word of \(count) bytes is too long to merge")
        reserve(count)
        for index in 0..<count {
            nodes[index] = Node(
                id: vocabulary.byteIds[Int(word[index])], previous: Int32(index - 1),
                next: index + 1 < count ? Int32(index + 1) : -1)
        }
        heapCount = 0
        for index in 0..<count { look(at: index) }
        while let (rank, position) = popLowest() {
            guard nodes[position].rank == rank else { continue }  // The entry is outdated.
            mergeWithNext(position)
        }
        var written = 0
        var position = 0
        while position >= 0 {
            output[written] = nodes[position].id
            written += 1
            position = Int(nodes[position].next)
        }
        return written
    }

    private mutating func mergeWithNext(_ position: Int) {
        let absorbed = Int(nodes[position].next)
        nodes[position].id = nodes[position].merged
        nodes[position].next = nodes[absorbed].next
        nodes[absorbed].rank = .max
        if nodes[position].next >= 0 {
            nodes[Int(nodes[position].next)].previous = Int32(position)
        }
        look(at: position)
        if nodes[position].previous >= 0 { look(at: Int(nodes[position].previous)) }
    }

    /// Finds the merge of the token at a position with the next one, and queues it.
    @inline(__always)
    private mutating func look(at position: Int) {
        let next = Int(nodes[position].next)
        guard next >= 0 else {
            nodes[position].rank = .max
            return
        }
        let (rank, id) = vocabulary.merged(nodes[position].id, nodes[next].id)
        nodes[position].rank = rank
        nodes[position].merged = id
        if rank != .max { push(UInt64(rank) << 32 | UInt64(position)) }
    }

    private mutating func reserve(_ count: Int) {
        guard count > capacity else { return }
        capacity = max(count, 2 * capacity)
        nodes.deallocate()
        heap.deallocate()
        nodes = .allocate(capacity: capacity)
        // There is at most one entry per pair at first. Each merge pops one entry and adds at most
        // two.
        heap = .allocate(capacity: 2 * capacity)
    }

    private mutating func push(_ entry: UInt64) {
        var child = heapCount
        heapCount += 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[parent] > entry else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    private mutating func popLowest() -> (rank: UInt32, position: Int)? {
        guard heapCount > 0 else { return nil }
        let lowest = heap[0]
        heapCount -= 1
        let entry = heap[heapCount]
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heapCount else { break }
            if child + 1 < heapCount, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
        return (UInt32(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
    }
}
