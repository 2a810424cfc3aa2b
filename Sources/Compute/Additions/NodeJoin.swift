/// A node of the tree that is made from smaller nodes, which lie in memory as whole arenas.
package struct NodeJoin {
    /// The additions, by index into the memory of all smaller nodes.
    package let additions: [(left: Int, right: Int)]
    /// The index of the node in whose memory the sum ends: the first of the smaller nodes.
    package let first: Int
    /// Whether the sum is also stored in a node's memory, for each smaller node.
    package let receives: [Bool]

    package init(additions: [(left: Int, right: Int)], first: Int, receives: [Bool]) {
        self.additions = additions
        self.first = first
        self.receives = receives
    }

    /// Computes the node within a block, tile by tile; the smaller nodes are overwritten.
    ///
    /// - Parameters:
    ///   - memory: the base addresses of the smaller nodes; adding an element's index in the arena
    ///     gives the element's address.
    ///   - results: the base addresses of the sum's destinations, at least one.
    /// - Returns: the sum of squares of the sum, with the same bits as `SumOfSquares`.
    package func run(
        _ block: Range<Int>, memory: [UnsafeMutablePointer<Float>],
        results: [UnsafeMutablePointer<Float>], wire: WireFormat
    ) -> Double {
        switch wire {
        case .fp32: run(block, memory: memory, results: results, rounding: NoRounding.self)
        case .bf16: run(block, memory: memory, results: results, rounding: BFloat16Rounding.self)
        }
    }

    private func run<Rounding: NodeRounding>(
        _ block: Range<Int>, memory: [UnsafeMutablePointer<Float>],
        results: [UnsafeMutablePointer<Float>], rounding: Rounding.Type
    ) -> Double {
        var squares = SumOfSquares.Accumulator()
        var unused = SumOfSquares.Accumulator()
        forEachTile(of: block) { tile in
            let offset = tile.lowerBound
            let claimable = block.upperBound - offset
            for (left, right) in additions.dropLast() {
                let isWritten = receives[right]
                let (left, right) = (memory[left] + offset, memory[right] + offset)
                addShared(
                    left, right, into: (left, left), count: tile.count,
                    claims: (left, isWritten ? right : left), claimable: claimable,
                    squares: &unused, rounding: rounding)
            }
            let result = results[0] + offset
            let second = (results.count > 1 ? results[1] : results[0]) + offset
            if let last = additions.last {
                let (left, right) = (memory[last.left] + offset, memory[last.right] + offset)
                addShared(
                    left, right, into: (result, second), count: tile.count,
                    claims: (
                        receives[last.left] ? left : result, receives[last.right] ? right : second
                    ), claimable: claimable, squares: &squares, rounding: rounding)
            } else {
                copy(memory[first] + offset, to: result, count: tile.count)
                copy(result, to: second, count: tile.count)
                squares.add(result, count: tile.count)
            }
            for other in results.dropFirst(2) {
                copy(result, to: other + offset, count: tile.count)
            }
        }
        return squares.total
    }
}
