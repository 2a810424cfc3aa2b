/// A rank's place in the binomial tree of all ranks, whose root is rank 0.
///
/// A rank and all ranks below it in the tree are consecutive.
package struct BinomialTree: Sendable, Equatable {
    /// The rank above this one; nil for rank 0.
    package let parent: Int?
    /// This rank and the ranks below it.
    package let subtree: Range<Int>
    /// The subtrees of the ranks directly below this one, in order.
    package let children: [Range<Int>]

    package init(rank: Int, size: Int) {
        // The lowest bit of a rank is its distance to its parent.
        let reach = rank == 0 ? size : rank & -rank
        parent = rank == 0 ? nil : rank - reach
        subtree = rank..<min(size, rank + reach)
        var children: [Range<Int>] = []
        var distance = 1
        while distance < subtree.count {
            children.append(rank + distance..<min(subtree.upperBound, rank + 2 * distance))
            distance *= 2
        }
        self.children = children
    }
}

extension Communicator {
    /// This rank's place in the binomial tree of the communicator's ranks.
    package var binomialTree: BinomialTree { BinomialTree(rank: rank, size: size) }
}
